// expect: set_client_verify
// expect: Phase::log
// expect: AllowedInPhase
#include "client_tls/client_tls.hpp"

void wrong_phase(SSL* ssl, client_tls::PhaseContext& context) {
  const client_tls::ClientTls::In<client_tls::Phase::log> tls{ssl, context};
  tls.set_client_verify("NONE");
}

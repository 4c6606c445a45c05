// expect: verdict
// expect: Phase::certificate
// expect: AllowedInPhase
#include "client_tls/client_tls.hpp"

bool wrong_phase(SSL* ssl, client_tls::PhaseContext& context) {
  const client_tls::ClientTls::In<client_tls::Phase::certificate> tls{ssl, context};
  return tls.verdict().has_value();
}

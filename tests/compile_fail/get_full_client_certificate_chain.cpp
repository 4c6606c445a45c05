// expect: get_full_client_certificate_chain
// expect: Phase::certificate
// expect: AllowedInPhase
#include "client_tls/client_tls.hpp"

bool wrong_phase(SSL* ssl, client_tls::PhaseContext& context) {
  const client_tls::ClientTls::In<client_tls::Phase::certificate> tls{ssl, context};
  return tls.get_full_client_certificate_chain().has_value();
}

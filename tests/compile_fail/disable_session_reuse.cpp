// expect: disable_session_reuse
// expect: Phase::client_hello
// expect: AllowedInPhase
#include "client_tls/client_tls.hpp"

bool wrong_phase(SSL* ssl, client_tls::PhaseContext& context) {
  const client_tls::ClientTls::In<client_tls::Phase::client_hello> tls{ssl, context};
  return tls.disable_session_reuse().has_value();
}

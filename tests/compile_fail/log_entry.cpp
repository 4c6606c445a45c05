// expect: log_entry
// expect: Phase::access
// expect: AllowedInPhase
#include "client_tls/client_tls.hpp"

bool wrong_phase(SSL* ssl, client_tls::PhaseContext& context) {
  const client_tls::ClientTls::In<client_tls::Phase::access> tls{ssl, context};
  return tls.log_entry().has_value();
}

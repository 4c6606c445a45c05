// expect: deleted
// expect: PhaseContext&&
#include "client_tls/client_tls.hpp"

using client_tls::ClientTls;
using client_tls::Phase;
using client_tls::PhaseContext;

bool dangling(SSL* ssl) {
  const ClientTls tls{ssl, PhaseContext{Phase::access}};
  return tls.get_full_client_certificate_chain().has_value();
}

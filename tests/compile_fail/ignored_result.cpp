// expect: nodiscard
// expect: request_client_certificate
#include "client_tls/client_tls.hpp"

void ignored(const client_tls::ClientTls& tls) {
  tls.request_client_certificate();
}

// Which revocation lists can be used.
#pragma once

#include <openssl/x509.h>

#include "client_tls/result.hpp"

namespace client_tls {

// A list must be whole within its scope, and say nothing that OpenSSL would pass over: a delta list, an indirect one,
// one for some reasons, and what is critical and not known. Errors: invalid_argument; out_of_memory. Call it while an
// ErrorQueueMark is alive.
[[nodiscard]] Result<void> check_is_whole(const X509_CRL* crl) noexcept;

}  // namespace client_tls

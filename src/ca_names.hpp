// The names of certification authorities that a CertificateRequest has.
#pragma once

#include <openssl/x509.h>

#include <span>

#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// The subjects of the certificates, each once; null if there is none. Bounded by what fits into a CertificateRequest.
[[nodiscard]] Result<X509NameStackPtr> subject_names(std::span<X509* const> certificates) noexcept;

}  // namespace client_tls

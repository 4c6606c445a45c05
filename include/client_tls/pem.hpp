// Certificates and revocation lists from PEM, read strictly: everything, or an error.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>
#include <vector>

#include "client_tls/export.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// The largest file or text that is read, in bytes.
inline constexpr std::size_t max_pem_size = std::size_t{64} * 1024 * 1024;

// Every certificate (RFC 7468, section 5) of a text or a file, in its order; what stands between the blocks is ignored,
// as RFC 7468 says.
//
// They never return less than what is there: a block that does not decode or is cut off, one of another kind (a key,
// "TRUSTED CERTIFICATE"), an encrypted one, and a text without any are errors.
//
// Any phase, any thread; they read files, so not from a callback. Errors: unreadable, with the system's errno as
// Error::openssl_reason; malformed; invalid_argument (over max_pem_size); out_of_memory.
// OpenSSL: PEM_read_bio, d2i_X509, d2i_X509_CRL.
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem) noexcept;
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509Ptr>> read_certificates(const std::filesystem::path& file) noexcept;

// The same for certificate revocation lists ("X509 CRL", RFC 7468, section 6).
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509CrlPtr>> parse_crls(std::string_view pem) noexcept;
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509CrlPtr>> read_crls(const std::filesystem::path& file) noexcept;

}  // namespace client_tls

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

// Every certificate (RFC 7468, section 5) of a text or a file, in its order; text between the blocks is ignored, as
// RFC 7468 says.
//
// They never return less than what is there. Errors are: a block that does not decode or has no END line; one of
// another kind (a key, a revocation list, "TRUSTED CERTIFICATE"), an encrypted one, one with headers; a line that looks
// like the BEGIN or END of a block in any other spelling than RFC 7468's (indented, in small letters, with more or
// fewer dashes or with other ones, behind other text); base64 without its lines; DER, PKCS #12, UTF-16, a NUL, a
// carriage return that ends no line; a text without any block. Accepted are CR LF, a byte order mark of UTF-8, blanks
// at the ends of lines.
//
// Any phase, any thread; they read files, so not from a callback. Errors: unreadable, with the system's errno as
// Error::openssl_reason; malformed, with the line as Error::position; invalid_argument (over max_pem_size);
// out_of_memory. OpenSSL: d2i_X509, d2i_X509_CRL; its PEM_read_bio would pass over most of the above.
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem) noexcept;
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509Ptr>> read_certificates(const std::filesystem::path& file) noexcept;

// The same for certificate revocation lists ("X509 CRL", RFC 7468, section 6).
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509CrlPtr>> parse_crls(std::string_view pem) noexcept;
[[nodiscard]] CLIENT_TLS_API Result<std::vector<X509CrlPtr>> read_crls(const std::filesystem::path& file) noexcept;

}  // namespace client_tls

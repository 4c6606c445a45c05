// The name that the client asked for, read from the ClientHello itself.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client_tls/export.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// A server name (RFC 6066, section 3) of at most 255 bytes, ASCII letters in lower case, otherwise as the client sent
// it; empty where the client named none. It holds its bytes itself and allocates nothing.
class CLIENT_TLS_API ServerName {
 public:
  static constexpr std::size_t max_size = 255;

  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

  // Reads the server_name extension of the ClientHello that OpenSSL is processing (SSL_client_hello_get0_ext), which
  // is there in the client_hello callback and in the servername callback. SSL_get_servername is no substitute: it
  // knows nothing yet in the first of them, and on a resumed TLS 1.2 connection it returns the name of the connection
  // that made the session.
  //
  // An absent extension is an empty name. Errors: no_tls; too_late, where no ClientHello is being processed;
  // malformed: an extension that does not decode, an empty list, a second name, a type other than host_name;
  // invalid_argument: a name over 255 bytes or with a NUL in it.
  [[nodiscard]] static Result<ServerName> from_client_hello(SSL* ssl) noexcept;

 private:
  std::array<char, max_size> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace client_tls

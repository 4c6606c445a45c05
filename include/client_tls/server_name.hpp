// The name that the client asked for, in the one form in which names are compared.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "client_tls/export.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// A host name of at most 255 bytes in canonical form: ASCII letters in lower case, no dot at the end. Two texts that
// name the same host are equal; nothing in it needs to be escaped in a log. Empty where the client named none. It holds
// its bytes itself and allocates nothing.
class CLIENT_TLS_API ServerName {
 public:
  static constexpr std::size_t max_size = 255;

  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  friend bool operator==(const ServerName&, const ServerName&) = default;

  // The canonical form of a name, from wherever it comes: one dot at its end is dropped. It does not convert
  // internationalised names: those travel as A-labels (RFC 5890).
  //
  // Any phase, any thread. Errors: invalid_argument: an empty name, one over 255 bytes, a label that is empty, a NUL or
  // anything else but ASCII letters, digits, "-", "_" and "."; an IP address, which is no host name (RFC 6066,
  // section 3): IPv6 for its colons, IPv4 because no name ends in a label of digits alone.
  [[nodiscard]] static Result<ServerName> parse(std::string_view text) noexcept;

  // Reads the server_name extension of the ClientHello that OpenSSL is processing (SSL_client_hello_get0_ext), which
  // is there in the client_hello callback and in the servername callback. SSL_get_servername is no substitute: it
  // knows nothing yet in the first of them, and on a resumed TLS 1.2 connection it returns the name of the connection
  // that made the session.
  //
  // An absent extension is an empty name. Errors: no_tls; too_late, where no ClientHello is being processed;
  // malformed: an extension that does not decode, an empty list, an empty or a second name, a type other than
  // host_name; otherwise those of parse.
  [[nodiscard]] static Result<ServerName> from_client_hello(SSL* ssl) noexcept;

 private:
  std::array<char, max_size> bytes_{};
  std::uint8_t size_ = 0;
};

}  // namespace client_tls

// What the log says of a TLS connection, and what it may be told to say of the client's certificate.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "client_tls/export.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// A checked value for set_client_verify. It owns its text; a copy may allocate and, where exceptions are enabled, throw
// std::bad_alloc, a move does neither.
class CLIENT_TLS_API ClientVerify {
 public:
  // The longest reason, in bytes.
  static constexpr std::size_t max_reason_size = 256;

  // Accepts exactly "SUCCESS", "NONE" and "FAILED:<reason>" with a reason of 1 to max_reason_size bytes of printable
  // ASCII (0x20 to 0x7E): the value goes into logs, and may neither end a line nor colour a terminal. Case counts, and
  // nothing is trimmed.
  //
  // Any phase, any thread. Errors: invalid_argument, with a message that says which rule was broken; out_of_memory.
  [[nodiscard]] static Result<ClientVerify> parse(std::string_view value) noexcept;

  // The value as it was parsed.
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

  friend bool operator==(const ClientVerify&, const ClientVerify&) = default;

 private:
  explicit ClientVerify(std::string text) noexcept : text_(std::move(text)) {}

  std::string text_;
};

// Kong's request.tls. It owns its strings and outlives the connection.
struct LogEntry {
  std::string version;        // as OpenSSL names it, SSL_get_version: "TLSv1.3"
  std::string cipher;         // SSL_get_cipher_name: "TLS_AES_256_GCM_SHA384"
  std::string client_verify;  // "NONE", "SUCCESS" or "FAILED:<reason>"; see ClientTls::log_entry
};

}  // namespace client_tls

// How the library reports failure: values, because its functions run inside OpenSSL's C callbacks, through which no
// exception may pass.
#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace client_tls {

// What went wrong. A closed list: a switch over it can be complete.
enum class Errc : std::uint8_t {
  wrong_phase,        // the operation is not allowed in the context's phase; see phase_table in phase.hpp
  no_tls,             // the SSL* is null: the connection is not TLS
  unsupported,        // a client-side SSL, DTLS or QUIC
  too_early,          // the handshake has not come to the point where this can be done
  too_late,           // the handshake is past that point, and OpenSSL would ignore the change
  handshake_over,     // the handshake is complete
  invalid_argument,   // an argument is out of its stated range
  malformed,          // what the client sent, or what a file says, cannot be decoded
  unreadable,         // a file cannot be opened or read; Error::openssl_reason is then the system's errno
  chain_not_carried,  // the session was resumed, and its client chain was not bound to it, or not by this library
  already_installed,  // install was called before on this SSL_CTX
  out_of_memory,
  openssl,  // an OpenSSL call failed; Error::openssl_reason says why
};

// An error. It allocates nothing and can be copied freely.
struct Error {
  Errc code;
  std::string_view message;  // static, NUL-terminated, one line of printable ASCII
  int openssl_reason = 0;    // ERR_GET_REASON of OpenSSL's own error; 0 where there is none

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace client_tls

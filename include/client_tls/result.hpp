// How the library reports failure: values, because its functions run inside OpenSSL's C callbacks, through which no
// exception may pass.
#pragma once

#include <concepts>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "client_tls/export.hpp"

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
  policy_in_force,    // a policy decides this on the connection
  not_authenticated,  // a policy requires an authenticated client, and this one is not; verdict() says why
  already_installed,  // install was called before on this SSL_CTX
  handler_threw,      // a handler of the host's threw (Hooks)
  out_of_memory,
  openssl,  // an OpenSSL call failed; Error::openssl_reason says why
};

// An error. It allocates nothing and can be copied freely.
struct Error {
  Errc code;
  // Where it is, from 1 on: the line of a text or a file; or which of an option's certificates or revocation lists. 0
  // where the message says all.
  std::uint32_t position = 0;
  std::string_view message;          // static, NUL-terminated, one line of printable ASCII
  int openssl_reason = 0;            // ERR_GET_REASON of OpenSSL's own error; 0 where there is none
  std::uint32_t other_position = 0;  // where two of an option's are wrong together: that of the earlier one

  friend bool operator==(const Error&, const Error&) = default;
};

// A T, or the Error that kept it from being made. Its members have the names and the meaning of C++23's std::expected,
// with these differences: an Error converts to it by itself (`return other.error();`), it has no value(), and `*`, `->`
// and error() called for what is not there end the program (std::abort).
//
// It is one type in C++20, C++23 and later, with exceptions and without: files of one program may differ in both.
template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_same_v<T, Error> && !std::is_reference_v<T>);

 public:
  // From whatever converts to T.
  template <class U = T>
    requires(std::convertible_to<U, T> && !std::same_as<std::remove_cvref_t<U>, Result> &&
             !std::same_as<std::remove_cvref_t<U>, Error>)
  Result(U&& value) noexcept(std::is_nothrow_constructible_v<T, U>)
      : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(const Error& error) noexcept : state_(std::in_place_index<1>, error) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& operator*() & noexcept { return there(std::get_if<0>(&state_)); }
  [[nodiscard]] const T& operator*() const& noexcept { return there(std::get_if<0>(&state_)); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(there(std::get_if<0>(&state_))); }
  [[nodiscard]] T* operator->() noexcept { return &there(std::get_if<0>(&state_)); }
  [[nodiscard]] const T* operator->() const noexcept { return &there(std::get_if<0>(&state_)); }

  [[nodiscard]] const Error& error() const noexcept { return there(std::get_if<1>(&state_)); }

  // The value, or, where there is none, what is given in its place.
  template <class U>
  [[nodiscard]] T value_or(U&& other) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(other));
  }
  template <class U>
  [[nodiscard]] T value_or(U&& other) && {
    return has_value() ? *std::move(*this) : static_cast<T>(std::forward<U>(other));
  }

  friend bool operator==(const Result&, const Result&) = default;

 private:
  template <class Alternative>
  static Alternative& there(Alternative* alternative) noexcept {
    if (alternative == nullptr) std::abort();
    return *alternative;
  }

  std::variant<T, Error> state_;
};

// Success, which has nothing to say (`return {};`), or an Error.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() noexcept = default;
  Result(const Error& error) noexcept : error_(error), failed_(true) {}

  [[nodiscard]] bool has_value() const noexcept { return !failed_; }
  [[nodiscard]] explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const Error& error() const noexcept {
    if (!failed_) std::abort();
    return error_;
  }

  friend bool operator==(const Result&, const Result&) = default;

 private:
  Error error_{};
  bool failed_ = false;
};

}  // namespace client_tls

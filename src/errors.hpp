// How failures become Errors, in functions that OpenSSL may be calling.
//
// The thread's OpenSSL error queue belongs to the host: one entry of ours, left between its SSL_read and SSL_get_error,
// would turn a WANT_READ into a fatal error.
#pragma once

#include <openssl/asn1err.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "client_tls/result.hpp"
#include "openssl_version.hpp"

namespace client_tls {

// Puts the queue back, at the end of its scope, to what it was at the beginning.
class ErrorQueueMark {
 public:
  ErrorQueueMark() noexcept { ERR_set_mark(); }
  ~ErrorQueueMark() { ERR_pop_to_mark(); }
  ErrorQueueMark(const ErrorQueueMark&) = delete;
  ErrorQueueMark& operator=(const ErrorQueueMark&) = delete;
};

[[nodiscard]] inline Error failure(Errc code, std::string_view message, std::size_t position = 0,
                                   std::size_t other_position = 0) noexcept {
  return {.code = code,
          .position = static_cast<std::uint32_t>(position),
          .message = message,
          .other_position = static_cast<std::uint32_t>(other_position)};
}

// For an OpenSSL call that has just failed. Call it while the mark is alive.
[[nodiscard]] inline Error openssl_failure(std::string_view message) noexcept {
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  const Errc code = ran_out_of_memory() ? Errc::out_of_memory : Errc::openssl;
  return {.code = code, .message = message, .openssl_reason = reason};
}

// Whether there is memory again, or still. OpenSSL 3.0 often fails for want of it without a word: what it calls wrong
// is tried once more.
[[nodiscard]] inline bool memory_is_there() noexcept {
  constexpr std::size_t probe_size = 65'536;
  void* probe = OPENSSL_malloc(probe_size);
  OPENSSL_free(probe);
  return probe != nullptr;
}

// Whether a signature is good, by X509_verify or one of its kind; an Error where that cannot be told.
template <class Verify>
[[nodiscard]] Result<bool> signature_is_good(Verify verify) noexcept {
  if (verify() == 1) return true;
  if (!memory_is_there()) return failure(Errc::out_of_memory, "out of memory");
  const int verified = verify();
  const unsigned long error = ERR_peek_last_error();
  const bool other_kind = ERR_GET_LIB(error) == ERR_LIB_ASN1 && ERR_GET_REASON(error) == ASN1_R_WRONG_PUBLIC_KEY_TYPE;
  if (verified == 1) return true;
  if (verified == 0 || other_kind) return false;
  return openssl_failure("a signature cannot be checked");
}

// Standard-library allocations that fail become errors, where the library is built with exceptions: what
// `make` returns, a Result, or out_of_memory.
template <class Make>
[[nodiscard]] auto or_out_of_memory(Make&& make) noexcept -> decltype(make()) {
#if defined(__cpp_exceptions)
  try {
    return std::forward<Make>(make)();
  } catch (const std::bad_alloc&) {
    return failure(Errc::out_of_memory, "out of memory");
  }
#else
  return std::forward<Make>(make)();
#endif
}

}  // namespace client_tls

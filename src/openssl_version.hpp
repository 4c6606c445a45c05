// What differs between OpenSSL 3.0 and 4.0: nothing else in the library asks for OpenSSL's version.
#pragma once

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cstdint>

namespace client_tls {

// From 3.2: QUIC. Almost any call on such a connection, from inside of one of its callbacks, waits for ever for a lock
// that OpenSSL holds; this one does not.
[[nodiscard]] inline bool is_quic(const SSL* ssl) noexcept {
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
  return SSL_is_quic(ssl) == 1;
#else
  (void)ssl;
  return false;
#endif
}

// From 3.2: a client that has proved a key, but presented no certificate (RFC 7250).
[[nodiscard]] inline bool presented_raw_public_key(const SSL* ssl) noexcept {
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
  return SSL_get0_peer_rpk(ssl) != nullptr;
#else
  (void)ssl;
  return false;
#endif
}

// From 3.2: the option that keeps a client from compressing its certificate (RFC 8879). 0 before.
#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION)
inline constexpr std::uint64_t no_compressed_certificate = SSL_OP_NO_RX_CERTIFICATE_COMPRESSION;
#else
inline constexpr std::uint64_t no_compressed_certificate = 0;
#endif

// Takes an SSL's own store away while the SSL is being freed, in the callback that frees its ex_data. Until 3.1 OpenSSL
// frees the store after that, and the policy that has it may be gone by then; newer versions have freed it before, and
// what it hung on. So it is the running version that counts: a program may be built with 3.0 and run with 3.5.
inline void release_store(SSL* ssl) noexcept {
  if (ssl != nullptr && OpenSSL_version_num() < 0x30200000L) SSL_set1_verify_cert_store(ssl, nullptr);
}

// When a session was made, in seconds since the epoch. From 3.3 a session has a fraction of a second besides, which
// nothing shows: its timeout counts from somewhere within the second.
[[nodiscard]] inline std::int64_t session_time(const SSL_SESSION* session) noexcept {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  return SSL_SESSION_get_time_ex(session);
#else
  return SSL_SESSION_get_time(session);
#endif
}

// Whether memory ran out since the error queue's last mark, for a call that has failed. Until 3.2 the last error says
// so; newer versions lay others over it. Drops errors, all of them since the mark.
[[nodiscard]] inline bool ran_out_of_memory() noexcept {
  const auto last_says_so = [] { return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE; };
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  while (ERR_count_to_mark() > 0 && !last_says_so() && ERR_pop() == 1) {
  }
  return ERR_count_to_mark() > 0;
#else
  return last_says_so();
#endif
}

}  // namespace client_tls

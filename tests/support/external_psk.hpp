// A key that both sides of a test have beforehand: an external PSK of TLS 1.3, which is a session that nobody has made
// in a handshake. Without the library.
#pragma once

#include <array>
#include <string_view>

#include "support/client.hpp"

namespace test {

inline constexpr std::array<unsigned char, 32> psk{1, 2, 3};
inline constexpr std::string_view psk_identity = "psk";

inline client_tls::SslSessionPtr psk_session(SSL* ssl) {
  static constexpr std::array<unsigned char, 2> aes256_sha384{0x13, 0x02};
  client_tls::SslSessionPtr session{SSL_SESSION_new()};
  SSL_SESSION_set1_master_key(session.get(), psk.data(), psk.size());
  SSL_SESSION_set_cipher(session.get(), SSL_CIPHER_find(ssl, aes256_sha384.data()));
  SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION);
  return session;
}

// The server's callback: for SSL_set_psk_find_session_callback.
inline int find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) {
  const bool ours = std::string_view{reinterpret_cast<const char*>(identity), size} == psk_identity;
  *session = ours ? psk_session(ssl).release() : nullptr;
  return 1;
}

// The client's: for SSL_set_psk_use_session_callback.
inline int use_psk(SSL* ssl, const EVP_MD* /*digest*/, const unsigned char** identity, std::size_t* size,
                   SSL_SESSION** session) {
  *identity = reinterpret_cast<const unsigned char*>(psk_identity.data());
  *size = psk_identity.size();
  *session = psk_session(ssl).release();
  return 1;
}

inline ClientOptions client_with_psk() {
  ClientOptions client;
  client.adjust = [](SSL* ssl) { SSL_set_psk_use_session_callback(ssl, use_psk); };
  return client;
}

}  // namespace test

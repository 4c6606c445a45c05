// Two SSLs that are joined by memory, what they do step by step, and sessions as bytes. Without the library.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client_tls/openssl_ptr.hpp"

namespace test {

void join(SSL* server, SSL* client);
std::uint64_t bytes_written(SSL* server, SSL* client);  // since they were joined

// What comes of a side's SSL_read, which goes on with its handshake. The error queue is empty afterwards.
struct Step {
  int error = SSL_ERROR_NONE;  // of SSL_get_error
  int reason = 0;              // of the last entry on the error queue

  [[nodiscard]] bool fatal() const { return error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL; }
};
Step step(SSL* ssl);

// The handshake alone: what comes after it stays unread.
void do_handshake(SSL* ssl);

// OpenSSL drops the session of a connection that was cut off.
void close_in_order(SSL* ssl);

// All that has reached this side, and that it has not read.
std::string take_off_wire(SSL* ssl);

// As if this side had sent it; whether all of it has reached the other.
bool put_on_wire(SSL* ssl, std::string_view bytes);

std::string id_of(const SSL_SESSION* session);
std::vector<unsigned char> bytes_of(SSL_SESSION* session);
client_tls::SslSessionPtr session_of(const std::vector<unsigned char>& bytes);  // null if they are none

}  // namespace test

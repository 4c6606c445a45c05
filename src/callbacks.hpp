// The functions that OpenSSL calls. None lets an exception out, and none leaves anything on the error queue.
#pragma once

#include <openssl/ssl.h>

namespace client_tls {

// Per connection, from bind_session.
int on_generate_session_id(SSL* ssl, unsigned char* id, unsigned int* size) noexcept;

// Per connection, from disable_session_reuse.
int on_not_resumable(SSL* ssl, int is_forward_secure) noexcept;

// Per SSL_CTX, from install; the argument is the Installation.
int on_client_hello(SSL* ssl, int* alert, void* argument) noexcept;
int on_certificate(SSL* ssl, void* argument) noexcept;

}  // namespace client_tls

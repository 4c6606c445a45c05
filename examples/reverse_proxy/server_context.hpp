// A listener's SSL_CTX: what it has from files and keeps until a restart.
#pragma once

#include <client_tls/openssl_ptr.hpp>
#include <filesystem>

namespace reverse_proxy {

// A server's SSL_CTX with its certificate chain and key, for TLS 1.2 and 1.3. Throws std::runtime_error.
client_tls::SslCtxPtr make_server_context(const std::filesystem::path& certificate, const std::filesystem::path& key);

// Session tickets are made and read with the key of this file: those who share it accept each other's. What is in the
// file stands in no message. Throws std::runtime_error: unreadable, or another size than OpenSSL's.
void use_ticket_key(SSL_CTX* ssl_ctx, const std::filesystem::path& file);

// Whether two have the same certificate chain, and with it the same key.
bool same_certificate(SSL_CTX* a, SSL_CTX* b);

bool same_ticket_key(SSL_CTX* a, SSL_CTX* b);

}  // namespace reverse_proxy

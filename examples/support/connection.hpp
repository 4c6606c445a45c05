// A client and a server in one process, joined by memory.
#pragma once

#include <openssl/ssl.h>

#include <string_view>

#include "client_tls/openssl_ptr.hpp"

namespace example {

struct Connection {
  client_tls::SslPtr server;
  client_tls::SslPtr client;
  client_tls::SslSessionPtr session;  // what the client takes home; null where the server refused it

  [[nodiscard]] bool accepted() const { return session != nullptr; }
  [[nodiscard]] std::string_view how() const {
    if (!accepted()) return "refused";
    return SSL_session_reused(server.get()) == 1 ? "resumed" : "full";
  }
};

// The client names the server, and offers the session if there is one.
Connection connect(SSL_CTX* server_ctx, SSL_CTX* client_ctx, const char* server_name, SSL_SESSION* session = nullptr);

}  // namespace example

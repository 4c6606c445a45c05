// What a listener's handshakes do: the proxy's side of client_tls::install.
#pragma once

#include <openssl/ssl.h>

#include <client_tls/install.hpp>
#include <client_tls/server_name.hpp>
#include <memory>
#include <string>

namespace reverse_proxy {

// What is known of a client's handshake besides its SSL.
struct HandshakeRecord {
  client_tls::ServerName server_name;  // empty until its ClientHello has come
  std::string error;                   // why the library ended it, if it did
};

// Installs the policies on the listener's SSL_CTX. Throws std::runtime_error.
void install_policies(SSL_CTX* ssl_ctx, std::shared_ptr<const client_tls::CurrentPolicies> policies);

// Lets the handlers find the record, which outlives the SSL. Before the handshake. Throws std::runtime_error.
void attach(SSL* ssl, HandshakeRecord& record);

}  // namespace reverse_proxy

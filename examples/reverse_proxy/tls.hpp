// The proxy's side of client_tls::install: what a listener's handshakes do, and how an upstream is told of the client.
#pragma once

#include <openssl/ssl.h>

#include <client_tls/install.hpp>
#include <client_tls/server_name.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "net.hpp"

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

// Client-Cert, and Client-Cert-Chain where there is more than one certificate (RFC 9440, section 2), from a PEM chain.
void set_client_certificate(http::fields& fields, std::string_view pem_chain);

}  // namespace reverse_proxy

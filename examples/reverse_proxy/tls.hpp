// What a listener's handshakes do: the proxy's side of client_tls::install.
#pragma once

#include <openssl/ssl.h>

#include <client_tls/policy.hpp>
#include <memory>

#include "client.hpp"

namespace reverse_proxy {

// Installs the policies on the listener's SSL_CTX. Throws std::runtime_error.
void install_policies(SSL_CTX* ssl_ctx, std::shared_ptr<const client_tls::CurrentPolicies> policies);

// Lets the handlers find the client, which outlives its connection. Before the handshake. Throws std::runtime_error.
void attach(Client& client);

}  // namespace reverse_proxy

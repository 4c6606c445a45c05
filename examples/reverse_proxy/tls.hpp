// What the TLS handshake asks of each client: the proxy's side of client_tls::install.
#pragma once

#include <openssl/ssl.h>

#include "config.hpp"

namespace reverse_proxy {

// Installs the handlers on the listener's SSL_CTX. The listener must outlive every connection.
// Throws std::runtime_error.
void install_handlers(const ListenerConfig& listener);

// The server name that the client asked for; null until its ClientHello has come.
const Site* site_of(const SSL* ssl);

}  // namespace reverse_proxy

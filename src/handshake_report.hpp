// Telling the host what a handshake has come to (Hooks::handshake_done).
#pragma once

#include "client_tls/install.hpp"
#include "connection.hpp"

namespace client_tls {

// Begins a handshake of which the host is to be told.
void begin_report(SSL* ssl, Connection& connection, const Hooks& hooks) noexcept;

// Installed::report: tells the hooks that the SSL_CTX has.
void tell_hooks(const Installed& installed, SSL* ssl, Connection& connection, bool completed) noexcept;

}  // namespace client_tls

// Telling the host what a handshake has come to (Hooks::handshake_done).
#pragma once

#include "client_tls/install.hpp"
#include "connection.hpp"

namespace client_tls {

// Begins a handshake of which the host is to be told.
void begin_report(SSL* ssl, Connection& connection, const Hooks& hooks) noexcept;

}  // namespace client_tls

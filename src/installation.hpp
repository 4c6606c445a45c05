// What install() leaves on an SSL_CTX: the handlers, and the policies if there are any. It is freed with the SSL_CTX.
#pragma once

#include <memory>

#include "client_tls/install.hpp"
#include "connection.hpp"

namespace client_tls {

struct Installation {
  Hooks hooks;
  std::shared_ptr<const CurrentPolicies> policies;
};

// Begins a handshake of which Hooks::handshake_done is to be told.
void begin_report(SSL* ssl, Connection& connection, const Hooks& hooks) noexcept;

// Tells of it, once; ssl is null where it is being freed.
void report_handshake(SSL* ssl, Connection& connection, bool completed) noexcept;

// The installation of an SSL_CTX; null where there is none.
[[nodiscard]] const Installation* installation_of(const SSL_CTX* ssl_ctx) noexcept;

}  // namespace client_tls

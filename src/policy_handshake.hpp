// A policy applied to one connection, in the two phases of its handshake.
#pragma once

#include "client_tls/policy.hpp"
#include "connection.hpp"

namespace client_tls {

// client_hello: binds the connection to its server name and the policy; null: an error, which refuses the connection.
[[nodiscard]] Result<void> begin_with_policy(SSL* ssl, Connection& connection, PolicyPtr policy) noexcept;

// certificate: asks as the connection's policy says.
[[nodiscard]] Result<void> ask_by_policy(SSL* ssl, Connection& connection) noexcept;

// The policy of the handshake, from its ClientHello on; null where there is none.
[[nodiscard]] const ClientAuthPolicy* policy_of(const SSL* ssl) noexcept;

}  // namespace client_tls

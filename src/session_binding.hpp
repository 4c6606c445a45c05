// The binding of sessions to their scope: what is stored in a session, and when a session is alive. Nothing else in the
// library touches a session's id context, its ticket appdata or its timeout.
//
// OpenSSL compares a session's id context with the connection's on every mechanism of resumption, and a mismatch is a
// full handshake. So a session is dead while it has a context that no connection presents. A session for which a
// certificate was asked begins dead (make_dead), and comes alive in one place (settle), when everything holds.
#pragma once

#include <initializer_list>
#include <string_view>

#include "connection.hpp"

namespace client_tls {

// Whether it is the client_hello callback: in any later one a scope would have no effect.
[[nodiscard]] Result<void> check_client_hello(SSL* ssl) noexcept;

// A host may not change its scope after a HelloRetryRequest; a policy's has been compared before.
enum class Caller : std::uint8_t { host, library };

// client_hello: gives the connection the scope's session id context. Forgets an earlier handshake on this SSL.
[[nodiscard]] Result<void> bind(SSL* ssl, Connection& connection, std::string_view scope, Caller caller) noexcept;

// certificate: makes the session of the handshake that is going on impossible to resume.
void make_dead(SSL* ssl) noexcept;

// The client's Finished has been verified, and no ticket was made and no cache filled: decides what the session carries
// and whether it is alive; on a resumed connection, whether what it carries is whole.
void settle(SSL* ssl, Connection& connection) noexcept;

// A TLS 1.3 ticket is about to be dated and encoded, in a copy of the session that is the ticket's own: it ends when
// the session it continues would have ended, and is dead if the client's certificate is no longer the settled one.
void prepare_ticket(SSL* ssl, const Connection& connection) noexcept;

// The certificates that the client sent after its leaf when it proved itself, as the session carries them; an error if
// it does not. The list is well-formed and lives as long as the session. A connection without a record carries nothing.
[[nodiscard]] Result<ByteView> carried_certificates(SSL* ssl, const Connection* connection) noexcept;

}  // namespace client_tls

// The certificate request, the verification of what answers it (on_verify, on_security), and the end of reuse.
#pragma once

#include "connection.hpp"

namespace client_tls {

// Between the processing of the ClientHello and the server's first flight, on a full handshake.
[[nodiscard]] Result<void> check_certificate_stage(SSL* ssl) noexcept;

// Holds the client's chain, and what a session carries of it, to the limits.
void set_limits(SSL* ssl, Connection& connection, const Limits& limits) noexcept;

// Asks with these names, or, if they are null, with the host's. Not yet verify_by_our_rules.
void ask(SSL* ssl, Connection& connection, X509NameStackPtr names) noexcept;

// No ticket and no cache entry will be made. It can be called in the client_hello phase, too.
void forbid_reuse(SSL* ssl, Connection& connection) noexcept;

// The same, and the session that is there is dead and has an empty id.
void disable_reuse(SSL* ssl, Connection& connection) noexcept;

// The client's certificate is there, or its raw public key, and nothing of ours has verified it. Where something of the
// host's did, and the policy requires it to be ours (SSL_CTX_set_cert_verify_callback), or where it brought more than
// the host has bound itself to, the handshake ends before the client's proof: every signature is denied (on_security).
void end_if_not_ours(SSL* ssl, Connection& connection) noexcept;

}  // namespace client_tls

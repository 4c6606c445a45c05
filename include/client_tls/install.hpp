// Policies on an SSL_CTX: one call of install() makes a proxy's client certificates right, and what ClientTls offers by
// hand is done by the library. Hooks are what a host may add. Who is let in is decided by ClientTls::verdict.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "client_tls/client_tls.hpp"
#include "client_tls/export.hpp"
#include "client_tls/phase.hpp"
#include "client_tls/policy.hpp"
#include "client_tls/policy_table.hpp"
#include "client_tls/result.hpp"
#include "client_tls/verdict.hpp"

namespace client_tls {

// What a handler says of the handshake it was called for.
enum class Decision : std::uint8_t {
  proceed,
  // Not yet: the answer comes from elsewhere. SSL_do_handshake returns with SSL_ERROR_WANT_CLIENT_HELLO_CB or
  // SSL_ERROR_WANT_X509_LOOKUP; call it again when the answer is there, and the handler is called again.
  suspend,
  // End the handshake: alert access_denied in client_hello; internal_error in certificate, where OpenSSL has no other.
  reject,
};

// What a handler is given: one handshake, in the handler's phase. It lives for the duration of the call.
class CLIENT_TLS_API Handshake {
 public:
  Handshake(SSL* ssl, PhaseContext& context, std::string_view server_name) noexcept
      : ssl_(ssl), tls_(ssl, context), phase_(context.phase()), server_name_(server_name) {}

  [[nodiscard]] SSL* ssl() const noexcept { return ssl_; }
  [[nodiscard]] const ClientTls& tls() const noexcept { return tls_; }
  [[nodiscard]] Phase phase() const noexcept { return phase_; }

  // Has this policy in place of the table's decide, from now on and through a suspension. In the client_hello phase
  // alone. Under the table's policy PSK callbacks may have been removed from the SSL already (install).
  //
  // Errors: wrong_phase; invalid_argument (null); too_late: after a HelloRetryRequest, for another policy than before;
  // openssl; out_of_memory. An error ends the handshake, whatever the handler then decides, since the table's policy is
  // not the one that was wanted (alert internal_error, and illegal_parameter for too_late).
  [[nodiscard]] Result<void> use(std::shared_ptr<const ClientAuthPolicy> policy) const noexcept;

  // The name in the ClientHello, in canonical form; empty where the client named none. See server_name.hpp.
  // In the certificate phase, too, it is the ClientHello's.
  [[nodiscard]] std::string_view server_name() const noexcept { return server_name_; }

 private:
  SSL* ssl_;
  ClientTls tls_;
  Phase phase_;
  std::string_view server_name_;
};

// A handshake that the library ended because of an error, not because a handler said so.
struct HandshakeError {
  SSL* ssl;
  Phase phase;
  Error error;  // where a handler threw a std::exception, the message is its what(), and valid during the call alone
};

// What a handshake has come to. It and what it points to live for the duration of the call.
struct HandshakeReport {
  const SSL* ssl;                  // null where it was abandoned: the SSL is being freed, or begins another one
  std::string_view server_name;    // in canonical form; empty where the client named none, or none that can be used
  const ClientAuthPolicy* policy;  // null where there was none for the name
  bool completed;
  Verdict verdict;  // of a handshake that was not completed: failed

  // What the client sent, leaf first, decoded, also where it was refused. Where the handshake was not completed nobody
  // has proved its key. On a resumed connection it is the leaf alone.
  std::span<X509* const> shown;

  // Why the session cannot be resumed; empty if it can. "chain too large to carry: 3,068 of 2,048 bytes", for instance.
  std::string_view not_resumable;
};

// The handlers. They are copied into the SSL_CTX, freed with it, and called from every thread that drives one of its
// connections, at the same time: what they share is theirs to guard.
struct Hooks {
  // Called on each ClientHello (again after a HelloRetryRequest), before a session is looked up, when the policy has
  // been applied. Default: proceed. It may suspend, reject, or have another policy decide (Handshake::use);
  // bind_session is Errc::policy_in_force.
  std::function<Decision(Handshake&)> client_hello;

  // Called in the certificate callback: on full handshakes only. Default: proceed. It may disable session reuse,
  // suspend or reject; request_client_certificate is Errc::policy_in_force.
  std::function<Decision(Handshake&)> certificate;

  // Told of a handler that threw or chose a policy that could not be used, and of a connection that could not be
  // bound; the handshake ends with alert internal_error. A ClientHello whose server name cannot be used ends it with
  // decode_error or unrecognized_name, one that changes the name after a HelloRetryRequest with illegal_parameter (RFC
  // 8446, section 4.1.2), a QUIC or DTLS connection with protocol_version: on a QUIC connection the hook must not call
  // OpenSSL with the SSL, which would wait for a lock for ever. Default: nobody is told, and the handshake ends all the
  // same. What it throws is dropped.
  std::function<void(const HandshakeError&)> error;

  // Called once for each handshake whose ClientHello reached the library: at its end, at its failure, or, where it was
  // abandoned, when the SSL is freed or begins its next handshake. Not for post-handshake authentication. Default:
  // nobody is told. What it throws is dropped. Designated initializers may leave it out.
  std::function<void(const HandshakeReport&)> handshake_done = {};  // NOLINT(readability-redundant-member-init)
};

// Installs policies on an SSL_CTX. From then on each of its connections gets the policy of the name in its ClientHello:
// it is asked for a certificate or not, verified against the policy's anchors, bound to the name and the policy's
// digest, so that a session resumes under that name as long as the policy is the same, and refused where the policy
// says so. A session under `required` was made with a verified certificate, or it does not resume.
//
// - Where a certificate is asked for, no early data (0-RTT) is accepted: it could be read before the client has proved
//   anything on this connection. It is a full or a resumed handshake, with the early data rejected.
// - Renegotiation is refused (SSL_OP_NO_RENEGOTIATION). Post-handshake authentication is not offered: after the
//   handshake the SSL's verify mode is SSL_VERIFY_NONE, whatever the SSL_CTX says. A host that starts one all the same
//   ends the connection's resumability, and its success: the certificate has been changed.
// - The hooks are called after the library has done its part. They can disable session reuse, suspend, reject, or have
//   another policy decide (Handshake::use); what a policy decides they cannot change.
// - The policy alone loosens a verification. The host's verify parameters (partial chains, no check of times, another
//   purpose, a host name) are replaced in the handshake, and put back when it is done; what makes them stricter
//   (X509_V_FLAG_X509_STRICT, Suite B, a security level above the policy's) is kept, and no session resumes where it
//   differs.
// - Under `required` external PSKs and cipher suites that ask for no certificate (PSK, SRP, anonymous) are refused: PSK
//   callbacks are removed from the SSL, for its life, since OpenSSL has no getter for them. A verification that the
//   host's SSL_CTX_set_cert_verify_callback bypasses ends the handshake before the client's proof, or, with
//   Refusal::host, counts as failed.
// - Where connections switch to another SSL_CTX (in a servername callback), the policy of the ClientHello's name holds.
//   Install the same policies on all of them; where one was forgotten, a client that presents a certificate there is
//   refused, and so is every client of a `required` name, unless the host is to refuse it (Refusal::host). One that
//   was forgotten and is given to SSL_new comes before any policy: full handshakes end in the certificate callback of
//   the SSL_CTX switched to, and a resumed TLS 1.3 connection has a failed verdict. A resumed TLS 1.2 connection
//   cannot be told from one that belongs there, since SSL_get_servername has the name of another connection.
//
// The policies are shared: one CurrentPolicies may serve any number of SSL_CTXs. Call it before the SSL_CTX is used,
// from one thread. Its client_hello and certificate callbacks are replaced: OpenSSL has no getter for either, and a
// host that needs its own calls ClientTls from them instead. Errors: invalid_argument (a null); already_installed;
// out_of_memory; openssl. Nothing is changed then. OpenSSL: SSL_CTX_set_client_hello_cb, SSL_CTX_set_cert_cb,
// SSL_CTX_set_ex_data; per connection SSL_set_verify, SSL_set1_verify_cert_store, SSL_get0_param,
// SSL_set_security_callback, SSL_set_psk_server_callback, SSL_set_psk_find_session_callback, SSL_set_max_early_data,
// SSL_set_num_tickets, SSL_set_options.
[[nodiscard]] CLIENT_TLS_API Result<void> install(SSL_CTX* ssl_ctx, std::shared_ptr<const CurrentPolicies> policies,
                                                  Hooks hooks = {}) noexcept;

// The policy of a connection, from its ClientHello on; null where there is none. It lives as long as the connection, or
// until its SSL begins another handshake (SSL_clear). On the thread that drives the SSL.
[[nodiscard]] CLIENT_TLS_API const ClientAuthPolicy* get0_policy(const SSL* ssl) noexcept;

}  // namespace client_tls

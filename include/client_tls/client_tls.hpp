// The facade: what a proxy asks, forbids and learns about the client certificate of one connection. Whether the client
// is authenticated is verdict(), and nothing else.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "client_tls/export.hpp"
#include "client_tls/limits.hpp"
#include "client_tls/log.hpp"
#include "client_tls/phase.hpp"
#include "client_tls/result.hpp"
#include "client_tls/verdict.hpp"

namespace client_tls {

// Where a proxy is: one per handshake and one per request, owned by the proxy and moved on with enter(). It holds the
// phase and this request's override of client_verify, and nothing about the connection: so each stream of an HTTP/2
// connection can be in a phase of its own, with an override of its own.
//
// Not synchronised: one context is used by one thread at a time. Contexts of the same connection are independent.
class PhaseContext {
 public:
  explicit PhaseContext(Phase phase) noexcept : phase_(phase) {}

  [[nodiscard]] Phase phase() const noexcept { return phase_; }

  // Moves to another phase. Going back is allowed: proxies retry and redirect internally. The override stays.
  void enter(Phase phase) noexcept { phase_ = phase; }

  // This request's override of client_verify: empty until set_client_verify is called, then kept until it is replaced.
  [[nodiscard]] const std::optional<ClientVerify>& client_verify() const noexcept { return client_verify_; }

 private:
  friend class ClientTls;

  std::optional<ClientVerify> client_verify_;
  std::string_view verdict_text_;  // the log's, of the verdict that was last given in this context; static
  Phase phase_;
  bool verdict_failed_ = false;
};

// What a bound connection is held to.
struct BindOptions {
  Limits limits;

  // How long an authentication lasts at the most, from the full handshake in which the client proved itself, however
  // often it was resumed since; 1 to 2^31 - 1 seconds. Default: until the first certificate of the chain ends, which
  // always holds besides.
  std::optional<std::chrono::seconds> max_age;
};

class ClientAuthPolicy;

// The operations on one connection, each allowed in the phases that phase_table (phase.hpp) lists. Two pointers: make
// one wherever it is needed. It borrows both; what belongs to the connection hangs on the SSL and is freed with it.
//
// By hand the host calls bind_session and request_client_certificate; under a policy (install, policy.hpp) the library
// has done both, and they are Errc::policy_in_force. In a request phase the host asks for the verdict before it takes
// the chain for anybody's identity.
//
// All operations:
// - Phases: a wrong phase is Errc::wrong_phase, and nothing is done.
// - Errors: no_tls for a null SSL*; unsupported for a client-side SSL, DTLS and QUIC (set_client_verify never looks at
//   the SSL); out_of_memory. An error changes no state, with one exception that errs on the safe side: a connection
//   whose request failed half-way is not resumable.
// - Thread: the one that drives the SSL, unless an operation says otherwise.
// - They never throw, except set_client_verify(std::string_view). A library built with -fno-exceptions cannot report
//   that standard-library memory was lacking: there, log_entry, ClientVerify::parse and the first call that makes the
//   text of a chain end the program.
// - OpenSSL's error queue is afterwards as it was before.
class CLIENT_TLS_API ClientTls {
 public:
  ClientTls(SSL* ssl, PhaseContext& context) noexcept : ssl_(ssl), context_(&context) {}
  ClientTls(SSL*, PhaseContext&&) = delete;        // a context outlives its facade,
  ClientTls(SSL*, const PhaseContext&&) = delete;  // so a temporary is not accepted

  // Ties the connection to a scope of 1 to 4096 bytes: it resumes only sessions that were made in the same scope, and
  // its own session is resumed only there. Anything else is a full handshake. The scope names everything that decides
  // who may resume: usually the server name and what is asked of clients there. It also forgets what an earlier
  // connection left on this SSL (SSL_clear). A scope that is the same for all names separates none of them.
  //
  // On a bound connection a session carries the client's chain and ends when the first certificate of the chain does,
  // or up to two seconds earlier; post-handshake authentication ends its resumability. A client that presented a raw
  // public key where a certificate was asked for has no session that resumes.
  //
  // The options hold whoever asks for the certificate: request_client_certificate, or the host by itself
  // (SSL_set_verify). After a HelloRetryRequest the scope must be the same as before (too_late).
  //
  // Does not authenticate anyone, and does not help where another connection of the same SSL_CTX is left unbound:
  // see docs/design.md, "Who must bind".
  //
  // Phases: client_hello, from SSL_CTX_set_client_hello_cb's callback, again on each call of it.
  // Errors: invalid_argument (scope, options); policy_in_force; too_early, too_late or handshake_over outside that
  // callback: later, OpenSSL would ignore it without a word; openssl.
  // OpenSSL: SSL_set_session_id_context with a digest of the scope (SHA-256, from the default library context),
  // SSL_set_info_callback (a callback that was there is called on), SSL_set_generate_session_id (replaces the host's),
  // SSL_set_max_cert_list.
  [[nodiscard]] Result<void> bind_session(std::string_view scope, const BindOptions& options = {}) const noexcept;

  // Asks the client for its certificate in this handshake, without requiring one: the handshake completes without a
  // certificate, and with one that does not verify. It is verified against the SSL's own verify store; verdict says
  // with what result. The limits are those of bind_session; on a connection that is not bound they are the defaults,
  // and this also disables session reuse.
  //
  // Hints are CA certificates whose subject names are sent to the client, each once, in place of the host's client CA
  // list; none leaves that list as it is. Hints are not trust. They are copied.
  //
  // The client may not compress it (RFC 8879): the limits are on what arrives.
  //
  // Does not change who is trusted, and holds for this handshake alone: afterwards the host's own verify mode, callback
  // and options hold again. SSL_CTX_set_cert_verify_callback bypasses the verification this relies on: such a
  // connection has a failed verdict and is not resumable.
  //
  // Phases: certificate, from SSL_CTX_set_cert_cb's callback. Repeating it replaces the former request.
  // Errors: invalid_argument (a null or nameless hint, names of more than 64,000 bytes together); policy_in_force;
  // too_early; too_late, on a resumed session; handshake_over; openssl. OpenSSL: SSL_set_verify, SSL_set_client_CA_list
  // (RFC 8446, sections 4.2.4 and 4.3.2; RFC 5246, section 7.4.4), SSL_OP_NO_RX_CERTIFICATE_COMPRESSION,
  // SSL_SESSION_set1_id_context.
  [[nodiscard]] Result<void> request_client_certificate(std::span<X509* const> hints = {}) const noexcept;

  // Makes this connection's session impossible to resume: no NewSessionTicket, an empty session id in a TLS 1.2
  // ServerHello, no entry in OpenSSL's cache, no call of the host's new-session callback. Should a ticket come about
  // all the same (SSL_new_session_ticket, post-handshake authentication), nothing resumes from it.
  //
  // Does not keep this connection from having been resumed: the certificate phase comes only on full handshakes. To
  // accept no session at all, bind the connection to a scope that no other has.
  //
  // Phases: certificate. Repeating it changes nothing.
  // Errors: too_early; too_late, on a resumed session; handshake_over; openssl.
  // OpenSSL: SSL_set_num_tickets, SSL_set_not_resumable_session_callback (replaces the host's), SSL_SESSION_set1_id,
  // SSL_SESSION_set1_id_context.
  [[nodiscard]] Result<void> disable_session_reuse() const noexcept;

  // The certificates the client sent, in PEM, leaf first, then the others in the client's order; empty where the client
  // presented none. On a resumed connection it is the same bytes as on the one where the client proved itself, or
  // chain_not_carried: never empty, never shorter. It is what the client sent, whether it verified or not: verdict()
  // says who the client is.
  //
  // Under a policy that requires a certificate it is not_authenticated while the verdict is not success, so that a host
  // that asks for the chain alone is closed, too.
  //
  // Phases: preread and every request phase. Errors: too_early before the handshake is complete, so also while early
  // data is read, and while post-handshake authentication has brought a certificate whose key is not proved;
  // not_authenticated; chain_not_carried; openssl.
  // Lifetime: the text belongs to the connection, until SSL_free, SSL_clear with a new bind_session, or a change of the
  // client's certificate (post-handshake authentication).
  // Thread: the first call with the one that drives the SSL; later calls with any, while no handshake runs.
  // OpenSSL: SSL_get0_peer_certificate, SSL_get_peer_cert_chain, SSL_SESSION_get0_ticket_appdata; RFC 7468.
  [[nodiscard]] Result<std::optional<std::string_view>> get_full_client_certificate_chain() const noexcept;

  // Who the client is, now: see Verdict. It is asked anew each time, so that an authentication that has ended since, or
  // another certificate after the handshake, is seen; the verdict itself can be asked again with status_at. The
  // connection's policy decides, as it was at the ClientHello; a later replacement of the table changes nothing.
  //
  // Phases: preread and every request phase. Errors: too_early before the handshake is complete, and while
  // post-handshake authentication has brought a certificate whose key is not proved; of a client that is not a success,
  // out_of_memory and openssl, when what it presented cannot be had (Verdict::presented).
  // It takes no lock, and allocates for that text alone, once.
  // OpenSSL: SSL_get0_peer_certificate, SSL_get_verify_result, SSL_get0_verified_chain.
  [[nodiscard]] Result<Verdict> verdict() const noexcept;

  // The same question by another policy's rules: a route's, or the one that the table has now for the connection's
  // name. All that verdict() asks but the verification (the key is proved, the chain is carried, it has not been
  // changed since), then the policy's own anchors, lists, depth, purpose, limits, and its maximum age since the client
  // proved itself. It never touches the session. Remembered for the last 8 policies of a connection: only the first
  // call for each verifies.
  //
  // Phases and errors: as verdict(); invalid_argument for a policy that asks for nothing; out_of_memory; openssl.
  // OpenSSL: X509_verify_cert.
  [[nodiscard]] Result<Verdict> verdict(const ClientAuthPolicy& policy) const noexcept;

#if defined(__cpp_exceptions)
  // Overrides what this request's log says of the client: "SUCCESS", "NONE" or "FAILED:<reason>"; see
  // ClientVerify::parse. It is kept in the context and touches the log alone: no header, no verdict, not who may
  // resume. It never looks at the SSL.
  //
  // Throws std::invalid_argument for a bad value, PhaseError for a wrong phase, std::bad_alloc; the former value stays.
  void set_client_verify(std::string_view value) const {
    if (!allowed(Operation::set_client_verify, context_->phase())) {
      throw PhaseError(wrong_phase(Operation::set_client_verify, context_->phase()));
    }
    auto parsed = ClientVerify::parse(value);
    if (!parsed && parsed.error().code == Errc::out_of_memory) throw std::bad_alloc();
    if (!parsed) throw std::invalid_argument(std::string(parsed.error().message));
    context_->client_verify_ = std::move(*parsed);
  }
#endif

  // The same for callers inside C frames, or built without exceptions. Errors: wrong_phase; invalid_argument for a
  // value that was moved from.
  [[nodiscard]] Result<void> set_client_verify(ClientVerify value) const noexcept;

  // Kong's request.tls. client_verify is the context's override; without one, the text of the verdict that was last
  // given in this context, or, if there was none, of the verdict now: NONE without a certificate, SUCCESS, or FAILED:
  // and one of the library's own reasons or, as in nginx's $ssl_client_verify, the last of OpenSSL's.
  //
  // Phases: log. Errors: too_early before the handshake is complete.
  // OpenSSL: SSL_get_version, SSL_get_cipher_name, SSL_get_verify_result.
  [[nodiscard]] Result<LogEntry> log_entry() const noexcept;

  // The same operations with the phase known to the compiler: an operation that the phase does not allow does not
  // compile, and the message names both (AllowedInPhase).
  template <Phase P>
  class In;

 private:
  [[nodiscard]] Result<Verdict> give(Verdict verdict) const noexcept;

  SSL* ssl_;
  PhaseContext* context_;
};

// ClientTls::In<Phase::certificate>{ssl, context} enters the phase and has its operations. Should the context be moved
// on afterwards, the run-time check still holds.
template <Phase P>
class ClientTls::In {
 public:
  In(SSL* ssl, PhaseContext& context) noexcept : tls_(ssl, context) { context.enter(P); }
  In(SSL*, PhaseContext&&) = delete;
  In(SSL*, const PhaseContext&&) = delete;

  [[nodiscard]] Result<void> bind_session(std::string_view scope, const BindOptions& options = {}) const noexcept
    requires detail::AllowedInPhase<Operation::bind_session, detail::InPhase<P>>
  {
    return tls_.bind_session(scope, options);
  }

  [[nodiscard]] Result<void> request_client_certificate(std::span<X509* const> hints = {}) const noexcept
    requires detail::AllowedInPhase<Operation::request_client_certificate, detail::InPhase<P>>
  {
    return tls_.request_client_certificate(hints);
  }

  [[nodiscard]] Result<void> disable_session_reuse() const noexcept
    requires detail::AllowedInPhase<Operation::disable_session_reuse, detail::InPhase<P>>
  {
    return tls_.disable_session_reuse();
  }

  [[nodiscard]] Result<std::optional<std::string_view>> get_full_client_certificate_chain() const noexcept
    requires detail::AllowedInPhase<Operation::get_full_client_certificate_chain, detail::InPhase<P>>
  {
    return tls_.get_full_client_certificate_chain();
  }

  [[nodiscard]] Result<Verdict> verdict() const noexcept
    requires detail::AllowedInPhase<Operation::verdict, detail::InPhase<P>>
  {
    return tls_.verdict();
  }

  [[nodiscard]] Result<Verdict> verdict(const ClientAuthPolicy& policy) const noexcept
    requires detail::AllowedInPhase<Operation::verdict, detail::InPhase<P>>
  {
    return tls_.verdict(policy);
  }

#if defined(__cpp_exceptions)
  void set_client_verify(std::string_view value) const
    requires detail::AllowedInPhase<Operation::set_client_verify, detail::InPhase<P>>
  {
    tls_.set_client_verify(value);
  }
#endif

  [[nodiscard]] Result<void> set_client_verify(ClientVerify value) const noexcept
    requires detail::AllowedInPhase<Operation::set_client_verify, detail::InPhase<P>>
  {
    return tls_.set_client_verify(std::move(value));
  }

  [[nodiscard]] Result<LogEntry> log_entry() const noexcept
    requires detail::AllowedInPhase<Operation::log_entry, detail::InPhase<P>>
  {
    return tls_.log_entry();
  }

 private:
  ClientTls tls_;
};

}  // namespace client_tls

// Hooks: what a host may add to the handshakes of an SSL_CTX with policies (install, policy.hpp).
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

class ClientAuthPolicy;

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

}  // namespace client_tls

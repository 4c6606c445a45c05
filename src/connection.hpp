// What the library keeps for one connection, in an ex_data slot of its SSL, and the registration of the slots.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "client_tls/limits.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"
#include "client_tls/server_name.hpp"
#include "client_tls/verdict.hpp"
#include "envelope.hpp"
#include "host_settings.hpp"
#include "pem_writer.hpp"

namespace client_tls {

class ClientAuthPolicy;
struct Connection;

// What install leaves on an SSL_CTX, as far as it is known here; it is freed with the SSL_CTX.
class Installed {
 public:
  Installed() = default;
  Installed(const Installed&) = delete;
  Installed& operator=(const Installed&) = delete;
  virtual ~Installed() = default;

  // Tells the host what a handshake has come to; ssl is null where it is being freed.
  virtual void report(SSL* ssl, Connection& connection, bool completed) const noexcept = 0;
};

// Why a session cannot be resumed.
enum class NotResumable : std::uint8_t {
  nothing,
  reuse_disabled,
  no_certificate,
  not_verified,
  ended,
  not_carried,
  too_large,
  memory
};

// Why a handshake must not complete; the last counts most.
enum class Doom : std::uint8_t {
  none,
  not_verified,    // by our rules, or more certificates than the host has bound itself to
  choice_failed,   // Handshake::use did
  another_policy,  // was chosen after the HelloRetryRequest
};

// Verdicts by other policies than the connection's own, on one certificate; the oldest makes room for the next.
struct Judgements {
  struct Judgement {
    std::array<unsigned char, 32> policy;
    Verdict verdict;
  };
  std::array<Judgement, 8> all;
  std::size_t count = 0;
  X509Ptr leaf;
};

// What was worked out for who asked.
struct Answers {
  // The chain as it was asked for last, and whose it is.
  Pem pem;
  X509Ptr pem_leaf;

  std::unique_ptr<Judgements> judgements;
};

// One allocation for each connection, a large part of it the name: the benchmarks hold it to 512 bytes.
struct Connection {
  // Whose handshake this is about: an SSL can be used again (SSL_clear), and nothing here may outlive its client. The
  // beginning of the client's random, which it chooses itself, and, from the end of the handshake on, of the server's.
  std::array<unsigned char, 16> client_random{};
  std::array<unsigned char, 8> server_random{};

  // From bind_session and the certificate phase.
  std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> session_id_context{};
  std::int64_t max_age = std::numeric_limits<std::int32_t>::max();  // of an authentication, in seconds
  bool bound = false;
  bool suspended = false;    // the client_hello handler will be called again for this ClientHello
  bool retried = false;      // a HelloRetryRequest was sent
  bool bound_again = false;  // for the ClientHello after it
  Doom doom = Doom::none;
  bool asked = false;              // request_client_certificate was called in this handshake
  bool reuse_disabled = false;     // disable_session_reuse was
  bool verified = false;           // the verification that request_client_certificate relies on took place
  bool required = false;           // a session without a verified certificate is not resumable,
  bool refuse_unverified = false;  // and no handshake completes without one
  std::uint16_t max_chain_certificates = Limits{}.max_chain_certificates;
  std::uint16_t max_carried_bytes = Limits{}.max_carried_bytes;
  static_assert(Limits::max_limit_bytes <= std::numeric_limits<std::uint16_t>::max());

  // From the end of the handshake (session_binding.hpp). `leaf` is the certificate that the client had then.
  bool settled = false;
  bool carried = false;  // the session carries the whole chain of `leaf`: that of a bound connection, and of no other
  bool handshake_done = false;
  X509Ptr leaf;
  std::int64_t not_after = std::numeric_limits<std::int64_t>::max();  // seconds since the epoch
  std::unique_ptr<Authentication> authentication;

  std::unique_ptr<Answers> answers;

  // Whose hook is to be told of this handshake; null where nobody is, or has been.
  SslCtxPtr told;
  NotResumable not_resumable = NotResumable::nothing;
  std::uint32_t chain_size = 0;  // of what was too large to carry

  ServerName server_name;                          // under install
  std::shared_ptr<const ClientAuthPolicy> policy;  // likewise, with policies
  HostSettings host;
};

// unsupported for DTLS and QUIC. It changes nothing, and is the first that a callback asks.
[[nodiscard]] Result<void> check_transport(const SSL* ssl) noexcept;

// The record on this SSL, whichever handshake it is about; null where there is none.
[[nodiscard]] Connection* find_connection(const SSL* ssl) noexcept;

// The same, made if there is none; null when memory has run out.
[[nodiscard]] Connection* make_connection(SSL* ssl) noexcept;

// Whether the record of an SSL is about this handshake, whose ClientHello has been processed.
[[nodiscard]] bool is_current(const Connection& connection, const SSL* ssl) noexcept;

// Whether it is about the ClientHello that is being processed, whose random OpenSSL has not taken over yet.
[[nodiscard]] bool in_client_hello(const Connection& connection, const SSL* ssl) noexcept;

// The record of this handshake, once its ClientHello has been processed; null where there is none.
[[nodiscard]] Connection* current_connection(const SSL* ssl) noexcept;

// Whether OpenSSL has taken over what is in the first ClientHello of this handshake: that one's callback is over.
[[nodiscard]] bool client_hello_taken_over(const SSL* ssl) noexcept;

// In the client_hello callback: the record of this handshake, if the callback was called for it before (it was
// suspended, or this is the ClientHello after a HelloRetryRequest); otherwise null.
[[nodiscard]] Connection* begun_connection(SSL* ssl) noexcept;

// The record of this handshake, made if there is none; null when memory has run out.
[[nodiscard]] Connection* make_current_connection(SSL* ssl) noexcept;

// The connection's answers, made if there are none; null when memory has run out.
[[nodiscard]] Answers* make_answers(Connection& connection) noexcept;

// The SSL_CTX slot, for what install leaves, registered by the first call; negative when memory has run out.
[[nodiscard]] int ssl_ctx_index() noexcept;

// Whether the client's Finished has arrived: the first handshake is complete, but for what the server still sends.
// (RFC 8446, section 4.4.4; it stays so during post-handshake authentication and renegotiation.)
[[nodiscard]] bool client_finished(const SSL* ssl) noexcept;

// Forgets everything about an earlier handshake on this SSL. The server name stays.
void reset(SSL* ssl, Connection& connection) noexcept;

// What install has left on an SSL_CTX; null where it has not been called.
[[nodiscard]] const Installed* installed_on(const SSL_CTX* ssl_ctx) noexcept;

// Tells whoever is to be told of this handshake, once; ssl is null where it is being freed.
void report_handshake(SSL* ssl, Connection& connection, bool completed) noexcept;

}  // namespace client_tls

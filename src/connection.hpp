// What the library keeps for one connection, in an ex_data slot of its SSL, and the registration of the slots.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>

#include "client_tls/client_tls.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/server_name.hpp"
#include "pem.hpp"

namespace client_tls {

class ClientAuthPolicy;

using InfoCallback = void (*)(const SSL*, int, int);

// Settings of the host's on this SSL that a handshake of ours has replaced, to be put back.
struct HostSettings {
  std::optional<int> verify_mode;
  std::optional<long> max_cert_list;
  std::optional<std::size_t> num_tickets;
  std::optional<std::uint32_t> max_early_data;
  std::optional<InfoCallback> info;
  SSL_verify_cb verify_callback = nullptr;  // called on from ours even later: SSL_set_verify cannot take ours away
  bool client_ca_list_replaced = false;
  bool verify_store_replaced = false;
  bool compression_switched_off = false;
};

// One allocation for each connection, a large part of it the name: the benchmarks hold it to 512 bytes.
struct Connection {
  // Whose handshake this is about: an SSL can be used again (SSL_clear), and nothing here may outlive its client.
  std::array<unsigned char, SSL3_RANDOM_SIZE> client_random{};

  // From bind_session and the certificate phase.
  std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> session_id_context{};
  std::int64_t max_age = std::numeric_limits<std::int32_t>::max();  // of an authentication, in seconds
  bool bound = false;
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

  // The chain as it was asked for last, and whose it is.
  Pem pem;
  X509Ptr pem_leaf;

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

// The record of this handshake, once its ClientHello has been processed; null where there is none.
[[nodiscard]] Connection* current_connection(const SSL* ssl) noexcept;

// The record of this handshake in the callback for the ClientHello after a HelloRetryRequest; otherwise null.
[[nodiscard]] Connection* retried_connection(const SSL* ssl) noexcept;

// The record of this handshake, made if there is none; null when memory has run out.
[[nodiscard]] Connection* make_current_connection(SSL* ssl) noexcept;

// The SSL_CTX slot, registered by the first call; negative when memory has run out. What is stored there is freed with
// `release`.
using Release = void (*)(void*);
[[nodiscard]] int ssl_ctx_index(Release release) noexcept;

// Whether the client's Finished has arrived: the first handshake is complete, but for what the server still sends.
// (RFC 8446, section 4.4.4; it stays so during post-handshake authentication and renegotiation.)
[[nodiscard]] bool client_finished(const SSL* ssl) noexcept;

// Has OpenSSL tell us of the handshake's progress (on_info), until it is done.
void watch(SSL* ssl, Connection& connection) noexcept;

// Puts back what a handshake replaced and must not outlive it; the rest stays until `reset`.
void restore_host_settings(SSL* ssl, Connection& connection) noexcept;

// Forgets everything about an earlier handshake on this SSL. The server name stays.
void reset(SSL* ssl, Connection& connection) noexcept;

}  // namespace client_tls

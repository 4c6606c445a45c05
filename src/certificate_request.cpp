#include "certificate_request.hpp"

#include <new>
#include <utility>

#include "errors.hpp"
#include "openssl_version.hpp"
#include "policy_rules.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

constexpr int proceed_with_handshake = 1;
constexpr int end_handshake = 0;

// Every error of the verification, in the order found; false when memory has run out.
bool record_error(Connection& connection, X509_STORE_CTX* store) noexcept {
  if (!connection.authentication) connection.authentication.reset(new (std::nothrow) Authentication);
  if (!connection.authentication) return false;
  connection.authentication->add(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
  return true;
}

// Ends the handshake with an error of ours, of which whoever is told of the handshake learns.
int refuse(Connection& connection, X509_STORE_CTX* store, int error) noexcept {
  X509_STORE_CTX_set_error(store, error);
  (void)record_error(connection, store);
  return end_handshake;
}

// OpenSSL leaves in the queue why a signature is wrong, for instance: beside a handshake that goes on, SSL_get_error
// would take it for a fatal error of the next step. The queue was empty when this step began.
void forget_openssls_errors() noexcept {
  ERR_clear_error();
}

// The verification's result is that of the errors before this one.
void forget_error(const Connection& connection, X509_STORE_CTX* store) noexcept {
  const Authentication* found = connection.authentication.get();
  const std::size_t count = found != nullptr ? found->reason_count : 0;
  X509_STORE_CTX_set_error(store, count > 0 ? found->reasons[count - 1].code : X509_V_OK);
}

// Whether the policy lets the error pass.
bool tolerates(Connection& connection, X509_STORE_CTX* store) noexcept {
  if (connection.policy == nullptr) return false;
  if (is_about_anchor(store)) {
    forget_error(connection, store);
    forget_openssls_errors();
    return true;
  }
  const std::uint8_t leniency = leniency_for(*connection.policy, store);
  if (leniency == 0) return false;
  if (!connection.authentication) connection.authentication.reset(new (std::nothrow) Authentication);
  if (!connection.authentication) return false;
  Authentication& authentication = *connection.authentication;
  authentication.leniency = static_cast<std::uint8_t>(authentication.leniency | leniency);
  forget_error(connection, store);
  return true;
}

// For who is told of the handshake: OpenSSL forgets what it refuses.
void keep_shown(Connection& connection, X509_STORE_CTX* store) noexcept {
  if (!connection.told) return;
  if (!connection.authentication) connection.authentication.reset(new (std::nothrow) Authentication);
  if (!connection.authentication || connection.authentication->shown) return;
  connection.authentication->shown.reset(X509_chain_up_ref(X509_STORE_CTX_get0_untrusted(store)));
}

// What ends the handshake whatever OpenSSL has found: more certificates than are allowed, or other anchors than the
// policy's, since the SSL_CTX may have been exchanged for one that does not ask as the connection's policy says.
int error_beside_openssls(const Connection& connection, X509_STORE_CTX* store) noexcept {
  const int sent = sk_X509_num(X509_STORE_CTX_get0_untrusted(store));
  if (sent > static_cast<int>(connection.max_chain_certificates)) return X509_V_ERR_CERT_CHAIN_TOO_LONG;
  const bool by_the_policy =
      connection.policy == nullptr || X509_STORE_CTX_get0_store(store) == connection.policy->get0_store();
  return by_the_policy ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION;
}

// Under the others OpenSSL sends no CertificateRequest, whatever the verify mode says.
bool asks_for_certificates(const SSL_CIPHER* cipher) noexcept {
  const int authentication = SSL_CIPHER_get_auth_nid(cipher);
  return authentication != NID_auth_psk && authentication != NID_auth_srp && authentication != NID_auth_null;
}

// Called by OpenSSL at the beginning of a full handshake.
int on_not_resumable(SSL* ssl, int /*is_forward_secure*/) noexcept {
  const Connection* connection = current_connection(ssl);
  return connection != nullptr && connection->reuse_disabled ? 1 : 0;
}

}  // namespace

Result<void> check_certificate_stage(SSL* ssl) noexcept {
  if (client_finished(ssl)) return failure(Errc::handshake_over, "the handshake is complete");
  if (!client_hello_taken_over(ssl) || SSL_get_session(ssl) == nullptr) {
    return failure(Errc::too_early, "the ClientHello has not been processed");
  }
  if (SSL_session_reused(ssl) == 1) return failure(Errc::too_late, "the connection has resumed a session");
  return {};
}

void set_limits(SSL* ssl, Connection& connection, const Limits& limits) noexcept {
  set_max_cert_list(ssl, connection.host, limits.max_chain_bytes);
  connection.max_chain_certificates = static_cast<std::uint16_t>(limits.max_chain_certificates);
  connection.max_carried_bytes = static_cast<std::uint16_t>(limits.max_carried_bytes);
}

void ask(SSL* ssl, Connection& connection, X509NameStackPtr names) noexcept {
  set_ca_names(ssl, connection.host, std::move(names));
  connection.asked = true;
  watch(ssl, connection.host);
}

void forbid_reuse(SSL* ssl, Connection& connection) noexcept {
  connection.reuse_disabled = true;
  SSL_set_not_resumable_session_callback(ssl, on_not_resumable);
  set_num_tickets(ssl, connection.host, 0);
}

void disable_reuse(SSL* ssl, Connection& connection) noexcept {
  make_dead(ssl);
  SSL_SESSION_set1_id(SSL_get_session(ssl), reinterpret_cast<const unsigned char*>(""), 0);
  forbid_reuse(ssl, connection);
}

void end_if_not_ours(SSL* ssl, Connection& connection) noexcept {
  if (connection.verified || connection.doom != Doom::none || SSL_session_reused(ssl) == 1) return;
  if (SSL_get0_peer_certificate(ssl) == nullptr && !presented_raw_public_key(ssl)) return;
  const bool bypassed = connection.refuse_unverified && connection.asked;
  const int others = sk_X509_num(SSL_get_peer_cert_chain(ssl));
  const bool too_many = others >= static_cast<int>(connection.max_chain_certificates);
  if (!bypassed && !(too_many && connection.bound)) return;
  connection.doom = Doom::not_verified;
  watch_security(ssl, connection.host);
}

int on_security(const SSL* ssl, const SSL_CTX* ssl_ctx, int operation, int bits, int nid, void* other,
                void* host_data) noexcept {
  const Connection* connection = ssl != nullptr ? find_connection(ssl) : nullptr;
  if (connection == nullptr || !connection->host.verification || !connection->host.verification->security) return 0;
  // Not on an SSL that is used again, whose next ClientHello has yet to come.
  if (connection->doom != Doom::none && client_hello_taken_over(ssl)) return 0;
  if (operation == SSL_SECOP_CIPHER_SHARED && !asks_for_certificates(static_cast<const SSL_CIPHER*>(other))) return 0;
  return connection->host.verification->security(ssl, ssl_ctx, operation, bits, nid, other, host_data);
}

int on_verify(int preverified, X509_STORE_CTX* store) noexcept {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Connection* connection = ssl != nullptr ? find_connection(ssl) : nullptr;
  const bool asked_now = connection != nullptr && connection == current_connection(ssl) && connection->host.verify_mode;
  if (!asked_now || client_finished(ssl)) {  // not the handshake in which we asked: the host's own rules hold
    const SSL_verify_cb host = connection != nullptr ? connection->host.verify_callback : nullptr;
    return host != nullptr ? host(preverified, store) : preverified;
  }
  keep_shown(*connection, store);
  if (const int error = error_beside_openssls(*connection, store); error != X509_V_OK) {
    return refuse(*connection, store, error);
  }
  connection->verified = true;
  if (preverified == 1 || tolerates(*connection, store)) return proceed_with_handshake;
  if (!record_error(*connection, store)) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_OUT_OF_MEM);
    return end_handshake;
  }
  if (connection->refuse_unverified) return end_handshake;
  forget_openssls_errors();
  return proceed_with_handshake;
}

}  // namespace client_tls

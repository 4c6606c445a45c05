#include "callbacks.hpp"

#include <openssl/rand.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <new>
#include <optional>

#include "certificate_phase.hpp"
#include "client_tls/hooks.hpp"
#include "connection.hpp"
#include "error_queue.hpp"
#include "installation.hpp"
#include "openssl_version.hpp"
#include "policy_handshake.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

constexpr int proceed_with_handshake = 1;
constexpr int end_handshake = 0;
constexpr int suspend_handshake = -1;

// OpenSSL calls the SSL's own info callback, or else the SSL_CTX's. Ours stands in the first place for a while, and for
// the rest of an SSL_do_handshake also when it no longer does.
InfoCallback host_info_callback(const SSL* ssl) noexcept {
  InfoCallback callback = SSL_get_info_callback(ssl);
  if (callback == on_info) {
    const Connection* connection = find_connection(ssl);
    callback = connection != nullptr ? connection->host.info.value_or(nullptr) : nullptr;
  }
  return callback != nullptr ? callback : SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
}

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

// Whether the policy lets the error pass; the verification's result is then that of the errors before it.
bool tolerates(Connection& connection, X509_STORE_CTX* store) noexcept {
  const std::uint8_t leniency = connection.policy != nullptr ? leniency_for(*connection.policy, store) : 0;
  if (leniency == 0) return false;
  if (!connection.authentication) connection.authentication.reset(new (std::nothrow) Authentication);
  if (!connection.authentication) return false;
  Authentication& authentication = *connection.authentication;
  authentication.leniency = static_cast<std::uint8_t>(authentication.leniency | leniency);
  const std::size_t count = authentication.reason_count;
  X509_STORE_CTX_set_error(store, count > 0 ? authentication.reasons[count - 1].code : X509_V_OK);
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

// The client's certificate is there, or its raw public key, and nothing of ours has verified it. Where something of the
// host's did, and the policy requires it to be ours (SSL_CTX_set_cert_verify_callback), or where it brought more than
// the host has bound itself to, the handshake ends before the client's proof: every signature is denied (on_security).
void end_if_not_ours(SSL* ssl, Connection& connection) noexcept {
  if (connection.verified || connection.doom != Doom::none || SSL_session_reused(ssl) == 1) return;
  if (SSL_get0_peer_certificate(ssl) == nullptr && !presented_raw_public_key(ssl)) return;
  const bool bypassed = connection.refuse_unverified && connection.asked;
  const int others = sk_X509_num(SSL_get_peer_cert_chain(ssl));
  const bool too_many = others >= static_cast<int>(connection.max_chain_certificates);
  if (!bypassed && !(too_many && connection.bound)) return;
  connection.doom = Doom::not_verified;
  watch_security(ssl, connection);
}

// Where a certificate may still be asked for when the ServerHello is made, OpenSSL keeps the ClientHello and all that
// follows; on a resumed TLS 1.3 connection, which asks for none, until it ends. So the verify mode, which a policy sets
// at the ClientHello, goes as soon as the session is taken. A HelloRetryRequest would take the session back, and what
// follows it can be a full handshake: but with the client's key at hand, none is sent.
void ask_resumed_for_nothing(SSL* ssl) noexcept {
  if (SSL_session_reused(ssl) != 1 || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) return;
  EVP_PKEY* key = nullptr;
  if (SSL_get_verify_callback(ssl) != on_verify || SSL_get_peer_tmp_key(ssl, &key) != 1) return;
  EVP_PKEY_free(key);
  SSL_set_verify(ssl, SSL_VERIFY_NONE, on_verify);
}

// The handshake has made a step. Most are of no interest here, and must cost nothing.
void follow(SSL* ssl, Connection& connection, int where) noexcept {
  const bool done = where == SSL_CB_HANDSHAKE_DONE;
  if (where == SSL_CB_ACCEPT_EXIT) connection.bound_again = false;
  // Not an alert: at that of a wrong Finished, OpenSSL has the Finished already.
  if (where != SSL_CB_ACCEPT_LOOP && !done) return;
  if (connection.settled && !done) return;
  // SSL_read_early_data says that the handshake is done when it can read early data: long before it is.
  if (!client_finished(ssl)) {
    connection.bound_again = false;
    connection.retried = connection.retried || SSL_get_state(ssl) == TLS_ST_SW_SRVR_HELLO;
    end_if_not_ours(ssl, connection);
    ask_resumed_for_nothing(ssl);
    return;
  }
  const ErrorQueueMark mark;
  if (!connection.settled) settle(ssl, connection);
  if (!done) return;
  connection.handshake_done = true;
  restore_host_settings(ssl, connection);
  report_handshake(ssl, connection, true);
}

// SSL_do_handshake sends an alert, or returns: for good, or because it has to wait, which SSL_get_error cannot tell
// from inside. Of the return from the call in which the ClientHello came OpenSSL does not tell: only the alert is seen
// then.
void follow_failure(SSL* ssl) noexcept {
  Connection* connection = find_connection(ssl);
  if (connection == nullptr || !connection->told) return;
  if (std::strcmp(SSL_state_string(ssl), "SSLERR") == 0) report_handshake(ssl, *connection, false);
}

void report(const Hooks& hooks, SSL* ssl, Phase phase, const Error& error) noexcept {
  if (!hooks.error) return;
#if defined(__cpp_exceptions)
  try {
    hooks.error({.ssl = ssl, .phase = phase, .error = error});
  } catch (...) {  // there is nobody left to be told
  }
#else
  hooks.error({.ssl = ssl, .phase = phase, .error = error});
#endif
}

using Handler = std::function<Decision(Handshake&)>;

// The handler's decision; nothing, if it threw, which has then been reported.
std::optional<Decision> decide(const Handler& handler, Handshake& handshake,
                               [[maybe_unused]] const Hooks& hooks) noexcept {
  if (!handler) return Decision::proceed;
#if defined(__cpp_exceptions)
  try {
    return handler(handshake);
  } catch (const std::exception& error) {
    report(hooks, handshake.ssl(), handshake.phase(), {.code = Errc::handler_threw, .message = error.what()});
  } catch (...) {
    report(hooks, handshake.ssl(), handshake.phase(),
           failure(Errc::handler_threw, "the handler threw something that is not a std::exception"));
  }
  return std::nullopt;
#else
  return handler(handshake);
#endif
}

int alert_for(const Error& error) noexcept {
  switch (error.code) {
    case Errc::malformed:
      return SSL_AD_DECODE_ERROR;
    case Errc::invalid_argument:
      return SSL_AD_UNRECOGNIZED_NAME;
    case Errc::too_late:
      return SSL_AD_ILLEGAL_PARAMETER;
    case Errc::unsupported:
      return SSL_AD_PROTOCOL_VERSION;
    default:
      return SSL_AD_INTERNAL_ERROR;
  }
}

// Under the others OpenSSL sends no CertificateRequest, whatever the verify mode says.
bool asks_for_certificates(const SSL_CIPHER* cipher) noexcept {
  const int authentication = SSL_CIPHER_get_auth_nid(cipher);
  return authentication != NID_auth_psk && authentication != NID_auth_srp && authentication != NID_auth_null;
}

// The connection whose ClientHello has come, which somebody may be told of; null for a transport without any.
Result<Connection*> begin_connection(SSL* ssl, const Hooks& hooks, bool begun) noexcept {
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (!begun) {
    begin_report(ssl, *connection, hooks);
    connection->server_name = {};
    reset(ssl, *connection);
  }
  watch(ssl, *connection);
  return connection;
}

// What is done before the client_hello handler is called.
Result<Connection*> begin_client_hello(SSL* ssl, const Installation& installation) noexcept {
  if (auto supported = check_transport(ssl); !supported) return supported.error();
  const ErrorQueueMark mark;
  Connection* begun = begun_connection(ssl);
  const ServerName former = begun != nullptr ? begun->server_name : ServerName{};
  const auto connection = begin_connection(ssl, installation.hooks, begun != nullptr);
  if (!connection) return connection;
  const auto name = ServerName::from_client_hello(ssl);
  if (!name) return name.error();
  if (begun != nullptr && former != *name) {  // RFC 8446, section 4.1.2: that extension may not differ
    return failure(Errc::too_late, "the client changed its server name in mid-handshake");
  }
  (*connection)->server_name = *name;
  // A connection sees one table: the one that was in force when its first ClientHello came.
  PolicyPtr policy = begun != nullptr ? begun->policy : installation.policies->find(*name);
  if (auto bound = begin_with_policy(ssl, **connection, std::move(policy)); !bound) return bound.error();
  return connection;
}

// What is done before the certificate handler is called. A policy holds on whatever SSL_CTX the connection has got to.
Result<Connection*> begin_certificate(SSL* ssl) noexcept {
  if (auto supported = check_transport(ssl); !supported) return supported.error();
  const ErrorQueueMark mark;
  Connection* connection = current_connection(ssl);
  if (connection == nullptr || !connection->bound) {
    return failure(Errc::too_late, "the connection's ClientHello did not pass an SSL_CTX with policies");
  }
  if (auto asked = ask_by_policy(ssl, *connection); !asked) return asked.error();
  return connection;
}

// Whether a handler chose no policy, or one that could be had.
Result<void> check_choice(const Connection& connection) noexcept {
  switch (connection.doom) {
    case Doom::choice_failed:
      return failure(Errc::invalid_argument, "the policy that a handler chose could not be used");
    case Doom::another_policy:
      return failure(Errc::too_late, "the policy is another one than before the HelloRetryRequest");
    case Doom::none:
    case Doom::not_verified:
      break;
  }
  return {};
}

}  // namespace

void on_info(const SSL* ssl, int where, int value) noexcept {
  const InfoCallback host = host_info_callback(ssl);
  if (Connection* connection = current_connection(ssl)) follow(const_cast<SSL*>(ssl), *connection, where);
  if (where == SSL_CB_ACCEPT_EXIT || where == SSL_CB_WRITE_ALERT) follow_failure(const_cast<SSL*>(ssl));
  if (host != nullptr) host(ssl, where, value);
}

int on_generate_session_id(SSL* ssl, unsigned char* id, unsigned int* size) noexcept {
  const Connection* connection = current_connection(ssl);
  // In TLS 1.3 it is called for each ticket, in TLS 1.2 at the beginning of a full handshake.
  if (connection != nullptr && SSL_version(ssl) == TLS1_3_VERSION) prepare_ticket(ssl, *connection);
  // -1, where the method is missing, would be success to OpenSSL.
  return RAND_bytes(id, static_cast<int>(*size)) == 1 ? 1 : 0;
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
  // OpenSSL leaves in the queue why a signature is wrong, for instance: beside a handshake that goes on, SSL_get_error
  // would take it for a fatal error of the next step. The queue was empty when this step began.
  ERR_clear_error();
  return proceed_with_handshake;
}

int on_not_resumable(SSL* ssl, int /*is_forward_secure*/) noexcept {
  const Connection* connection = current_connection(ssl);
  return connection != nullptr && connection->reuse_disabled ? 1 : 0;
}

int on_client_hello(SSL* ssl, int* alert, void* argument) noexcept {
  const auto& installation = *static_cast<const Installation*>(argument);
  const Hooks& hooks = installation.hooks;
  const auto connection = begin_client_hello(ssl, installation);
  if (!connection) {
    report(hooks, ssl, Phase::client_hello, connection.error());
    *alert = alert_for(connection.error());
    return SSL_CLIENT_HELLO_ERROR;
  }
  PhaseContext context{Phase::client_hello};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.client_hello, handshake, hooks);
  (*connection)->suspended = decision == Decision::suspend;
  if (const auto choice = check_choice(**connection); !choice) {
    report(hooks, ssl, Phase::client_hello, choice.error());
    *alert = (*connection)->doom == Doom::another_policy ? SSL_AD_ILLEGAL_PARAMETER : SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (decision == Decision::proceed) return SSL_CLIENT_HELLO_SUCCESS;
  if (decision == Decision::suspend) return SSL_CLIENT_HELLO_RETRY;
  *alert = decision ? SSL_AD_ACCESS_DENIED : SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

int on_certificate(SSL* ssl, void* argument) noexcept {
  if (!is_quic(ssl) && SSL_is_server(ssl) != 1) return proceed_with_handshake;  // a client that shares the SSL_CTX
  const auto& installation = *static_cast<const Installation*>(argument);
  const Hooks& hooks = installation.hooks;
  const auto connection = begin_certificate(ssl);
  if (!connection) {
    report(hooks, ssl, Phase::certificate, connection.error());
    return end_handshake;
  }
  PhaseContext context{Phase::certificate};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.certificate, handshake, hooks);
  if (const auto choice = check_choice(**connection); !choice) {
    report(hooks, ssl, Phase::certificate, choice.error());
    return end_handshake;
  }
  if (decision == Decision::suspend) return suspend_handshake;
  return decision == Decision::proceed ? proceed_with_handshake : end_handshake;
}

}  // namespace client_tls

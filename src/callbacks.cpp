#include "callbacks.hpp"

#include <openssl/rand.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <exception>
#include <optional>

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

// The handshake has made a step. Most are of no interest here, and must cost nothing.
void follow(SSL* ssl, Connection& connection, int where) noexcept {
  const bool done = where == SSL_CB_HANDSHAKE_DONE;
  if (connection.settled && !done) return;
  // SSL_read_early_data says that the handshake is done when it can read early data: long before it is.
  if (!client_finished(ssl)) return;
  const ErrorQueueMark mark;
  if (!connection.settled) settle(ssl, connection);
  if (!done) return;
  connection.handshake_done = true;
  restore_host_settings(ssl, connection);
}

void report(const Hooks& hooks, SSL* ssl, Phase phase, std::string_view message) noexcept {
  if (!hooks.error) return;
#if defined(__cpp_exceptions)
  try {
    hooks.error({.ssl = ssl, .phase = phase, .message = message});
  } catch (...) {  // there is nobody left to be told
  }
#else
  hooks.error({.ssl = ssl, .phase = phase, .message = message});
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
    report(hooks, handshake.ssl(), handshake.phase(), error.what());
  } catch (...) {
    report(hooks, handshake.ssl(), handshake.phase(), "the handler threw something that is not a std::exception");
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

// The default scope: the server name, in a form that is not empty where there is none.
Result<void> bind_to_server_name(SSL* ssl, Connection& connection) noexcept {
  static constexpr std::string_view prefix = "server_name:";
  const std::string_view name = connection.server_name.view();
  std::array<char, prefix.size() + ServerName::max_size> scope;
  std::ranges::copy(name, std::ranges::copy(prefix, scope.begin()).out);
  return bind(ssl, connection, {scope.data(), prefix.size() + name.size()});
}

// Whether this is the ClientHello after a HelloRetryRequest, and for another name: the two may differ in some
// extensions, but not in that one (RFC 8446, section 4.1.2).
bool renamed(const SSL* ssl, const ServerName& name) noexcept {
  const Connection* connection = retried_connection(ssl);
  return connection != nullptr && connection->server_name != name;
}

// What is done before the client_hello handler is called.
Result<Connection*> begin_client_hello(SSL* ssl, const Installation& installation) noexcept {
  if (auto supported = check_transport(ssl); !supported) return supported.error();
  const ErrorQueueMark mark;
  const auto name = ServerName::from_client_hello(ssl);
  if (!name) return name.error();
  if (renamed(ssl, *name)) return failure(Errc::too_late, "the client changed its server name in mid-handshake");
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  connection->server_name = *name;
  // Bound at once, so that whatever the handler does the connection has no other client's scope.
  const auto bound = installation.policies != nullptr
                         ? begin_with_policy(ssl, *connection, installation.policies->find(*name))
                         : bind_to_server_name(ssl, *connection);
  if (!bound) return bound.error();
  return connection;
}

// What is done before the certificate handler is called. A policy holds on whatever SSL_CTX the connection has got to.
Result<Connection*> begin_certificate(SSL* ssl, const Installation& installation) noexcept {
  if (auto supported = check_transport(ssl); !supported) return supported.error();
  const ErrorQueueMark mark;
  Connection* connection = current_connection(ssl);
  if (connection == nullptr || !connection->bound) {
    return failure(Errc::too_late, "the connection's ClientHello did not pass an SSL_CTX with these hooks");
  }
  if (installation.policies != nullptr || connection->policy != nullptr) {
    if (auto asked = ask_by_policy(ssl, *connection); !asked) return asked.error();
  }
  return connection;
}

}  // namespace

void on_info(const SSL* ssl, int where, int value) noexcept {
  const InfoCallback host = host_info_callback(ssl);
  if (Connection* connection = current_connection(ssl)) follow(const_cast<SSL*>(ssl), *connection, where);
  if (host != nullptr) host(ssl, where, value);
}

int on_generate_session_id(SSL* ssl, unsigned char* id, unsigned int* size) noexcept {
  const Connection* connection = current_connection(ssl);
  // In TLS 1.3 it is called for each ticket, in TLS 1.2 at the beginning of a full handshake.
  if (connection != nullptr && SSL_version(ssl) == TLS1_3_VERSION) prepare_ticket(ssl, *connection);
  return RAND_bytes(id, static_cast<int>(*size));
}

int on_verify(int preverified, X509_STORE_CTX* store) noexcept {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Connection* connection = ssl != nullptr ? find_connection(ssl) : nullptr;
  const bool asked_now = connection != nullptr && connection == current_connection(ssl) && connection->host.verify_mode;
  if (!asked_now || client_finished(ssl)) {  // not the handshake in which we asked: the host's own rules hold
    const SSL_verify_cb host = connection != nullptr ? connection->host.verify_callback : nullptr;
    return host != nullptr ? host(preverified, store) : preverified;
  }
  const int sent = sk_X509_num(X509_STORE_CTX_get0_untrusted(store));
  if (sent > 0 && static_cast<std::size_t>(sent) > connection->max_chain_certificates) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_CHAIN_TOO_LONG);
    return end_handshake;
  }
  // The SSL_CTX may have been exchanged for one that does not ask as the connection's policy says.
  const bool by_the_policy =
      connection->policy == nullptr || X509_STORE_CTX_get0_store(store) == connection->policy->get0_store();
  if (!by_the_policy) {
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return end_handshake;
  }
  connection->verified = true;
  return connection->refuse_unverified ? preverified : proceed_with_handshake;
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
    report(hooks, ssl, Phase::client_hello, connection.error().message);
    *alert = alert_for(connection.error());
    return SSL_CLIENT_HELLO_ERROR;
  }
  PhaseContext context{Phase::client_hello};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.client_hello, handshake, hooks);
  if (decision == Decision::proceed) return SSL_CLIENT_HELLO_SUCCESS;
  if (decision == Decision::suspend) return SSL_CLIENT_HELLO_RETRY;
  *alert = decision ? SSL_AD_ACCESS_DENIED : SSL_AD_INTERNAL_ERROR;
  return SSL_CLIENT_HELLO_ERROR;
}

int on_certificate(SSL* ssl, void* argument) noexcept {
  if (!is_quic(ssl) && SSL_is_server(ssl) != 1) return proceed_with_handshake;  // a client that shares the SSL_CTX
  const auto& installation = *static_cast<const Installation*>(argument);
  const Hooks& hooks = installation.hooks;
  const auto connection = begin_certificate(ssl, installation);
  if (!connection) {
    report(hooks, ssl, Phase::certificate, connection.error().message);
    return end_handshake;
  }
  PhaseContext context{Phase::certificate};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.certificate, handshake, hooks);
  if (decision == Decision::suspend) return suspend_handshake;
  return decision == Decision::proceed ? proceed_with_handshake : end_handshake;
}

}  // namespace client_tls

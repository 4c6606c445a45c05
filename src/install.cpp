#include "client_tls/install.hpp"

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "connection.hpp"
#include "errors.hpp"
#include "handshake_report.hpp"
#include "installation.hpp"
#include "openssl_version.hpp"
#include "policy_handshake.hpp"

namespace client_tls {
namespace {

constexpr int proceed_with_handshake = 1;
constexpr int end_handshake = 0;
constexpr int suspend_handshake = -1;

void report_error(const Hooks& hooks, SSL* ssl, Phase phase, const Error& error) noexcept {
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
    report_error(hooks, handshake.ssl(), handshake.phase(), {.code = Errc::handler_threw, .message = error.what()});
  } catch (...) {
    report_error(hooks, handshake.ssl(), handshake.phase(),
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

// The connection whose ClientHello has come, which somebody may be told of; null for a transport without any.
Result<Connection*> begin_connection(SSL* ssl, const Hooks& hooks, bool begun) noexcept {
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (!begun) {
    begin_report(ssl, *connection, hooks);
    connection->server_name = {};
    reset(ssl, *connection);
  }
  watch(ssl, connection->host);
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

int on_client_hello(SSL* ssl, int* alert, void* argument) noexcept {
  const auto& installation = *static_cast<const Installation*>(argument);
  const Hooks& hooks = installation.hooks;
  const auto connection = begin_client_hello(ssl, installation);
  if (!connection) {
    report_error(hooks, ssl, Phase::client_hello, connection.error());
    *alert = alert_for(connection.error());
    return SSL_CLIENT_HELLO_ERROR;
  }
  PhaseContext context{Phase::client_hello};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.client_hello, handshake, hooks);
  (*connection)->suspended = decision == Decision::suspend;
  if (const auto choice = check_choice(**connection); !choice) {
    report_error(hooks, ssl, Phase::client_hello, choice.error());
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
    report_error(hooks, ssl, Phase::certificate, connection.error());
    return end_handshake;
  }
  PhaseContext context{Phase::certificate};
  Handshake handshake{ssl, context, (*connection)->server_name.view()};
  const auto decision = decide(hooks.certificate, handshake, hooks);
  if (const auto choice = check_choice(**connection); !choice) {
    report_error(hooks, ssl, Phase::certificate, choice.error());
    return end_handshake;
  }
  if (decision == Decision::suspend) return suspend_handshake;
  return decision == Decision::proceed ? proceed_with_handshake : end_handshake;
}

Result<void> choose(Phase phase, SSL* ssl, Connection* connection, PolicyPtr policy) noexcept {
  if (phase != Phase::client_hello) return failure(Errc::wrong_phase, "a policy is chosen in client_hello phase alone");
  if (policy == nullptr) return failure(Errc::invalid_argument, "the policy is null");
  if (connection == nullptr) return failure(Errc::too_late, "no ClientHello is being processed");
  if (connection->policy != nullptr && connection->policy->digest() == policy->digest()) return {};
  if (connection->retried) {
    return failure(Errc::too_late, "the policy is another one than before the HelloRetryRequest");
  }
  return begin_with_policy(ssl, *connection, std::move(policy));
}

}  // namespace

// A handler that goes on after an error would have the table's policy in place of the one it wanted.
Result<void> Handshake::use(PolicyPtr policy) const noexcept {
  const ErrorQueueMark mark;
  Connection* connection = ssl_ != nullptr ? find_connection(ssl_) : nullptr;
  const Doom before = connection != nullptr ? connection->doom : Doom::none;
  auto chosen = choose(phase_, ssl_, connection, std::move(policy));
  if (connection == nullptr) return chosen;
  connection->doom = before;  // which the binding has forgotten
  if (chosen) return chosen;
  const Doom failed = chosen.error().code == Errc::too_late ? Doom::another_policy : Doom::choice_failed;
  connection->doom = std::max(before, failed);
  return chosen;
}

Result<void> install(SSL_CTX* ssl_ctx, std::shared_ptr<const CurrentPolicies> policies, Hooks hooks) noexcept {
  if (policies == nullptr) return failure(Errc::invalid_argument, "the policies are null");
  if (ssl_ctx == nullptr) return failure(Errc::invalid_argument, "the SSL_CTX is null");
  const ErrorQueueMark mark;
  const int index = ssl_ctx_index();
  if (index < 0) return openssl_failure("no ex_data index could be registered");
  if (SSL_CTX_get_ex_data(ssl_ctx, index) != nullptr) {
    return failure(Errc::already_installed, "policies are installed on this SSL_CTX already");
  }
  std::unique_ptr<Installation> installed{new (std::nothrow) Installation(std::move(hooks), std::move(policies))};
  if (!installed) return failure(Errc::out_of_memory, "out of memory");
  if (SSL_CTX_set_ex_data(ssl_ctx, index, static_cast<Installed*>(installed.get())) != 1) {
    return openssl_failure("the policies could not be stored in the SSL_CTX");
  }
  Installation* owned_by_ssl_ctx = installed.release();
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, owned_by_ssl_ctx);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, owned_by_ssl_ctx);
  return {};
}

const ClientAuthPolicy* get0_policy(const SSL* ssl) noexcept {
  return ssl != nullptr ? policy_of(ssl) : nullptr;
}

}  // namespace client_tls

#include "policy_handshake.hpp"

#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "certificate_list.hpp"
#include "certificate_request.hpp"
#include "errors.hpp"
#include "policy_rules.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

// Everything that decides who may resume: the policy, and the name in canonical form.
Result<void> bind_to_policy(SSL* ssl, Connection& connection, const ClientAuthPolicy& policy) noexcept {
  static constexpr std::string_view prefix = "policy:";
  constexpr std::size_t strictness_size = 6;
  const std::string_view name = connection.server_name.view();
  std::array<char, prefix.size() + sizeof(ClientAuthPolicy::Digest) + strictness_size + ServerName::max_size> scope;
  char* end = std::ranges::copy(prefix, scope.data()).out;
  end = std::ranges::copy(policy.digest(), end).out;
  const HostStrictness strictness = strictness_of(ssl, policy.options());
  put_number<4>(reinterpret_cast<unsigned char*>(end), strictness.flags);
  end[4] = static_cast<char>(strictness.security_level);
  // While a revocation list has ended no session is accepted: those that were made before have another scope.
  end[5] = static_cast<char>(lists_have_ended(policy) ? 1 : 0);
  end += strictness_size;
  end = std::ranges::copy(name, end).out;
  return bind(ssl, connection, {scope.data(), end}, Caller::library);
}

// The policy alone decides what loosens a verification: what the host has set on the SSL or its SSL_CTX is replaced,
// and put back when the handshake is done.
Result<void> verify_by_policy(SSL* ssl, Connection& connection, const ClientAuthPolicy& policy) noexcept {
  const HostStrictness strictness = strictness_of(ssl, policy.options());
  if (auto kept = keep_verification(ssl, connection.host); !kept) return kept;
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_clear_flags(param, ~0UL);
  const bool good =
      X509_VERIFY_PARAM_set_flags(param, strictness.flags) == 1 &&
      X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) == 1 &&
      X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_CLIENT) == 1 &&
      X509_VERIFY_PARAM_set1_host(param, nullptr, 0) == 1 && X509_VERIFY_PARAM_set1_email(param, nullptr, 0) == 1 &&
      X509_VERIFY_PARAM_set1_ip(param, nullptr, 0) == 1 && X509_VERIFY_PARAM_set1_policies(param, nullptr) == 1 &&
      SSL_set1_verify_cert_store(ssl, policy.get0_store()) == 1;
  X509_VERIFY_PARAM_set_hostflags(param, 0);
  X509_VERIFY_PARAM_set_auth_level(param, strictness.security_level);
  X509_VERIFY_PARAM_set_depth(param, policy.options().depth);
  if (!good) return openssl_failure("the policy's anchors could not be set");
  return {};
}

// From the ClientHello on, not only from the certificate phase, which another SSL_CTX may have without us: a client
// that gets there cannot pass for one that was not asked.
void require_by_policy(SSL* ssl, Connection& connection, const PolicyOptions& options) noexcept {
  if (options.request == ClientAuth::required) {
    // Before the session is looked up: with an external PSK OpenSSL asks for no certificate.
    SSL_set_psk_server_callback(ssl, nullptr);
    SSL_set_psk_find_session_callback(ssl, nullptr);
    watch_security(ssl, connection.host);
  }
  accept_no_early_data(ssl, connection.host);
  connection.required = options.request == ClientAuth::required;
  connection.refuse_unverified = connection.required && options.refusal == Refusal::handshake;
  set_limits(ssl, connection, options.limits);
  const int mode = connection.refuse_unverified ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER;
  verify_by_our_rules(ssl, connection.host, mode);
}

}  // namespace

Result<void> begin_with_policy(SSL* ssl, Connection& connection, PolicyPtr policy) noexcept {
  if (policy == nullptr) return failure(Errc::invalid_argument, "there is no policy for the server name");
  if (auto bound = bind_to_policy(ssl, connection, *policy); !bound) return bound;
  const PolicyOptions& options = policy->options();
  SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
  SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);  // what holds after the handshake, and where nothing is asked
  if (options.resumption && !lists_have_ended(*policy)) {
    if (options.tickets) set_num_tickets(ssl, connection.host, std::min(*options.tickets, SSL_get_num_tickets(ssl)));
  } else {
    forbid_reuse(ssl, connection);
  }
  if (options.max_age) connection.max_age = options.max_age->count();
  if (options.request != ClientAuth::none) require_by_policy(ssl, connection, options);
  connection.policy = std::move(policy);
  return {};
}

Result<void> ask_by_policy(SSL* ssl, Connection& connection) noexcept {
  if (connection.policy == nullptr) {
    return failure(Errc::too_late, "the connection's ClientHello did not pass an SSL_CTX with policies");
  }
  const ClientAuthPolicy& policy = *connection.policy;
  if (!policy.options().resumption) disable_reuse(ssl, connection);
  if (policy.options().request == ClientAuth::none) return {};
  X509NameStackPtr names{SSL_dup_CA_list(policy.get0_hint_names())};
  if (names == nullptr) return failure(Errc::out_of_memory, "out of memory");
  // Not before: SSL_set_SSL_CTX, in a servername callback, takes the store away with the certificate.
  if (auto verified = verify_by_policy(ssl, connection, policy); !verified) return verified;
  if (connection.required && !watch_security(ssl, connection.host))
    return failure(Errc::out_of_memory, "out of memory");
  make_dead(ssl);
  ask(ssl, connection, std::move(names));
  return {};
}

const ClientAuthPolicy* policy_of(const SSL* ssl) noexcept {
  const Connection* connection = find_connection(ssl);
  const bool current = connection != nullptr && (is_current(*connection, ssl) || in_client_hello(*connection, ssl));
  return current ? connection->policy.get() : nullptr;
}

}  // namespace client_tls

#include "policy_handshake.hpp"

#include <algorithm>
#include <utility>

#include "certificate_phase.hpp"
#include "error_queue.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

// Everything that decides who may resume: the policy, and the name in canonical form.
Result<void> bind_to_policy(SSL* ssl, Connection& connection, const ClientAuthPolicy& policy) noexcept {
  static constexpr std::string_view prefix = "policy:";
  const std::string_view name = connection.server_name.view();
  std::array<char, prefix.size() + sizeof(ClientAuthPolicy::Digest) + ServerName::max_size> scope;
  char* end = std::ranges::copy(prefix, scope.data()).out;
  end = std::ranges::copy(policy.digest(), end).out;
  end = std::ranges::copy(name, end).out;
  return bind(ssl, connection, {scope.data(), end});
}

// Whether the connection is about the ClientHello that is being processed, whose random OpenSSL has not taken over yet.
bool in_client_hello(const Connection& connection, const SSL* ssl) noexcept {
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(const_cast<SSL*>(ssl), &random);
  return size == connection.client_random.size() && std::equal(random, random + size, connection.client_random.begin());
}

// From the ClientHello on, not only from the certificate phase, which another SSL_CTX may have without us: a client
// that gets there cannot pass for one that was not asked.
void require_by_policy(SSL* ssl, Connection& connection, const PolicyOptions& options) noexcept {
  if (!connection.host.max_early_data) connection.host.max_early_data = SSL_get_max_early_data(ssl);
  SSL_set_max_early_data(ssl, 0);
  connection.required = options.request == ClientCertificate::required;
  connection.refuse_unverified = connection.required && options.refusal == Refusal::handshake;
  const int mode = connection.refuse_unverified ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER;
  verify_by_our_rules(ssl, connection, mode);
}

}  // namespace

Result<void> begin_with_policy(SSL* ssl, Connection& connection, PolicyPtr policy) noexcept {
  if (policy == nullptr) return failure(Errc::invalid_argument, "there is no policy for the server name");
  if (auto bound = bind_to_policy(ssl, connection, *policy); !bound) return bound;
  const PolicyOptions& options = policy->options();
  SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
  SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);  // what holds after the handshake, and where nothing is asked
  if (options.resumption) {
    set_num_tickets(ssl, connection, options.tickets);
  } else {
    forbid_reuse(ssl, connection);
  }
  if (options.max_age) connection.max_age = options.max_age->count();
  if (options.request != ClientCertificate::none) require_by_policy(ssl, connection, options);
  connection.policy = std::move(policy);
  return {};
}

Result<void> ask_by_policy(SSL* ssl, Connection& connection) noexcept {
  if (connection.policy == nullptr) {
    return failure(Errc::too_late, "the connection's ClientHello did not pass an SSL_CTX with policies");
  }
  const ClientAuthPolicy& policy = *connection.policy;
  if (!policy.options().resumption) disable_reuse(ssl, connection);
  if (policy.options().request == ClientCertificate::none) return {};
  X509NameStackPtr names{SSL_dup_CA_list(policy.get0_hint_names())};
  if (names == nullptr) return failure(Errc::out_of_memory, "out of memory");
  // Not before: SSL_set_SSL_CTX, in a servername callback, takes the store away with the certificate.
  if (SSL_set1_verify_cert_store(ssl, policy.get0_store()) != 1) {
    return openssl_failure("the policy's anchors could not be set");
  }
  connection.host.verify_store_replaced = true;
  SSL_set_verify_depth(ssl, policy.options().depth);
  make_dead(ssl);
  ask(ssl, connection, std::move(names), policy.options().limits);
  return {};
}

const ClientAuthPolicy* get0_policy(const SSL* ssl) noexcept {
  if (ssl == nullptr) return nullptr;
  const Connection* connection = find_connection(ssl);
  const bool current =
      connection != nullptr && (connection == current_connection(ssl) || in_client_hello(*connection, ssl));
  return current ? connection->policy.get() : nullptr;
}

}  // namespace client_tls

#include "client_tls/client_tls.hpp"

#include "ca_names.hpp"
#include "certificate_list.hpp"
#include "certificate_request.hpp"
#include "connection.hpp"
#include "errors.hpp"
#include "limits_check.hpp"
#include "policy_handshake.hpp"
#include "session_binding.hpp"
#include "verdict.hpp"

namespace client_tls {
namespace {

Result<void> check_phase(Operation operation, const PhaseContext& context) noexcept {
  if (allowed(operation, context.phase())) return {};
  return wrong_phase(operation, context.phase());
}

Result<void> check_server(const SSL* ssl) noexcept {
  if (ssl == nullptr) return failure(Errc::no_tls, "the connection is not TLS");
  if (auto supported = check_transport(ssl); !supported) return supported;
  if (SSL_is_server(ssl) != 1) return failure(Errc::unsupported, "the SSL is the client's side of its connection");
  return {};
}

Result<void> check(Operation operation, const PhaseContext& context, const SSL* ssl) noexcept {
  if (auto phase = check_phase(operation, context); !phase) return phase;
  return check_server(ssl);
}

Result<void> check_options(const BindOptions& options) noexcept {
  if (auto valid = check_limits(options.limits); !valid) return valid;
  return check_max_age(options.max_age);
}

// What a policy decides is not decided otherwise by a hook.
Result<void> check_no_policy(const SSL* ssl) noexcept {
  if (policy_of(ssl) == nullptr) return {};
  return failure(Errc::policy_in_force, "the connection's policy decides who may resume and what is asked");
}

// Request phases: the client has proved what it will prove. Early data is read before that; and in post-handshake
// authentication OpenSSL has another certificate from the Certificate message on, before its key is proved.
Result<void> check_handshake_complete(const SSL* ssl, const Connection* connection) noexcept {
  if (!client_finished(ssl)) return failure(Errc::too_early, "the handshake is not complete");
  if (SSL_is_init_finished(ssl) == 1) return {};
  const bool unchanged =
      connection != nullptr && connection->handshake_done && SSL_get0_peer_certificate(ssl) == connection->leaf.get();
  if (unchanged) return {};
  return failure(Errc::too_early, "the handshake, or an authentication after it, is not complete");
}

// Whether the client's certificate came with a resumed session, not from the client on this connection.
bool came_with_session(const SSL* ssl, const Connection* connection, const X509* leaf) noexcept {
  if (SSL_session_reused(ssl) != 1) return false;
  const bool changed_since = connection != nullptr && connection->settled && leaf != connection->leaf.get();
  return !changed_since;
}

// What the session carries is taken from there also on the connection that made it: it is encoded already.
Result<Pem> make_chain(SSL* ssl, const Connection* connection, const X509* leaf) noexcept {
  const auto carried = carried_certificates(ssl, connection);
  if (!carried && came_with_session(ssl, connection, leaf)) return carried.error();
  const STACK_OF(X509)* others = carried ? nullptr : SSL_get_peer_cert_chain(ssl);
  const auto size = encoded_size(leaf, others);
  if (!size) return size.error();
  const auto list = make_buffer(*size);
  if (!list) return list.error();
  (void)encode_certificates(leaf, others, list->bytes.get());
  return make_pem(list->view(), carried.value_or(ByteView{}));
}

// The chain as it was asked for before; null if it was not.
const Pem* known_chain(const Connection* connection, const X509* leaf) noexcept {
  const Answers* answers = connection != nullptr ? connection->answers.get() : nullptr;
  return leaf != nullptr && answers != nullptr && answers->pem_leaf.get() == leaf ? &answers->pem : nullptr;
}

// The chain, made by the first who asks.
Result<const Pem*> remembered_chain(SSL* ssl, Connection* connection, X509* leaf) noexcept {
  if (const Pem* known = known_chain(connection, leaf)) return known;
  auto pem = make_chain(ssl, connection, leaf);
  if (!pem) return pem.error();
  if (connection == nullptr) connection = make_current_connection(ssl);
  Answers* made = connection != nullptr ? make_answers(*connection) : nullptr;
  if (made == nullptr) return failure(Errc::out_of_memory, "out of memory");
  X509_up_ref(leaf);
  made->pem_leaf.reset(leaf);
  made->pem = std::move(*pem);
  return &made->pem;
}

// Early data is read under a session of this server's own, before the client has proved anything on this connection.
bool reads_early_data(const SSL* ssl) noexcept {
  return !client_finished(ssl) && SSL_get_early_data_status(ssl) == SSL_EARLY_DATA_ACCEPTED;
}

}  // namespace

Result<void> ClientTls::bind_session(std::string_view scope, const BindOptions& options) const noexcept {
  if (auto valid = check(Operation::bind_session, *context_, ssl_); !valid) return valid;
  if (auto free = check_no_policy(ssl_); !free) return free;
  const ErrorQueueMark mark;
  if (auto early = check_client_hello(ssl_); !early) return early;
  if (auto valid = check_options(options); !valid) return valid;
  Connection* connection = make_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (auto bound = bind(ssl_, *connection, scope, Caller::host); !bound) return bound;
  if (options.max_age) connection->max_age = options.max_age->count();
  set_limits(ssl_, *connection, options.limits);
  return {};
}

Result<void> ClientTls::request_client_certificate(std::span<X509* const> hints) const noexcept {
  if (auto valid = check(Operation::request_client_certificate, *context_, ssl_); !valid) return valid;
  if (auto free = check_no_policy(ssl_); !free) return free;
  const ErrorQueueMark mark;
  if (auto stage = check_certificate_stage(ssl_); !stage) return stage;
  auto names = subject_names(hints);
  if (!names) return names.error();
  Connection* connection = make_current_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (connection->bound) {
    make_dead(ssl_);
  } else {
    disable_reuse(ssl_, *connection);
    set_limits(ssl_, *connection, {});
  }
  ask(ssl_, *connection, std::move(*names));
  verify_by_our_rules(ssl_, connection->host, SSL_VERIFY_PEER);
  return {};
}

Result<void> ClientTls::disable_session_reuse() const noexcept {
  if (auto valid = check(Operation::disable_session_reuse, *context_, ssl_); !valid) return valid;
  const ErrorQueueMark mark;
  if (auto stage = check_certificate_stage(ssl_); !stage) return stage;
  Connection* connection = make_current_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  disable_reuse(ssl_, *connection);
  return {};
}

Result<std::optional<std::string_view>> ClientTls::get_full_client_certificate_chain() const noexcept {
  if (auto valid = check(Operation::get_full_client_certificate_chain, *context_, ssl_); !valid) {
    return valid.error();
  }
  Connection* connection = current_connection(ssl_);
  X509* leaf = SSL_get0_peer_certificate(ssl_);
  const bool required = connection != nullptr && connection->required;
  const Pem* known = known_chain(connection, leaf);
  if (known != nullptr && !required) return known->view();
  const ErrorQueueMark mark;
  if (auto complete = check_handshake_complete(ssl_, connection); !complete) return complete.error();
  if (required && !judge(ssl_, connection).success()) {
    return failure(Errc::not_authenticated, "the policy requires an authenticated client, and this one is not");
  }
  if (leaf == nullptr) return std::nullopt;
  const auto chain = remembered_chain(ssl_, connection, leaf);
  if (!chain) return chain.error();
  return (*chain)->view();
}

Result<Verdict> ClientTls::verdict() const noexcept {
  if (auto valid = check(Operation::verdict, *context_, ssl_); !valid) return valid.error();
  const ErrorQueueMark mark;
  const Connection* connection = current_connection(ssl_);
  if (auto complete = check_handshake_complete(ssl_, connection); !complete) return complete.error();
  return give(judge(ssl_, connection));
}

Result<Verdict> ClientTls::verdict(const ClientAuthPolicy& policy) const noexcept {
  if (auto valid = check(Operation::verdict, *context_, ssl_); !valid) return valid.error();
  if (policy.options().request == ClientAuth::none) {
    return failure(Errc::invalid_argument, "the policy asks for nothing: nobody can be authenticated by it");
  }
  const ErrorQueueMark mark;
  Connection* connection = current_connection(ssl_);
  if (auto complete = check_handshake_complete(ssl_, connection); !complete) return complete.error();
  const Verdict own = judge(ssl_, connection);
  if (!is_proved(own)) return give(own);
  if (connection == nullptr) connection = make_current_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  const auto verdict = judge_by(ssl_, *connection, own, policy);
  if (!verdict) return verdict.error();
  return give(*verdict);
}

Result<Verdict> ClientTls::give(Verdict verdict) const noexcept {
  X509* leaf = SSL_get0_peer_certificate(ssl_);
  const bool failed = verdict.status() == Verdict::Status::failed;
  if (failed && leaf != nullptr) {
    const auto chain = remembered_chain(ssl_, current_connection(ssl_), leaf);
    if (!chain && chain.error().code != Errc::chain_not_carried) return chain.error();
    if (chain) {
      verdict.presented_ = (*chain)->bytes;
      verdict.presented_size_ = (*chain)->size;
    }
  }
  // What the log then says of this request.
  const VerifyText text = text_of(verdict);
  context_->verdict_failed_ = failed;
  context_->verdict_text_ = failed ? text.reason : text.prefix;
  return verdict;
}

Result<void> ClientTls::set_client_verify(ClientVerify value) const noexcept {
  if (auto valid = check_phase(Operation::set_client_verify, *context_); !valid) return valid;
  if (value.text().empty()) return failure(Errc::invalid_argument, "client_verify: the value was moved from");
  context_->client_verify_ = std::move(value);
  return {};
}

Result<LogEntry> ClientTls::log_entry() const noexcept {
  if (auto valid = check(Operation::log_entry, *context_, ssl_); !valid) return valid.error();
  const ErrorQueueMark mark;
  const Connection* connection = current_connection(ssl_);
  VerifyText text{.prefix = context_->verdict_failed_ ? "FAILED:" : context_->verdict_text_,
                  .reason = context_->verdict_failed_ ? context_->verdict_text_ : std::string_view{}};
  if (reads_early_data(ssl_)) {
    text = {.prefix = "NONE", .reason = {}};
  } else if (auto complete = check_handshake_complete(ssl_, connection); !complete) {
    return complete.error();
  } else if (text.prefix.empty()) {
    text = text_of(judge(ssl_, connection));
  }
  return or_out_of_memory([&]() -> Result<LogEntry> {
    // Member by member: where a later one of an aggregate throws, g++ 11 does not destroy those before it.
    const auto& override = context_->client_verify();
    LogEntry entry;
    entry.version = SSL_get_version(ssl_);
    entry.cipher = SSL_get_cipher_name(ssl_);
    entry.client_verify = override ? std::string(override->text()) : std::string(text.prefix).append(text.reason);
    return entry;
  });
}

}  // namespace client_tls

#include "client_tls/client_tls.hpp"

#include "certificate_list.hpp"
#include "certificate_phase.hpp"
#include "connection.hpp"
#include "error_queue.hpp"
#include "out_of_memory.hpp"
#include "session_binding.hpp"

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

// Request phases: the client has proved what it will prove. Early data is read before that.
Result<void> check_handshake_complete(const SSL* ssl, const Connection* connection) noexcept {
  const bool done = SSL_is_init_finished(ssl) == 1 || (connection != nullptr && connection->handshake_done);
  if (done && client_finished(ssl)) return {};
  return failure(Errc::too_early, "the handshake is not complete");
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

std::string client_verify(SSL* ssl, const Connection* connection) {
  const X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf == nullptr) return "NONE";
  if (came_with_session(ssl, connection, leaf)) {
    if (connection == nullptr || !connection->carried)
      return "FAILED:the resumed session does not carry its client's chain";
  } else if (connection != nullptr && connection->asked && !connection->verified) {
    return "FAILED:the certificate was not verified by this library's rules";
  }
  const long result = SSL_get_verify_result(ssl);
  if (result == X509_V_OK) return "SUCCESS";
  return std::string("FAILED:") + X509_verify_cert_error_string(result);
}

}  // namespace

Result<void> ClientTls::bind_session(std::string_view scope) const noexcept {
  if (auto valid = check(Operation::bind_session, *context_, ssl_); !valid) return valid;
  const ErrorQueueMark mark;
  Connection* connection = make_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  return bind(ssl_, *connection, scope);
}

Result<void> ClientTls::request_client_certificate(std::span<X509* const> hints, const Limits& limits) const noexcept {
  if (auto valid = check(Operation::request_client_certificate, *context_, ssl_); !valid) return valid;
  const ErrorQueueMark mark;
  if (auto stage = check_certificate_stage(ssl_); !stage) return stage;
  if (auto valid = check_limits(limits); !valid) return valid;
  auto names = subject_names(hints);
  if (!names) return names.error();
  Connection* connection = make_current_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (connection->bound) {
    make_dead(ssl_);
  } else {
    disable_reuse(ssl_, *connection);
  }
  ask(ssl_, *connection, std::move(*names), limits);
  verify_by_our_rules(ssl_, *connection, SSL_VERIFY_PEER);
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
  if (leaf != nullptr && connection != nullptr && connection->pem_leaf.get() == leaf) return connection->pem.view();
  const ErrorQueueMark mark;
  if (auto complete = check_handshake_complete(ssl_, connection); !complete) return complete.error();
  if (leaf == nullptr) return std::nullopt;
  auto pem = make_chain(ssl_, connection, leaf);
  if (!pem) return pem.error();
  if (connection == nullptr) connection = make_current_connection(ssl_);
  if (connection == nullptr) return failure(Errc::out_of_memory, "out of memory");
  X509_up_ref(leaf);
  connection->pem_leaf.reset(leaf);
  connection->pem = std::move(*pem);
  return connection->pem.view();
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
  if (auto complete = check_handshake_complete(ssl_, connection); !complete) return complete.error();
  return or_out_of_memory([&]() -> Result<LogEntry> {
    const auto& override = context_->client_verify();
    return LogEntry{.version = SSL_get_version(ssl_),
                    .cipher = SSL_get_cipher_name(ssl_),
                    .client_verify = override ? std::string(override->text()) : client_verify(ssl_, connection)};
  });
}

}  // namespace client_tls

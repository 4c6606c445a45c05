// What is done at each step of a handshake: OpenSSL tells of it through the info callback.
#include <cstring>

#include "certificate_request.hpp"
#include "errors.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

// OpenSSL calls the SSL's own info callback, or else the SSL_CTX's. Ours stands in the first place for a while, and for
// the rest of an SSL_do_handshake also when it no longer does.
InfoCallback host_info_callback(const SSL* ssl, const Connection* connection) noexcept {
  InfoCallback callback = SSL_get_info_callback(ssl);
  if (callback == on_info) callback = connection != nullptr ? connection->host.info.value_or(nullptr) : nullptr;
  return callback != nullptr ? callback : SSL_CTX_get_info_callback(SSL_get_SSL_CTX(ssl));
}

// Where a certificate may still be asked for when the ServerHello is made, OpenSSL keeps the ClientHello and all that
// follows; on a resumed TLS 1.3 connection, which asks for none, until it ends. So the verify mode, which a policy sets
// at the ClientHello, goes as soon as the session is taken. A HelloRetryRequest would take the session back, and what
// follows it can be a full handshake: but with the client's key at hand, none is sent.
void ask_resumed_for_nothing(SSL* ssl) noexcept {
  if (SSL_session_reused(ssl) != 1 || SSL_get_verify_mode(ssl) == SSL_VERIFY_NONE) return;
  EVP_PKEY* key = nullptr;
  if (SSL_get_verify_callback(ssl) != on_verify || SSL_get_peer_tmp_key(ssl, static_cast<void*>(&key)) != 1) return;
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
  restore_after_handshake(ssl, connection.host);
  report_handshake(ssl, connection, true);
}

// SSL_do_handshake sends an alert, or returns: for good, or because it has to wait, which SSL_get_error cannot tell
// from inside. Of the return from the call in which the ClientHello came OpenSSL does not tell: only the alert is seen
// then.
void follow_failure(SSL* ssl, Connection& connection) noexcept {
  if (!connection.told) return;
  if (std::strcmp(SSL_state_string(ssl), "SSLERR") == 0) report_handshake(ssl, connection, false);
}

}  // namespace

void on_info(const SSL* ssl, int where, int value) noexcept {
  Connection* connection = find_connection(ssl);
  const InfoCallback host = host_info_callback(ssl, connection);
  if (connection != nullptr) {
    if (is_current(*connection, ssl)) follow(const_cast<SSL*>(ssl), *connection, where);
    const bool may_have_failed = where == SSL_CB_ACCEPT_EXIT || where == SSL_CB_WRITE_ALERT;
    if (may_have_failed) follow_failure(const_cast<SSL*>(ssl), *connection);
  }
  if (host != nullptr) host(ssl, where, value);
}

}  // namespace client_tls

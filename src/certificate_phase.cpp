#include "certificate_phase.hpp"

#include <new>

#include "callbacks.hpp"
#include "errors.hpp"
#include "openssl_version.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {}  // namespace

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

}  // namespace client_tls

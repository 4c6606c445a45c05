#include "certificate_phase.hpp"

#include <new>

#include "callbacks.hpp"
#include "errors.hpp"
#include "openssl_version.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

void set_names(SSL* ssl, Connection& connection, X509NameStackPtr names) noexcept {
  if (names == nullptr && !connection.host.client_ca_list_replaced) return;
  connection.host.client_ca_list_replaced = names != nullptr;
  // Where the first list is empty, OpenSSL takes the other one, which would be the SSL_CTX's.
  if (sk_X509_NAME_num(names.get()) == 0) SSL_set0_CA_list(ssl, sk_X509_NAME_new_null());
  SSL_set_client_CA_list(ssl, names.release());
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

void verify_by_our_rules(SSL* ssl, Connection& connection, int mode) noexcept {
  HostSettings& host = connection.host;
  if (!host.verify_mode) {
    const SSL_verify_cb callback = SSL_get_verify_callback(ssl);
    if (callback != on_verify) host.verify_callback = callback;
    host.verify_mode = SSL_get_verify_mode(ssl);
  }
  SSL_set_verify(ssl, mode, on_verify);
  // The limits are on the message as it is sent, and a compressed one can be a thousand times as large.
  if ((SSL_get_options(ssl) & no_compressed_certificate) != no_compressed_certificate) {
    SSL_set_options(ssl, no_compressed_certificate);
    host.compression_switched_off = true;
  }
}

HostVerification* make_host_verification(Connection& connection) noexcept {
  auto& host = connection.host.verification;
  if (!host) host.reset(new (std::nothrow) HostVerification);
  return host.get();
}

bool watch_security(SSL* ssl, Connection& connection) noexcept {
  HostVerification* host = make_host_verification(connection);
  if (host == nullptr) return false;
  const SecurityCallback callback = SSL_get_security_callback(ssl);
  if (callback != on_security) {
    host->security = callback;
    SSL_set_security_callback(ssl, on_security);
  }
  return true;
}

void set_limits(SSL* ssl, Connection& connection, const Limits& limits) noexcept {
  if (!connection.host.max_cert_list)
    connection.host.max_cert_list = static_cast<std::uint32_t>(SSL_get_max_cert_list(ssl));
  SSL_set_max_cert_list(ssl, static_cast<long>(limits.max_chain_bytes));
  connection.max_chain_certificates = static_cast<std::uint16_t>(limits.max_chain_certificates);
  connection.max_carried_bytes = static_cast<std::uint16_t>(limits.max_carried_bytes);
}

void ask(SSL* ssl, Connection& connection, X509NameStackPtr names) noexcept {
  set_names(ssl, connection, std::move(names));
  connection.asked = true;
  watch(ssl, connection);
}

void forbid_reuse(SSL* ssl, Connection& connection) noexcept {
  connection.reuse_disabled = true;
  SSL_set_not_resumable_session_callback(ssl, on_not_resumable);
  set_num_tickets(ssl, connection, 0);
}

void disable_reuse(SSL* ssl, Connection& connection) noexcept {
  make_dead(ssl);
  SSL_SESSION_set1_id(SSL_get_session(ssl), reinterpret_cast<const unsigned char*>(""), 0);
  forbid_reuse(ssl, connection);
}

void set_num_tickets(SSL* ssl, Connection& connection, std::size_t number) noexcept {
  if (!connection.host.num_tickets) connection.host.num_tickets = static_cast<std::uint32_t>(SSL_get_num_tickets(ssl));
  SSL_set_num_tickets(ssl, number);
}

}  // namespace client_tls

#include "certificate_phase.hpp"

#include <new>

#include "callbacks.hpp"
#include "errors.hpp"
#include "openssl_version.hpp"
#include "session_binding.hpp"

namespace client_tls {
namespace {

// The names of a CertificateRequest share 65,535 bytes with its other extensions (RFC 8446, section 4.3.2).
constexpr std::size_t max_names_size = 64'000;
constexpr std::size_t max_certificates = 100;

bool contains_name(const STACK_OF(X509_NAME) * names, const X509_NAME* name) noexcept {
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    if (X509_NAME_cmp(sk_X509_NAME_value(names, i), name) == 0) return true;
  }
  return false;
}

// Adds a copy of the certificate's subject, if it is not there yet, and its size on the wire to `total`.
Result<void> add_name(STACK_OF(X509_NAME) * names, const X509* hint, std::size_t& total) noexcept {
  if (hint == nullptr) return failure(Errc::invalid_argument, "a hint is null");
  const X509_NAME* subject = X509_get_subject_name(hint);
  if (X509_NAME_entry_count(subject) == 0) return failure(Errc::invalid_argument, "a hint has no subject name");
  if (contains_name(names, subject)) return {};
  X509_NAME* copy = X509_NAME_dup(subject);
  const int size = copy != nullptr ? i2d_X509_NAME(copy, nullptr) : -1;
  if (size < 0 || sk_X509_NAME_push(names, copy) <= 0) {
    X509_NAME_free(copy);
    return openssl_failure("a hint's name could not be copied");
  }
  total += static_cast<std::size_t>(size) + 2;
  if (total > max_names_size) return failure(Errc::invalid_argument, "the names of the hints exceed 64,000 bytes");
  return {};
}

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

Result<void> check_limits(const Limits& limits) noexcept {
  const auto within = [](std::size_t value, std::size_t min, std::size_t max) { return value >= min && value <= max; };
  if (within(limits.max_chain_bytes, 1, Limits::max_limit_bytes) &&
      within(limits.max_chain_certificates, 1, max_certificates) &&
      within(limits.max_carried_bytes, 0, Limits::max_limit_bytes)) {
    return {};
  }
  return failure(Errc::invalid_argument, "a limit is out of its range");
}

Result<void> check_max_age(const std::optional<std::chrono::seconds>& max_age) noexcept {
  constexpr std::chrono::seconds longest{std::numeric_limits<std::int32_t>::max()};
  if (!max_age || (max_age->count() >= 1 && *max_age <= longest)) return {};
  return failure(Errc::invalid_argument, "max_age: it must be a second to 2^31 - 1 seconds");
}

Result<void> check_options(const BindOptions& options) noexcept {
  if (auto valid = check_limits(options.limits); !valid) return valid;
  return check_max_age(options.max_age);
}

Result<X509NameStackPtr> subject_names(std::span<X509* const> certificates) noexcept {
  X509NameStackPtr names{certificates.empty() ? nullptr : sk_X509_NAME_new_null()};
  if (!certificates.empty() && !names) return failure(Errc::out_of_memory, "out of memory");
  std::size_t total = 0;
  for (const X509* certificate : certificates) {
    if (auto added = add_name(names.get(), certificate, total); !added) return added.error();
  }
  return names;
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

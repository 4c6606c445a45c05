#include "host_settings.hpp"

#include <ctime>
#include <limits>
#include <new>
#include <utility>

#include "errors.hpp"
#include "openssl_version.hpp"

namespace client_tls {
namespace {

// Null when memory has run out.
HostVerification* make_verification(HostSettings& host) noexcept {
  if (!host.verification) host.verification.reset(new (std::nothrow) HostVerification);
  return host.verification.get();
}

// The host's rules could not be copied, for lack of memory. What is there may be less than they were, so that nothing
// is to be verified by it: it is done at a time at which no certificate is valid.
void trust_nobody(X509_VERIFY_PARAM* param) noexcept {
  X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_time(param, std::numeric_limits<std::time_t>::min());
}

void restore_verification(SSL* ssl, const HostVerification& host) noexcept {
  if (host.param) {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_inh_flags(param, X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
    if (X509_VERIFY_PARAM_set1(param, host.param.get()) != 1) trust_nobody(param);
    X509_VERIFY_PARAM_set_inh_flags(param, static_cast<std::uint32_t>(host.inherit_flags));
    SSL_set1_verify_cert_store(ssl, host.store.get());
  }
  // What the host has set itself in the meantime is the host's.
  if (host.security != nullptr && SSL_get_security_callback(ssl) == on_security) {
    SSL_set_security_callback(ssl, host.security);
  }
}

}  // namespace

std::unique_ptr<HostVerification> HostVerification::clone() const noexcept {
  std::unique_ptr<HostVerification> copy{new (std::nothrow) HostVerification};
  if (!copy) return nullptr;
  copy->param.reset(X509_VERIFY_PARAM_new());
  if (!copy->param || X509_VERIFY_PARAM_set1(copy->param.get(), param.get()) != 1) return nullptr;
  if (store) X509_STORE_up_ref(store.get());
  copy->store.reset(store.get());
  copy->inherit_flags = inherit_flags;
  copy->security = security;
  return copy;
}

bool copy_settings(const HostSettings& from, HostSettings& to) noexcept {
  if (from.verification) to.verification = from.verification->clone();
  if (from.verification && !to.verification) return false;
  to.verify_mode = from.verify_mode;
  to.max_cert_list = from.max_cert_list;
  to.num_tickets = from.num_tickets;
  to.max_early_data = from.max_early_data;
  to.info = from.info;
  to.verify_callback = from.verify_callback;
  to.client_ca_list_replaced = from.client_ca_list_replaced;
  to.compression_switched_off = from.compression_switched_off;
  return true;
}

void watch(SSL* ssl, HostSettings& host) noexcept {
  const InfoCallback callback = SSL_get_info_callback(ssl);
  if (callback == on_info) return;
  host.info = callback;
  SSL_set_info_callback(ssl, on_info);
}

void verify_by_our_rules(SSL* ssl, HostSettings& host, int mode) noexcept {
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

bool watch_security(SSL* ssl, HostSettings& host) noexcept {
  HostVerification* kept = make_verification(host);
  if (kept == nullptr) return false;
  const SecurityCallback callback = SSL_get_security_callback(ssl);
  if (callback != on_security) {
    kept->security = callback;
    SSL_set_security_callback(ssl, on_security);
  }
  return true;
}

Result<void> keep_verification(SSL* ssl, HostSettings& host) noexcept {
  HostVerification* kept = make_verification(host);
  if (kept == nullptr) return failure(Errc::out_of_memory, "out of memory");
  if (kept->param) return {};
  X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
  kept->inherit_flags = X509_VERIFY_PARAM_get_inh_flags(param);
  X509_VERIFY_PARAM_set_inh_flags(param, 0);  // some keep it from being copied
  kept->param.reset(X509_VERIFY_PARAM_new());
  if (!kept->param || X509_VERIFY_PARAM_set1(kept->param.get(), param) != 1) {
    kept->param.reset();
    return openssl_failure("the host's verify parameters could not be kept");
  }
  X509_STORE* store = nullptr;
  SSL_get0_verify_cert_store(ssl, &store);
  if (store != nullptr) X509_STORE_up_ref(store);
  kept->store.reset(store);
  return {};
}

void set_max_cert_list(SSL* ssl, HostSettings& host, std::size_t bytes) noexcept {
  if (!host.max_cert_list) host.max_cert_list = static_cast<std::uint32_t>(SSL_get_max_cert_list(ssl));
  SSL_set_max_cert_list(ssl, static_cast<long>(bytes));
}

void set_num_tickets(SSL* ssl, HostSettings& host, std::size_t number) noexcept {
  if (!host.num_tickets) host.num_tickets = static_cast<std::uint32_t>(SSL_get_num_tickets(ssl));
  SSL_set_num_tickets(ssl, number);
}

void accept_no_early_data(SSL* ssl, HostSettings& host) noexcept {
  if (!host.max_early_data) host.max_early_data = SSL_get_max_early_data(ssl);
  SSL_set_max_early_data(ssl, 0);
}

void set_ca_names(SSL* ssl, HostSettings& host, X509NameStackPtr names) noexcept {
  if (names == nullptr && !host.client_ca_list_replaced) return;
  host.client_ca_list_replaced = names != nullptr;
  // Where the first list is empty, OpenSSL takes the other one, which would be the SSL_CTX's.
  if (sk_X509_NAME_num(names.get()) == 0) SSL_set0_CA_list(ssl, sk_X509_NAME_new_null());
  SSL_set_client_CA_list(ssl, names.release());
}

void restore_after_handshake(SSL* ssl, HostSettings& host) noexcept {
  // What the host has set itself in the meantime is the host's.
  if (host.verify_mode && SSL_get_verify_callback(ssl) == on_verify) {
    SSL_set_verify(ssl, *host.verify_mode, host.verify_callback);
  }
  if (host.max_cert_list) SSL_set_max_cert_list(ssl, *host.max_cert_list);
  if (host.compression_switched_off) SSL_clear_options(ssl, no_compressed_certificate);
  if (host.verification) restore_verification(ssl, *host.verification);
  host.verification.reset();
  if (host.client_ca_list_replaced) {
    SSL_set_client_CA_list(ssl, nullptr);
    SSL_set0_CA_list(ssl, nullptr);
  }
  if (host.info && SSL_get_info_callback(ssl) == on_info) SSL_set_info_callback(ssl, *host.info);
  host.verify_mode.reset();
  host.max_cert_list.reset();
  host.client_ca_list_replaced = false;
  host.compression_switched_off = false;
  host.info.reset();
}

void restore_before_handshake(SSL* ssl, HostSettings& host) noexcept {
  restore_after_handshake(ssl, host);
  if (host.num_tickets) SSL_set_num_tickets(ssl, *host.num_tickets);
  if (host.max_early_data) SSL_set_max_early_data(ssl, *host.max_early_data);
  const SSL_verify_cb verify_callback = host.verify_callback;
  host = HostSettings{};
  host.verify_callback = verify_callback;
}

}  // namespace client_tls

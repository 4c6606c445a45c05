// A verification by a policy's rules outside of a handshake.
#pragma once

#include "client_tls/policy.hpp"
#include "envelope.hpp"
#include "policy_rules.hpp"

namespace client_tls {

// One verification, of a chain that a client has presented.
class Verification {
 public:
  Verification(SSL* ssl, const ClientAuthPolicy& policy, X509* leaf, STACK_OF(X509) * others) noexcept
      : policy_(policy),
        store_(X509_STORE_CTX_new()),
        ready_(prepare(strictness_of(ssl, policy.options()), leaf, others)) {}

  [[nodiscard]] bool run() noexcept {
    if (!ready_ || X509_verify_cert(store_.get()) < 0) return false;
    const int result = X509_STORE_CTX_get_error(store_.get());
    if (result == X509_V_ERR_OUT_OF_MEM) return false;
    if (result != X509_V_OK && found_.reason_count == 0) found_.add(result, 0);
    return true;
  }
  [[nodiscard]] const Authentication& found() const noexcept { return found_; }
  [[nodiscard]] const STACK_OF(X509) * chain() const noexcept { return X509_STORE_CTX_get0_chain(store_.get()); }

 private:
  bool prepare(const HostStrictness& strictness, X509* leaf, STACK_OF(X509) * others) noexcept {
    const bool good = store_ && X509_STORE_CTX_init(store_.get(), policy_.get0_store(), leaf, others) == 1 &&
                      X509_STORE_CTX_set_default(store_.get(), "ssl_client") == 1 &&
                      X509_STORE_CTX_set_app_data(store_.get(), this) == 1;
    if (!good) return false;
    X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(store_.get());
    X509_VERIFY_PARAM_set_depth(param, policy_.options().depth);
    X509_VERIFY_PARAM_set_flags(param, strictness.flags);
    X509_VERIFY_PARAM_set_auth_level(param, strictness.security_level);
    X509_STORE_CTX_set_verify_cb(store_.get(), on_error);
    return true;
  }

  static int on_error(int preverified, X509_STORE_CTX* store) noexcept {
    if (preverified == 1) return 1;
    auto& self = *static_cast<Verification*>(X509_STORE_CTX_get_app_data(store));
    const bool ignored = is_about_anchor(store);
    const std::uint8_t leniency = ignored ? std::uint8_t{0} : leniency_for(self.policy_, store);
    if (leniency == 0 && !ignored)
      self.found_.add(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
    self.found_.leniency = static_cast<std::uint8_t>(self.found_.leniency | leniency);
    const std::size_t count = self.found_.reason_count;
    X509_STORE_CTX_set_error(store, count > 0 ? self.found_.reasons[count - 1].code : X509_V_OK);
    return 1;
  }

  const ClientAuthPolicy& policy_;
  OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> store_;
  Authentication found_;
  bool ready_;
};

}  // namespace client_tls

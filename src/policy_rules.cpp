#include "policy_rules.hpp"

#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>

#include "certificate_time.hpp"
#include "envelope.hpp"

namespace client_tls {
namespace {

constexpr unsigned long strict_flags =
    X509_V_FLAG_X509_STRICT | X509_V_FLAG_SUITEB_128_LOS | X509_V_FLAG_SUITEB_128_LOS_ONLY | X509_V_FLAG_SUITEB_192_LOS;

}  // namespace

HostStrictness strictness_of(SSL* ssl, const PolicyOptions& options) noexcept {
  const auto suite_b = static_cast<unsigned long>(SSL_set_cert_flags(ssl, 0)) & SSL_CERT_FLAG_SUITEB_128_LOS;
  return {.flags = (X509_VERIFY_PARAM_get_flags(SSL_get0_param(ssl)) | suite_b) & strict_flags,
          .security_level = std::max(SSL_get_security_level(ssl), options.security_level)};
}

bool lists_have_ended(const ClientAuthPolicy& policy) noexcept {
  return std::chrono::sys_seconds{std::chrono::seconds{std::time(nullptr)}} >= policy.lists_end();
}

std::uint8_t leniency_for(const ClientAuthPolicy& policy, X509_STORE_CTX* store) noexcept {
  const PolicyOptions& options = policy.options();
  X509* certificate = X509_STORE_CTX_get_current_cert(store);
  const int depth = X509_STORE_CTX_get_error_depth(store);
  switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_CERT_HAS_EXPIRED: {
      const bool tolerated = depth == 0 && seconds_since_epoch(X509_get0_notAfter(certificate)) >
                                               std::time(nullptr) - options.expired_tolerance.count();
      return tolerated && options.expired_tolerance.count() > 0 ? expired_tolerated : 0;
    }
    case X509_V_ERR_INVALID_PURPOSE: {
      // OpenSSL has no purpose for both.
      const bool for_servers = X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, depth > 0 ? 1 : 0) == 1;
      return for_servers && options.purpose == Purpose::client_or_server ? server_purpose_tolerated : 0;
    }
    default:
      return 0;
  }
}

bool is_about_anchor(X509_STORE_CTX* store) noexcept {
  const int depth = X509_STORE_CTX_get_error_depth(store);
  const int top = sk_X509_num(X509_STORE_CTX_get0_chain(store)) - 1;
  if (depth != top || depth < X509_STORE_CTX_get_num_untrusted(store)) return false;
  switch (X509_STORE_CTX_get_error(store)) {
    case X509_V_ERR_CERT_REVOKED:
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
    case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    case X509_V_ERR_DIFFERENT_CRL_SCOPE:
    case X509_V_ERR_CRL_PATH_VALIDATION_ERROR:
      return true;
    default:
      return false;
  }
}

std::int64_t first_not_after(const X509* leaf, std::initializer_list<const STACK_OF(X509) *> chains,
                             const ClientAuthPolicy* policy) noexcept {
  std::int64_t first = seconds_since_epoch(X509_get0_notAfter(leaf));
  if (policy != nullptr && first > 0) first += policy->options().expired_tolerance.count();
  for (const STACK_OF(X509) * chain : chains) {
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      const X509* certificate = sk_X509_value(chain, i);
      if (certificate != leaf) first = std::min(first, seconds_since_epoch(X509_get0_notAfter(certificate)));
    }
  }
  return first;
}

}  // namespace client_tls

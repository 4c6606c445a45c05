#include "list_check.hpp"

#include <algorithm>
#include <ctime>
#include <memory>
#include <utility>

#include "errors.hpp"
#include "ex_data_index.hpp"

namespace client_tls {
namespace {

using CheckCrl = X509_STORE_CTX_check_crl_fn;

struct StoreLists {
  std::vector<RevocationListPtr> lists;
  CheckCrl openssls;
};

void free_lists(void* /*store*/, void* lists, CRYPTO_EX_DATA* /*data*/, int /*index*/, long /*argl*/, void* /*argp*/) {
  delete static_cast<StoreLists*>(lists);
}

constinit ExDataIndex store_slot;

int index_of_lists() noexcept {
  return store_slot.get([] { return X509_STORE_get_ex_new_index(0, nullptr, nullptr, nullptr, free_lists); });
}

// Null when memory has run out.
CheckCrl openssls_check() noexcept {
  const OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context{X509_STORE_CTX_new()};
  const X509StorePtr store{X509_STORE_new()};
  if (!context || !store || X509_STORE_CTX_init(context.get(), store.get(), nullptr, nullptr) != 1) return nullptr;
  return X509_STORE_CTX_get_check_crl(context.get());
}

const RevocationList* find(const StoreLists& lists, const X509_CRL* crl) noexcept {
  const auto found =
      std::find_if(lists.lists.begin(), lists.lists.end(), [crl](const auto& list) { return list->crl.get() == crl; });
  return found != lists.lists.end() ? found->get() : nullptr;
}

// A list about which nothing is open but who its issuer is, and the signature.
bool is_plain(const RevocationList& list) noexcept {
  const std::int64_t now = std::time(nullptr);
  return !list.has_distribution_point && list.has_plain_dates && list.begins <= now && now < list.ends;
}

// What else changes nothing of how a list is checked. Others ask for more (Suite B), or for less (no times).
bool has_usual_rules(X509_STORE_CTX* store) noexcept {
  constexpr unsigned long usual = X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_TRUSTED_FIRST;
  return (X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(store)) & ~usual) == 0;
}

// The issuer of the certificate that is looked up, which is the next in the chain, or the anchor itself; null where it
// is another one, whose own path is to be verified, or may sign no lists.
X509* issuer_on_path(X509_STORE_CTX* store) noexcept {
  const STACK_OF(X509)* chain = X509_STORE_CTX_get0_chain(store);
  const int next = std::min(X509_STORE_CTX_get_error_depth(store) + 1, sk_X509_num(chain) - 1);
  X509* issuer = X509_STORE_CTX_get0_current_issuer(store);
  const bool on_path = issuer != nullptr && issuer == sk_X509_value(chain, next);
  return on_path && (X509_get_key_usage(issuer) & KU_CRL_SIGN) != 0 ? issuer : nullptr;
}

// Then OpenSSL 4.0 tells the verify callback which list it is, and its own check alone can set that.
bool is_listed(X509_STORE_CTX* store, X509_CRL* crl) noexcept {
  X509_REVOKED* entry = nullptr;
  return X509_CRL_get0_by_cert(crl, &entry, X509_STORE_CTX_get_current_cert(store)) != 0;
}

// In the place of OpenSSL's check_crl, which verifies the signature of a list, be it of megabytes, each time that a
// certificate is looked up. Where anything is out of the ordinary, or wrong, it is OpenSSL's turn.
int on_check_crl(X509_STORE_CTX* store, X509_CRL* crl) noexcept {
  const auto* lists =
      static_cast<const StoreLists*>(X509_STORE_get_ex_data(X509_STORE_CTX_get0_store(store), index_of_lists()));
  if (lists == nullptr) return 0;
  const RevocationList* list = find(*lists, crl);
  if (list != nullptr && is_plain(*list) && has_usual_rules(store) && !is_listed(store, crl)) {
    const ErrorQueueMark mark;
    X509* issuer = issuer_on_path(store);
    const auto good = issuer != nullptr ? is_signed_by(*list, issuer) : Result<bool>(false);
    if (good && *good) return 1;
  }
  return lists->openssls(store, crl);
}

}  // namespace

Result<void> add_lists(X509_STORE* store, std::vector<RevocationListPtr> lists) {
  if (lists.empty()) return {};
  bool good = X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
  for (const auto& list : lists) good = good && X509_STORE_add_crl(store, list->crl.get()) == 1;
  auto kept = std::make_unique<StoreLists>();
  kept->lists = std::move(lists);
  kept->openssls = openssls_check();
  good = good && kept->openssls != nullptr && X509_STORE_set_ex_data(store, index_of_lists(), kept.get()) == 1;
  if (!good) return openssl_failure("crls: they cannot be used");
  (void)kept.release();  // NOLINT(bugprone-unused-return-value): the store owns them
  X509_STORE_set_check_crl(store, on_check_crl);
  return {};
}

}  // namespace client_tls

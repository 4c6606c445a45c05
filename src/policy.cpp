#include "client_tls/policy.hpp"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <concepts>
#include <limits>
#include <new>

#include "ca_names.hpp"
#include "envelope.hpp"
#include "errors.hpp"
#include "list_check.hpp"
#include "policy_check.hpp"
#include "policy_warnings.hpp"

namespace client_tls {
namespace {

// Everything that is digested: numbers at full width, sets with their size, so that no two policies are the same bytes.
class Digested {
 public:
  void add(std::integral auto number) {
    std::array<unsigned char, 8> bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] = static_cast<unsigned char>(static_cast<std::uint64_t>(number) >> (8 * i));
    }
    append(bytes);
  }
  // Certificates, in whatever order, each once.
  bool add(const std::vector<X509Ptr>& certificates) {
    std::vector<ClientAuthPolicy::Digest> digests;
    for (const auto& certificate : certificates) {
      auto& digest = digests.emplace_back();
      if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), nullptr) != 1) return false;
    }
    add_set(std::move(digests));
    return true;
  }
  void add_set(std::vector<ClientAuthPolicy::Digest> digests) {
    std::ranges::sort(digests);
    digests.erase(std::unique(digests.begin(), digests.end()), digests.end());  // std::ranges::unique: not in clang 14
    add(digests.size());
    for (const auto& digest : digests) append(digest);
  }
  bool finish(ClientAuthPolicy::Digest& digest) const {
    return EVP_Digest(bytes_.data(), bytes_.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1;
  }

 private:
  void append(const auto& bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  std::vector<unsigned char> bytes_;
};

std::vector<ClientAuthPolicy::Digest> contents_of(const std::vector<RevocationListPtr>& lists) {
  std::vector<ClientAuthPolicy::Digest> contents;
  contents.reserve(lists.size());
  for (const auto& list : lists) contents.push_back(list->contents);
  return contents;
}

// An option that is added to PolicyOptions, or to Limits, does not compile here until it has its line.
// Of the lists, who is revoked.
bool digest(const PolicyOptions& options, const std::vector<RevocationListPtr>& lists,
            ClientAuthPolicy::Digest& result) {
  const auto& [request, refusal, anchors, partial_chain, intermediates, hints, crls, purpose, expired_tolerance,
               security_level, depth, max_age, tickets, resumption, resume_without_certificate, limits] = options;
  (void)crls;
  const auto& [max_chain_bytes, max_chain_certificates, max_carried_bytes] = limits;
  Digested all;
  all.add(session_format);
  all.add(static_cast<int>(request));
  all.add(static_cast<int>(refusal));
  if (!all.add(anchors)) return false;
  all.add(partial_chain);
  if (!all.add(intermediates)) return false;
  all.add(hints.has_value());
  if (hints && !all.add(*hints)) return false;
  all.add_set(contents_of(lists));
  all.add(static_cast<int>(purpose));
  all.add(expired_tolerance.count());
  all.add(security_level);
  all.add(depth);
  all.add(max_age.value_or(std::chrono::seconds::zero()).count());
  all.add(tickets.value_or(0));
  all.add(resumption);
  all.add(resume_without_certificate);
  all.add(max_chain_bytes);
  all.add(max_chain_certificates);
  all.add(max_carried_bytes);
  return all.finish(result);
}

// Copies, which no host changes later.
Result<void> make_own(std::vector<X509Ptr>& certificates) noexcept {
  for (auto& certificate : certificates) {
    X509Ptr copy{X509_dup(certificate.get())};
    if (!copy) return openssl_failure("a certificate cannot be copied");
    // What OpenSSL finds out about a certificate and keeps in it, it does now: later, threads share it.
    X509_check_purpose(copy.get(), -1, 0);
    certificate = std::move(copy);
  }
  return {};
}

Result<void> make_own(PolicyOptions& options) noexcept {
  if (auto own = make_own(options.anchors); !own) return own;
  if (auto own = make_own(options.intermediates); !own) return own;
  return options.hints ? make_own(*options.hints) : Result<void>();
}

bool add_anchors(X509_STORE* store, const PolicyOptions& options) noexcept {
  // X509_V_FLAG_PARTIAL_CHAIN would make an anchor of everything that is in the store.
  ASN1_OBJECT* clients = OBJ_nid2obj(NID_client_auth);
  return std::ranges::all_of(options.anchors, [&](const X509Ptr& anchor) {
    const bool trusted = !options.partial_chain || X509_add1_trust_object(anchor.get(), clients) == 1;
    return trusted && X509_STORE_add_cert(store, anchor.get()) == 1;
  });
}

bool add_intermediates(X509_STORE* store, const PolicyOptions& options) noexcept {
  return std::ranges::all_of(options.intermediates, [store](const X509Ptr& intermediate) {
    // In a store, what is self-signed is trusted.
    const bool self_signed = (X509_get_extension_flags(intermediate.get()) & EXFLAG_SS) != 0;
    return self_signed || X509_STORE_add_cert(store, intermediate.get()) == 1;
  });
}

Result<X509StorePtr> make_store(const PolicyOptions& options, std::vector<RevocationListPtr> lists) {
  X509StorePtr store{X509_STORE_new()};
  const bool good = store && add_anchors(store.get(), options) && add_intermediates(store.get(), options);
  if (!good) return openssl_failure("the anchors cannot be used");
  if (auto added = add_lists(store.get(), std::move(lists)); !added) return added.error();
  return store;
}

std::chrono::sys_seconds end_of_lists(const std::vector<RevocationListPtr>& lists) noexcept {
  auto first = std::numeric_limits<std::int64_t>::max();
  for (const auto& list : lists) first = std::min(first, list->ends);
  return std::chrono::sys_seconds{std::chrono::seconds{first}};
}

Result<X509NameStackPtr> make_hint_names(const PolicyOptions& options) {
  const auto& hints = options.hints ? *options.hints : options.anchors;
  std::vector<X509*> borrowed;
  borrowed.reserve(hints.size());
  for (const auto& hint : hints) borrowed.push_back(hint.get());
  auto names = subject_names(borrowed);
  if (names && *names == nullptr) names->reset(sk_X509_NAME_new_null());  // no names, not the SSL_CTX's
  if (names && *names == nullptr) return failure(Errc::out_of_memory, "out of memory");
  return names;
}

// One more reference to each, in the place of what the host has given.
void take_newest(std::vector<X509CrlPtr>& crls, const std::vector<RevocationListPtr>& lists) {
  crls.clear();
  crls.reserve(lists.size());
  for (const auto& list : lists) {
    X509_CRL_up_ref(list->crl.get());
    crls.emplace_back(list->crl.get());
  }
}

}  // namespace

Result<PolicyPtr> ClientAuthPolicy::make(PolicyOptions options) noexcept {
  const ErrorQueueMark mark;
  return or_out_of_memory([&]() -> Result<PolicyPtr> {
    if (auto valid = check_options(options); !valid) return valid.error();
    std::shared_ptr<ClientAuthPolicy> policy{new (std::nothrow) ClientAuthPolicy(std::move(options))};
    if (policy == nullptr) return failure(Errc::out_of_memory, "out of memory");
    if (auto made = policy->make_all(); !made) return made.error();
    return PolicyPtr(std::move(policy));
  });
}

Result<void> ClientAuthPolicy::make_all() {
  auto newest = newest_lists(options_.crls);
  if (!newest) return newest.error();
  if (auto valid = check_lists(options_, *newest); !valid) return valid;
  if (!client_tls::digest(options_, newest->lists, digest_)) return openssl_failure("a policy cannot be digested");
  if (options_.request == ClientAuth::none) return {};
  auto names = make_hint_names(options_);
  if (!names) return names.error();
  auto warnings = warnings_of(options_, *newest, names->get());
  if (!warnings) return warnings.error();
  if (auto own = make_own(options_); !own) return own;
  take_newest(options_.crls, newest->lists);
  lists_end_ = end_of_lists(newest->lists);
  auto store = make_store(options_, std::move(newest->lists));
  if (!store) return store.error();
  warnings_ = *std::move(warnings);
  hint_names_ = *std::move(names);
  store_ = *std::move(store);
  return {};
}

}  // namespace client_tls

#include "client_tls/policy.hpp"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <concepts>
#include <limits>
#include <new>

#include "ca_names.hpp"
#include "certificate_time.hpp"
#include "envelope.hpp"
#include "errors.hpp"
#include "limits_check.hpp"

namespace client_tls {
namespace {

constexpr int max_depth = 99;
constexpr int max_security_level = 5;
constexpr std::chrono::seconds longest_tolerance{std::numeric_limits<std::int32_t>::max()};
constexpr std::size_t max_tickets = 16;

Result<void> check(bool good, std::string_view message) noexcept {
  if (good) return {};
  return failure(Errc::invalid_argument, message);
}

constexpr auto is_null = [](const auto& object) { return object == nullptr; };

Result<void> check_trust(const PolicyOptions& options) noexcept {
  const bool asks = options.request != ClientAuth::none;
  if (!asks) {
    const bool nothing = options.anchors.empty() && !options.hints && options.crls.empty();
    return check(nothing, "anchors, hints or crls mean nothing where no certificate is asked for");
  }
  if (options.anchors.empty()) return check(false, "anchors: a policy that asks for certificates needs one");
  if (std::ranges::any_of(options.anchors, is_null)) return check(false, "anchors: one is null");
  if (options.hints && std::ranges::any_of(*options.hints, is_null)) return check(false, "hints: one is null");
  if (std::ranges::any_of(options.crls, is_null)) return check(false, "crls: one is null");
  const bool one_can_end_a_chain = std::ranges::any_of(
      options.anchors, [](const X509Ptr& anchor) { return X509_self_signed(anchor.get(), 1) == 1; });
  return check(one_can_end_a_chain, "anchors: none is self-signed, so no chain could end in one");
}

Result<void> check_numbers(const PolicyOptions& options) noexcept {
  if (options.request > ClientAuth::required) return check(false, "request: not one of its values");
  if (options.refusal > Refusal::host) return check(false, "refusal: not one of its values");
  if (options.purpose > Purpose::client_or_server) return check(false, "purpose: not one of its values");
  if (options.expired_tolerance.count() < 0 || options.expired_tolerance > longest_tolerance) {
    return check(false, "expired_tolerance: it must be 0 to 2^31 - 1 seconds");
  }
  if (options.security_level < 0 || options.security_level > max_security_level) {
    return check(false, "security_level: it must be 0 to 5");
  }
  if (!options.resume_without_certificate && options.request != ClientAuth::optional) {
    return check(false, "resume_without_certificate: it means nothing but where request is optional");
  }
  if (options.depth < 0 || options.depth > max_depth) return check(false, "depth: it must be 0 to 99");
  if (options.tickets && (*options.tickets < 1 || *options.tickets > max_tickets))
    return check(false, "tickets: it must be 1 to 16");
  if (auto valid = check_max_age(options.max_age); !valid) return valid;
  return check_limits(options.limits);
}

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
  // A set of certificates or lists, by their digests: in whatever order, each once.
  template <class Objects, class DigestOf>
  bool add(const Objects& objects, DigestOf digest_of) {
    std::vector<ClientAuthPolicy::Digest> digests;
    for (const auto& object : objects) {
      auto& digest = digests.emplace_back();
      if (digest_of(object.get(), EVP_sha256(), digest.data(), nullptr) != 1) return false;
    }
    std::ranges::sort(digests);
    digests.erase(std::unique(digests.begin(), digests.end()), digests.end());  // std::ranges::unique: not in clang 14
    add(digests.size());
    for (const auto& digest : digests) append(digest);
    return true;
  }
  bool finish(ClientAuthPolicy::Digest& digest) const {
    return EVP_Digest(bytes_.data(), bytes_.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1;
  }

 private:
  void append(const auto& bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }

  std::vector<unsigned char> bytes_;
};

// An option that is added to PolicyOptions, or to Limits, does not compile here until it has its line.
bool digest(const PolicyOptions& options, ClientAuthPolicy::Digest& result) {
  const auto& [request, refusal, anchors, hints, crls, purpose, expired_tolerance, security_level, depth, max_age,
               tickets, resumption, resume_without_certificate, limits] = options;
  const auto& [max_chain_bytes, max_chain_certificates, max_carried_bytes] = limits;
  Digested all;
  all.add(session_format);
  all.add(static_cast<int>(request));
  all.add(static_cast<int>(refusal));
  if (!all.add(anchors, X509_digest)) return false;
  all.add(hints.has_value());
  if (hints && !all.add(*hints, X509_digest)) return false;
  if (!all.add(crls, X509_CRL_digest)) return false;
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

Result<X509StorePtr> make_store(const PolicyOptions& options) noexcept {
  X509StorePtr store{X509_STORE_new()};
  bool good = store != nullptr;
  for (const auto& anchor : options.anchors) {
    // What OpenSSL finds out about a certificate and keeps in it, it does now: later, threads share it.
    if (good) X509_check_purpose(anchor.get(), -1, 0);
    good = good && X509_STORE_add_cert(store.get(), anchor.get()) == 1;
  }
  for (const auto& crl : options.crls) good = good && X509_STORE_add_crl(store.get(), crl.get()) == 1;
  if (good && !options.crls.empty()) {
    good = X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1;
  }
  if (!good) return openssl_failure("the anchors and revocation lists cannot be used");
  return store;
}

// Of two lists of one issuer the one that ends later counts.
std::chrono::sys_seconds end_of_lists(const std::vector<X509CrlPtr>& crls) noexcept {
  auto first = std::chrono::sys_seconds::max();
  for (const auto& crl : crls) {
    auto last = std::chrono::sys_seconds::min();
    for (const auto& other : crls) {
      if (X509_NAME_cmp(X509_CRL_get_issuer(crl.get()), X509_CRL_get_issuer(other.get())) != 0) continue;
      const ASN1_TIME* end = X509_CRL_get0_nextUpdate(other.get());
      const std::chrono::seconds since{end != nullptr ? seconds_since_epoch(end)
                                                      : std::numeric_limits<std::int64_t>::max()};
      last = std::max(last, std::chrono::sys_seconds{since});
    }
    first = std::min(first, last);
  }
  return first;
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

}  // namespace

Result<PolicyPtr> ClientAuthPolicy::make(PolicyOptions options) noexcept {
  const ErrorQueueMark mark;
  if (auto valid = check_numbers(options); !valid) return valid.error();
  if (auto valid = check_trust(options); !valid) return valid.error();
  return or_out_of_memory([&]() -> Result<PolicyPtr> {
    std::shared_ptr<ClientAuthPolicy> policy{new (std::nothrow) ClientAuthPolicy(std::move(options))};
    if (policy == nullptr) return failure(Errc::out_of_memory, "out of memory");
    if (!client_tls::digest(policy->options_, policy->digest_)) return openssl_failure("a policy cannot be digested");
    if (policy->options_.request == ClientAuth::none) return policy;
    auto store = make_store(policy->options_);
    if (!store) return store.error();
    auto names = make_hint_names(policy->options_);
    if (!names) return names.error();
    policy->lists_end_ = end_of_lists(policy->options_.crls);
    policy->store_ = *std::move(store);
    policy->hint_names_ = *std::move(names);
    return policy;
  });
}

}  // namespace client_tls

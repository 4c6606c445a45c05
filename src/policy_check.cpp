#include "policy_check.hpp"

#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "errors.hpp"
#include "limits_check.hpp"

namespace client_tls {
namespace {

constexpr int max_depth = 99;
constexpr int max_security_level = 5;
constexpr std::chrono::seconds longest_tolerance{std::numeric_limits<std::int32_t>::max()};
constexpr std::size_t max_tickets = 16;

Result<void> check(bool good, std::string_view message, std::size_t position = 0) noexcept {
  if (good) return {};
  return failure(Errc::invalid_argument, message, position);
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

template <class Objects>
Result<void> check_none_is_null(const Objects& objects, std::string_view message) noexcept {
  const auto null = std::find(objects.begin(), objects.end(), nullptr);
  return check(null == objects.end(), message, static_cast<std::size_t>(null - objects.begin()) + 1);
}

Result<void> check_nothing_is_missing(const PolicyOptions& options) noexcept {
  if (options.request == ClientAuth::none) {
    const bool nothing = options.anchors.empty() && options.intermediates.empty() && !options.hints &&
                         options.crls.empty() && !options.partial_chain;
    return check(nothing,
                 "anchors, partial_chain, intermediates, hints or crls mean nothing where no certificate is asked for");
  }
  if (options.anchors.empty()) return check(false, "anchors: a policy that asks for certificates needs one");
  if (auto valid = check_none_is_null(options.anchors, "anchors: one is null"); !valid) return valid;
  if (auto valid = check_none_is_null(options.intermediates, "intermediates: one is null"); !valid) return valid;
  if (options.hints) {
    if (auto valid = check_none_is_null(*options.hints, "hints: one is null"); !valid) return valid;
  }
  return check_none_is_null(options.crls, "crls: one is null");
}

// Security bits that OpenSSL wants at each level (SSL_CTX_set_security_level).
int least_bits(int security_level) noexcept {
  static constexpr std::array<int, max_security_level + 1> bits{0, 80, 112, 128, 192, 256};
  return bits.at(static_cast<std::size_t>(security_level));
}

bool is_self_issued(X509* certificate) noexcept {
  return (X509_get_extension_flags(certificate) & EXFLAG_SS) != 0;
}

bool is_ca(X509* certificate) noexcept {
  return X509_check_ca(certificate) != 0;
}

bool serves(X509* certificate, Purpose purpose, bool as_ca) noexcept {
  if (X509_check_purpose(certificate, X509_PURPOSE_SSL_CLIENT, as_ca ? 1 : 0) > 0) return true;
  return purpose == Purpose::client_or_server &&
         X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, as_ca ? 1 : 0) > 0;
}

// What OpenSSL refuses in any chain, wherever the certificate stands.
std::string_view fault_of(X509* anchor, const PolicyOptions& options) noexcept {
  if (X509_check_purpose(anchor, -1, 0) != 1) return "anchors: it has an extension that is malformed or stands twice";
  if ((X509_get_extension_flags(anchor) & EXFLAG_CRITICAL) != 0) {
    return "anchors: it has a critical extension that is not known, so that OpenSSL verifies nothing by it";
  }
  const EVP_PKEY* key = X509_get0_pubkey(anchor);
  if (key == nullptr) return "anchors: its key cannot be used";
  const bool strong = EVP_PKEY_get_security_bits(key) >= least_bits(options.security_level);
  return strong ? "" : "anchors: its key is too weak for security_level";
}

// What keeps an anchor from verifying those whom it names.
std::string_view fault_of_use(X509* anchor, const PolicyOptions& options) noexcept {
  const bool ca = is_ca(anchor);
  if (!ca && (X509_get_extension_flags(anchor) & EXFLAG_CA) != 0) {
    return "anchors: it may not sign certificates (its key usage)";
  }
  if (!ca && options.partial_chain) return "anchors: it is no CA, as each must be with partial_chain";
  if (!ca && !is_self_issued(anchor)) return "anchors: it is no CA";
  if (!serves(anchor, options.purpose, ca)) return "anchors: it is not for client certificates (its key usages)";
  return "";
}

Result<void> check_anchor(X509* anchor, const PolicyOptions& options, std::size_t position) noexcept {
  // What it says of its own trust ("TRUSTED CERTIFICATE") is lost in the policy's copy.
  if (X509_get0_trust_objects(anchor) != nullptr || X509_get0_reject_objects(anchor) != nullptr) {
    return check(false, "anchors: it has trust settings of its own, and a policy alone says what is trusted", position);
  }
  const auto find_fault = [&] {
    const std::string_view fault = fault_of(anchor, options);
    return fault.empty() ? fault_of_use(anchor, options) : fault;
  };
  std::string_view fault = find_fault();
  if (!fault.empty() && (ran_out_of_memory() || !memory_is_there())) {
    return failure(Errc::out_of_memory, "out of memory");
  }
  if (!fault.empty()) fault = find_fault();  // it may have been for want of memory, without a word
  return check(fault.empty(), fault, position);
}

// A certificate and the option that it stands in.
struct Given {
  X509* certificate;
  std::size_t position;
  bool anchor;
};

std::vector<Given> all_given(const PolicyOptions& options) {
  std::vector<Given> all;
  all.reserve(options.anchors.size() + options.intermediates.size());
  for (const auto& anchor : options.anchors) {
    all.push_back({.certificate = anchor.get(), .position = all.size() + 1, .anchor = true});
  }
  for (std::size_t i = 0; i < options.intermediates.size(); ++i) {
    all.push_back({.certificate = options.intermediates[i].get(), .position = i + 1, .anchor = false});
  }
  return all;
}

// Whether OpenSSL takes the right one of two certificates with the same subject.
bool can_be_told_apart(X509* a, X509* b) noexcept {
  if (EVP_PKEY_eq(X509_get0_pubkey(a), X509_get0_pubkey(b)) == 1) return true;
  const ASN1_OCTET_STRING* ids[] = {X509_get0_subject_key_id(a), X509_get0_subject_key_id(b)};
  return ids[0] != nullptr && ids[1] != nullptr && ASN1_OCTET_STRING_cmp(ids[0], ids[1]) != 0;
}

Error same_name(const Given& first, const Given& second) noexcept {
  return failure(Errc::invalid_argument,
                 second.anchor
                     ? "anchors: two have one name and no key identifiers to tell them apart"
                     : "intermediates: two of them and the anchors have one name and no key identifiers to tell "
                       "them apart",
                 second.position, first.position);
}

Result<void> check_apart(const Given& first, const Given& second) noexcept {
  if (can_be_told_apart(first.certificate, second.certificate)) return {};
  if (ran_out_of_memory() || !memory_is_there()) return failure(Errc::out_of_memory, "out of memory");
  // It may have been for want of memory, without a word.
  if (can_be_told_apart(first.certificate, second.certificate)) return {};
  return same_name(first, second);
}

// OpenSSL would take the first of those of one name alone, and leave out whom the others name.
Result<void> check_names(const PolicyOptions& options) {
  auto all = all_given(options);
  const auto before = [](const Given& a, const Given& b) {
    return X509_NAME_cmp(X509_get_subject_name(a.certificate), X509_get_subject_name(b.certificate)) < 0;
  };
  std::sort(all.begin(), all.end(), [&before](const Given& a, const Given& b) {
    if (before(a, b) || before(b, a)) return before(a, b);
    return std::pair(!a.anchor, a.position) < std::pair(!b.anchor, b.position);
  });
  for (std::size_t first = 0; first < all.size(); ++first) {
    for (std::size_t other = first + 1; other < all.size() && !before(all[first], all[other]); ++other) {
      if (auto valid = check_apart(all[first], all[other]); !valid) return valid;
    }
  }
  return {};
}

Result<bool> is_root(const Given& given) noexcept {
  if (!given.anchor || !is_self_issued(given.certificate)) return false;
  return signature_is_good([&given] { return X509_self_signed(given.certificate, 1); });
}

constexpr long any_number = std::numeric_limits<long>::max();

// The best that a certificate can do as the issuer of a client's, by the chains to an anchor that is self-signed.
struct Rooted {
  bool is = false;
  long allows = any_number;  // CAs below it; less than none: not even itself (RFC 5280, section 4.2.1.9)
  int depth = 0;             // certificates between a client's own and the self-signed one
};

long path_length_of(X509* certificate) noexcept {
  const long length = X509_get_pathlen(certificate);
  return length < 0 ? any_number : length;
}

// As a chain through this issuer would have it.
Rooted below(const Rooted& issuer, X509* certificate) noexcept {
  const bool counts = (X509_get_extension_flags(certificate) & EXFLAG_SI) == 0;
  const long left = issuer.allows == any_number ? any_number : issuer.allows - (counts ? 1 : 0);
  return {.is = true, .allows = std::min(left, path_length_of(certificate)), .depth = issuer.depth + 1};
}

bool improve(Rooted& known, const Rooted& other) noexcept {
  const Rooted best{.is = true,
                    .allows = known.is ? std::max(known.allows, other.allows) : other.allows,
                    .depth = known.is ? std::min(known.depth, other.depth) : other.depth};
  const bool better = !known.is || best.allows != known.allows || best.depth != known.depth;
  known = best;
  return better;
}

using Pairs = std::vector<std::pair<std::size_t, std::size_t>>;

// Each issuer and what it issued.
Result<Pairs> find_issued(const std::vector<Given>& all) {
  Pairs pairs;
  for (std::size_t issuer = 0; issuer < all.size(); ++issuer) {
    for (std::size_t subject = 0; subject < all.size(); ++subject) {
      if (issuer == subject) continue;
      const auto by_this_one = issued(all[issuer].certificate, all[subject].certificate);
      if (!by_this_one) return by_this_one.error();
      if (*by_this_one) pairs.emplace_back(issuer, subject);
    }
  }
  return pairs;
}

// Each round goes one certificate further down.
Result<std::vector<Rooted>> find_rooted(const std::vector<Given>& all) {
  std::vector<Rooted> rooted(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto root = is_root(all[i]);
    if (!root) return root.error();
    if (*root) rooted[i] = {.is = true, .allows = path_length_of(all[i].certificate), .depth = 0};
  }
  const auto pairs = find_issued(all);
  if (!pairs) return pairs.error();
  for (bool more = true; more;) {
    more = false;
    for (const auto& [issuer, subject] : *pairs) {
      if (rooted[issuer].is && improve(rooted[subject], below(rooted[issuer], all[subject].certificate))) more = true;
    }
  }
  return rooted;
}

// Why no chain can use an anchor; empty if one can.
std::string_view uselessness_of(const Given& anchor, const Rooted& rooted, int depth) noexcept {
  if (!rooted.is && is_self_issued(anchor.certificate)) return "anchors: its own signature is wrong";
  if (!rooted.is) {
    return "anchors: no chain can use it: it is not self-signed, and no anchor issued it (see partial_chain)";
  }
  if (rooted.allows < 0) return "anchors: no chain can use it: the path length of one above it allows none";
  return rooted.depth > depth ? "anchors: no chain can use it: depth allows none that is so long" : "";
}

Result<void> check_rooted(const PolicyOptions& options) {
  const auto all = all_given(options);
  const auto rooted = find_rooted(all);
  if (!rooted) return rooted.error();
  for (std::size_t i = 0; i < options.anchors.size(); ++i) {
    const auto useless = uselessness_of(all[i], (*rooted)[i], options.depth);
    if (!useless.empty()) return check(false, useless, i + 1);
  }
  // Within a chain, OpenSSL looks at the strength of each signature but the anchor's own.
  for (std::size_t i = 0; i < options.anchors.size(); ++i) {
    int bits = 0;
    if (is_self_issued(all[i].certificate)) continue;
    if (X509_get_signature_info(all[i].certificate, nullptr, nullptr, &bits, nullptr) != 1) bits = -1;
    if (bits < least_bits(options.security_level)) {
      return check(false, "anchors: its signature is too weak for security_level", i + 1);
    }
  }
  return {};
}

// A list that names one or more of the certificates as its issuer, and that none of them signed.
Result<void> check_signature(const RevocationList& list, const std::vector<Given>& all, std::size_t position) noexcept {
  bool named = false;
  for (const Given& given : all) {
    if (!names_as_issuer(list, given.certificate)) continue;
    named = true;
    const auto signed_by = is_signed_by(list, given.certificate);
    if (!signed_by) return signed_by.error();
    if (*signed_by) return {};
  }
  return check(!named, "crls: its signature is not that of the CA that it names", position);
}

Result<void> check_has_a_list(X509* anchor, const NewestLists& lists, std::size_t position) noexcept {
  if (!is_ca(anchor)) return {};  // it is good for itself alone, and is looked up nowhere
  if ((X509_get_key_usage(anchor) & KU_CRL_SIGN) == 0) {
    return check(false, "anchors: it may not sign revocation lists (its key usage), and crls has some", position);
  }
  const auto one = issued_a_list(anchor, lists);
  if (!one) return one.error();
  return check(*one, "anchors: it issued none of the lists in crls, so that nobody whom it names would get in",
               position);
}

}  // namespace

Result<bool> issued(X509* issuer, X509* subject) noexcept {
  if (X509_NAME_cmp(X509_get_subject_name(issuer), X509_get_issuer_name(subject)) != 0) return false;
  EVP_PKEY* key = X509_get0_pubkey(issuer);
  if (key == nullptr) return false;
  // The first allocates, too.
  return signature_is_good(
      [=] { return X509_check_issued(issuer, subject) == X509_V_OK ? X509_verify(subject, key) : 0; });
}

Result<bool> issued_a_list(X509* issuer, const NewestLists& lists) noexcept {
  for (const auto& list : lists.lists) {
    if (!names_as_issuer(*list, issuer)) continue;
    auto signed_by = is_signed_by(*list, issuer);
    if (!signed_by || *signed_by) return signed_by;
  }
  return false;
}

Result<void> check_options(const PolicyOptions& options) {
  if (auto valid = check_numbers(options); !valid) return valid;
  if (auto valid = check_nothing_is_missing(options); !valid) return valid;
  for (std::size_t i = 0; i < options.anchors.size(); ++i) {
    if (auto valid = check_anchor(options.anchors[i].get(), options, i + 1); !valid) return valid;
  }
  if (auto valid = check_names(options); !valid) return valid;
  return options.partial_chain ? Result<void>() : check_rooted(options);
}

Result<void> check_lists(const PolicyOptions& options, const NewestLists& lists) {
  if (lists.lists.empty()) return {};
  const auto all = all_given(options);
  for (std::size_t i = 0; i < lists.lists.size(); ++i) {
    if (auto valid = check_signature(*lists.lists[i], all, lists.positions[i]); !valid) return valid;
  }
  for (std::size_t i = 0; i < options.anchors.size(); ++i) {
    if (auto valid = check_has_a_list(options.anchors[i].get(), lists, i + 1); !valid) return valid;
  }
  return {};
}

}  // namespace client_tls

#include "policy_warnings.hpp"

#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "certificate_time.hpp"
#include "errors.hpp"
#include "policy_check.hpp"

namespace client_tls {
namespace {

// Clients are known that fail where they are sent more.
constexpr std::size_t many_hint_bytes = 32'768;

using Warnings = std::vector<PolicyWarning>;

void add(Warnings& warnings, std::string_view message, std::size_t position) {
  warnings.push_back({.message = message, .position = position});
}

struct TimeMessages {
  std::string_view early, late;
};

void add_times(Warnings& warnings, const X509* certificate, const TimeMessages& messages, std::size_t position) {
  const std::int64_t now = std::time(nullptr);
  if (seconds_since_epoch(X509_get0_notBefore(certificate)) > now) add(warnings, messages.early, position);
  if (seconds_since_epoch(X509_get0_notAfter(certificate)) < now) add(warnings, messages.late, position);
}

Result<bool> is_issued_by_any(const std::vector<X509Ptr>& issuers, X509* certificate) noexcept {
  for (const auto& issuer : issuers) {
    if (issuer.get() == certificate) continue;
    auto by_this_one = issued(issuer.get(), certificate);
    if (!by_this_one || *by_this_one) return by_this_one;
  }
  return false;
}

// Why an intermediate helps nobody; empty if it may.
Result<std::string_view> uselessness_of(X509* intermediate, const PolicyOptions& options) noexcept {
  if (X509_check_ca(intermediate) == 0) return "intermediates: it is no CA, so that no chain can use it";
  if (X509_self_signed(intermediate, 0) == 1) return "intermediates: it is self-signed, and is not trusted here";
  auto leads_on = is_issued_by_any(options.anchors, intermediate);
  if (leads_on && !*leads_on) leads_on = is_issued_by_any(options.intermediates, intermediate);
  if (!leads_on) return leads_on.error();
  return *leads_on ? "" : "intermediates: none of them and no anchor issued it";
}

Result<void> add_intermediates(Warnings& warnings, const PolicyOptions& options, const NewestLists& lists) {
  for (std::size_t i = 0; i < options.intermediates.size(); ++i) {
    X509* intermediate = options.intermediates[i].get();
    const auto useless = uselessness_of(intermediate, options);
    if (!useless) return useless.error();
    if (!useless->empty()) {
      add(warnings, *useless, i + 1);
      continue;
    }
    add_times(warnings, intermediate,
              {.early = "intermediates: it is not valid yet", .late = "intermediates: it has expired"}, i + 1);
    if (lists.lists.empty()) continue;
    const auto one = issued_a_list(intermediate, lists);
    if (!one) return one.error();
    if (!*one) add(warnings, "intermediates: it issued none of the lists in crls: no client of its own gets in", i + 1);
  }
  return {};
}

bool is_of_a_known_issuer(const RevocationList& list, const PolicyOptions& options) noexcept {
  const auto named = [&list](const X509Ptr& issuer) { return names_as_issuer(list, issuer.get()); };
  return std::any_of(options.anchors.begin(), options.anchors.end(), named) ||
         std::any_of(options.intermediates.begin(), options.intermediates.end(), named);
}

void add_lists(Warnings& warnings, const PolicyOptions& options, const NewestLists& lists) {
  const std::int64_t now = std::time(nullptr);
  for (std::size_t i = 0; i < lists.lists.size(); ++i) {
    const RevocationList& list = *lists.lists[i];
    const std::size_t position = lists.positions[i];
    if (list.begins > now) add(warnings, "crls: it is not valid yet", position);
    if (list.ends <= now)
      add(warnings, "crls: it has ended, so that nobody gets in until there is a newer one", position);
    if (list.ends == std::numeric_limits<std::int64_t>::max()) {
      add(warnings, "crls: it does not say when the next one is due, so that it counts for ever", position);
    }
    if (!is_of_a_known_issuer(list, options)) {
      add(warnings, "crls: no anchor and no intermediate issued it: it is for CAs of which clients send a certificate",
          position);
    }
  }
  for (const std::size_t position : lists.replaced) {
    add(warnings, "crls: another one of the same issuer and scope is newer and counts instead", position);
  }
}

void add_hints(Warnings& warnings, const STACK_OF(X509_NAME) * names) {
  std::size_t size = 0;
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    size += static_cast<std::size_t>(std::max(i2d_X509_NAME(sk_X509_NAME_value(names, i), nullptr), 0)) + 2;
  }
  if (size > many_hint_bytes) {
    add(warnings, "hints: the names exceed 32 KiB, and there are clients that fail then (empty hints send none)", 0);
  }
}

}  // namespace

Result<std::vector<PolicyWarning>> warnings_of(const PolicyOptions& options, const NewestLists& lists,
                                               const STACK_OF(X509_NAME) * hint_names) {
  Warnings warnings;
  for (std::size_t i = 0; i < options.anchors.size(); ++i) {
    add_times(warnings, options.anchors[i].get(),
              {.early = "anchors: it is not valid yet", .late = "anchors: it has expired"}, i + 1);
  }
  if (auto added = add_intermediates(warnings, options, lists); !added) return added.error();
  add_lists(warnings, options, lists);
  add_hints(warnings, hint_names);
  return warnings;
}

}  // namespace client_tls

// What a policy means for a verification, in a handshake and afterwards.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <initializer_list>

#include "client_tls/policy.hpp"

namespace client_tls {

// Which of the host's rules stay because they are stricter than a policy, and belong to the scope for that reason.
struct HostStrictness {
  unsigned long flags;
  int security_level;
};
[[nodiscard]] HostStrictness strictness_of(SSL* ssl, const PolicyOptions& options) noexcept;

[[nodiscard]] bool lists_have_ended(const ClientAuthPolicy& policy) noexcept;

// Whether the policy lets an error of a verification pass, and with which leniency; 0 if it does not.
[[nodiscard]] std::uint8_t leniency_for(const ClientAuthPolicy& policy, X509_STORE_CTX* store) noexcept;

// Whether an error of a verification is what a revocation list says, or does not, of the anchor that ends the chain. An
// anchor is looked up in no list: it is trusted because the policy names it. OpenSSL looks for one, and goes on if it
// is told to.
[[nodiscard]] bool is_about_anchor(X509_STORE_CTX* store) noexcept;

// When the first of the certificates that the client sent, or that its verification relied on, ends; the policy may
// tolerate that the leaf has.
[[nodiscard]] std::int64_t first_not_after(const X509* leaf, std::initializer_list<const STACK_OF(X509) *> chains,
                                           const ClientAuthPolicy* policy) noexcept;

}  // namespace client_tls

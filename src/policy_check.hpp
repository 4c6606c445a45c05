// What a policy's options are checked for when it is made.
#pragma once

#include "client_tls/policy.hpp"
#include "revocation_list.hpp"

namespace client_tls {

// What is wrong for ever. Errors: invalid_argument, with a message that names the option and the position of what is
// wrong; out_of_memory; openssl. Call them while an ErrorQueueMark is alive.
[[nodiscard]] Result<void> check_options(const PolicyOptions& options);
[[nodiscard]] Result<void> check_lists(const PolicyOptions& options, const NewestLists& lists);

// Whether the issuer's key signed the subject's certificate; an Error where it cannot be told.
[[nodiscard]] Result<bool> issued(X509* issuer, X509* subject) noexcept;

// Whether the issuer signed one of the lists.
[[nodiscard]] Result<bool> issued_a_list(X509* issuer, const NewestLists& lists) noexcept;

}  // namespace client_tls

// What is wrong with a policy now, or of no use in it.
#pragma once

#include "client_tls/policy.hpp"
#include "revocation_list.hpp"

namespace client_tls {

// The options have been checked (policy_check.hpp). An Error where it cannot be told: out_of_memory. Call it while an
// ErrorQueueMark is alive.
[[nodiscard]] Result<std::vector<PolicyWarning>> warnings_of(const PolicyOptions& options, const NewestLists& lists,
                                                             const STACK_OF(X509_NAME) * hint_names);

}  // namespace client_tls

// How a verification checks a revocation list: as OpenSSL does, but its signature once for all.
#pragma once

#include <vector>

#include "revocation_list.hpp"

namespace client_tls {

// Adds the lists to the store, which owns them from then on, and has each certificate of a chain looked up in them.
// Errors: openssl; out_of_memory. Call it while an ErrorQueueMark is alive.
[[nodiscard]] Result<void> add_lists(X509_STORE* store, std::vector<RevocationListPtr> lists);

}  // namespace client_tls

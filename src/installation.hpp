// What install() leaves on an SSL_CTX: the handlers, and the policies if there are any. It is freed with the SSL_CTX.
#pragma once

#include <memory>

#include "client_tls/hooks.hpp"
#include "client_tls/policy.hpp"

namespace client_tls {

struct Installation {
  Hooks hooks;
  std::shared_ptr<const CurrentPolicies> policies;  // null under install(SSL_CTX*, Hooks)
};

}  // namespace client_tls

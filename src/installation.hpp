// What install leaves on an SSL_CTX, to be freed with it.
#pragma once

#include <memory>

#include "client_tls/install.hpp"
#include "connection.hpp"

namespace client_tls {

struct Installation : Installed {
  Hooks hooks;
  std::shared_ptr<const CurrentPolicies> policies;
};

}  // namespace client_tls

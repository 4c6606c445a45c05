// What install leaves on an SSL_CTX.
#pragma once

#include <memory>
#include <utility>

#include "client_tls/install.hpp"
#include "connection.hpp"

namespace client_tls {

struct Installation : Installed {
  Installation(Hooks handlers, std::shared_ptr<const CurrentPolicies> current) noexcept
      : hooks(std::move(handlers)), policies(std::move(current)) {}

  void report(SSL* ssl, Connection& connection, bool completed) const noexcept override;  // handshake_report.cpp

  Hooks hooks;
  std::shared_ptr<const CurrentPolicies> policies;
};

}  // namespace client_tls

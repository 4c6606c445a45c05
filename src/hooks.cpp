#include "client_tls/hooks.hpp"

#include <memory>
#include <new>
#include <utility>

#include "callbacks.hpp"
#include "connection.hpp"
#include "error_queue.hpp"
#include "installation.hpp"

namespace client_tls {
namespace {

void release_installation(void* installation) noexcept {
  delete static_cast<Installation*>(installation);
}

Result<void> install(SSL_CTX* ssl_ctx, Installation installation) noexcept {
  if (ssl_ctx == nullptr) return failure(Errc::invalid_argument, "the SSL_CTX is null");
  const ErrorQueueMark mark;
  const int index = ssl_ctx_index(release_installation);
  if (index < 0) return openssl_failure("no ex_data index could be registered");
  if (SSL_CTX_get_ex_data(ssl_ctx, index) != nullptr) {
    return failure(Errc::already_installed, "hooks are installed on this SSL_CTX already");
  }
  std::unique_ptr<Installation> installed{new (std::nothrow) Installation(std::move(installation))};
  if (!installed) return failure(Errc::out_of_memory, "out of memory");
  if (SSL_CTX_set_ex_data(ssl_ctx, index, installed.get()) != 1) {
    return openssl_failure("the hooks could not be stored in the SSL_CTX");
  }
  Installation* owned_by_ssl_ctx = installed.release();
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, owned_by_ssl_ctx);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, owned_by_ssl_ctx);
  return {};
}

}  // namespace

Result<void> install(SSL_CTX* ssl_ctx, Hooks hooks) noexcept {
  return install(ssl_ctx, Installation{.hooks = std::move(hooks), .policies = nullptr});
}

Result<void> install(SSL_CTX* ssl_ctx, std::shared_ptr<const CurrentPolicies> policies, Hooks hooks) noexcept {
  if (policies == nullptr) return failure(Errc::invalid_argument, "the policies are null");
  return install(ssl_ctx, Installation{.hooks = std::move(hooks), .policies = std::move(policies)});
}

}  // namespace client_tls

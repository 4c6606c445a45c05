#include "client_tls/hooks.hpp"

#include <memory>
#include <new>
#include <utility>

#include "callbacks.hpp"
#include "connection.hpp"
#include "error_queue.hpp"

namespace client_tls {
namespace {

void release_hooks(void* hooks) noexcept {
  delete static_cast<Hooks*>(hooks);
}

}  // namespace

Result<void> install(SSL_CTX* ssl_ctx, Hooks hooks) noexcept {
  if (ssl_ctx == nullptr) return failure(Errc::invalid_argument, "the SSL_CTX is null");
  const ErrorQueueMark mark;
  const int index = ssl_ctx_index(release_hooks);
  if (index < 0) return openssl_failure("no ex_data index could be registered");
  if (SSL_CTX_get_ex_data(ssl_ctx, index) != nullptr) {
    return failure(Errc::already_installed, "hooks are installed on this SSL_CTX already");
  }
  std::unique_ptr<Hooks> installed{new (std::nothrow) Hooks(std::move(hooks))};
  if (!installed) return failure(Errc::out_of_memory, "out of memory");
  if (SSL_CTX_set_ex_data(ssl_ctx, index, installed.get()) != 1) {
    return openssl_failure("the hooks could not be stored in the SSL_CTX");
  }
  Hooks* owned_by_ssl_ctx = installed.release();
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, owned_by_ssl_ctx);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, owned_by_ssl_ctx);
  return {};
}

}  // namespace client_tls

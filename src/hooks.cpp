#include "client_tls/install.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <new>
#include <utility>

#include "callbacks.hpp"
#include "connection.hpp"
#include "errors.hpp"
#include "installation.hpp"
#include "judge.hpp"
#include "policy_handshake.hpp"

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
    return failure(Errc::already_installed, "policies are installed on this SSL_CTX already");
  }
  std::unique_ptr<Installation> installed{new (std::nothrow) Installation(std::move(installation))};
  if (!installed) return failure(Errc::out_of_memory, "out of memory");
  if (SSL_CTX_set_ex_data(ssl_ctx, index, installed.get()) != 1) {
    return openssl_failure("the policies could not be stored in the SSL_CTX");
  }
  Installation* owned_by_ssl_ctx = installed.release();
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, owned_by_ssl_ctx);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, owned_by_ssl_ctx);
  return {};
}

std::string_view reason_text(NotResumable reason) noexcept {
  switch (reason) {
    case NotResumable::nothing:
      return {};
    case NotResumable::reuse_disabled:
      return "reuse disabled";
    case NotResumable::no_certificate:
      return "no certificate";
    case NotResumable::not_verified:
      return "the certificate did not verify";
    case NotResumable::not_carried:
      return "the resumed session does not carry its client's chain";
    case NotResumable::ended:
      return "the authentication has ended";
    case NotResumable::too_large:
      return "chain too large to carry";
    case NotResumable::memory:
      break;
  }
  return "out of memory";
}

// A text of at most 96 bytes, without an allocation.
class ShortText {
 public:
  void append(std::string_view part) noexcept {
    for (const char c : part) append(c);
  }
  // With a comma after its thousands; limits are below a million.
  void append(std::size_t number) noexcept {
    bool begun = false;
    for (std::size_t place = 100'000; place > 0; place /= 10) {
      begun = begun || number / place > 0 || place == 1;
      if (begun) append(static_cast<char>('0' + number / place % 10));
      if (begun && place == 1000) append(',');
    }
  }
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_.data(), size_}; }

 private:
  void append(char c) noexcept {
    if (size_ < bytes_.size()) bytes_[size_++] = c;
  }

  std::array<char, 96> bytes_{};
  std::size_t size_ = 0;
};

// What the client sent, as far as it is at hand.
class Shown {
 public:
  Shown(const SSL* ssl, const Connection& connection) noexcept {
    const Authentication* authentication = connection.authentication.get();
    if (authentication != nullptr && authentication->shown) {
      add_all(authentication->shown.get());
    } else if (ssl != nullptr && SSL_get0_peer_certificate(ssl) != nullptr) {
      add(SSL_get0_peer_certificate(ssl));
      // On some of the mechanisms a resumed session still has the others, on most it has not.
      if (SSL_session_reused(ssl) != 1) add_all(SSL_get_peer_cert_chain(ssl));
    }
  }
  [[nodiscard]] std::span<X509* const> view() const noexcept { return {certificates_.data(), count_}; }

 private:
  void add(X509* certificate) noexcept {
    if (certificate != nullptr && count_ < certificates_.size()) certificates_[count_++] = certificate;
  }
  void add_all(const STACK_OF(X509) * certificates) noexcept {
    for (int i = 0; i < sk_X509_num(certificates); ++i) add(sk_X509_value(certificates, i));
  }

  std::array<X509*, 100> certificates_{};
  std::size_t count_ = 0;
};

void tell(const Hooks& hooks, const HandshakeReport& report) noexcept {
#if defined(__cpp_exceptions)
  try {
    hooks.handshake_done(report);
  } catch (...) {  // there is nobody left to be told
  }
#else
  hooks.handshake_done(report);
#endif
}

}  // namespace

void begin_report(SSL* ssl, Connection& connection, const Hooks& hooks) noexcept {
  if (connection.told) report_handshake(nullptr, connection, false);  // it was abandoned
  SSL_CTX* ssl_ctx = SSL_get_SSL_CTX(ssl);
  if (hooks.handshake_done && SSL_CTX_up_ref(ssl_ctx) == 1) connection.told.reset(ssl_ctx);
}

void report_handshake(SSL* ssl, Connection& connection, bool completed) noexcept {
  if (!connection.told) return;
  const SslCtxPtr told = std::move(connection.told);
  const Shown shown{ssl, connection};
  ShortText not_resumable;
  not_resumable.append(completed ? reason_text(connection.not_resumable) : "the handshake was not completed");
  if (completed && connection.not_resumable == NotResumable::too_large) {
    not_resumable.append(": ");
    not_resumable.append(std::size_t{connection.chain_size});
    not_resumable.append(" of ");
    not_resumable.append(std::size_t{connection.max_carried_bytes});
    not_resumable.append(" bytes");
  }
  const Installation* installation = installation_of(told.get());
  tell(installation->hooks, {.ssl = ssl,
                             .server_name = connection.server_name.view(),
                             .policy = connection.policy.get(),
                             .completed = completed,
                             .verdict = completed ? judge(ssl, &connection) : judge_failed(&connection),
                             .shown = shown.view(),
                             .not_resumable = not_resumable.view()});
}

namespace {

Result<void> choose(SSL* ssl, Connection& connection, PolicyPtr policy) noexcept {
  if (policy == nullptr) return failure(Errc::invalid_argument, "the policy is null");
  if (connection.policy != nullptr && connection.policy->digest() == policy->digest()) return {};
  if (connection.retried) {
    return failure(Errc::too_late, "the policy is another one than before the HelloRetryRequest");
  }
  return begin_with_policy(ssl, connection, std::move(policy));
}

}  // namespace

// A handler that goes on after an error would have the table's policy in place of the one it wanted.
Result<void> Handshake::use(PolicyPtr policy) const noexcept {
  const ErrorQueueMark mark;
  Connection* connection = find_connection(ssl_);
  if (connection == nullptr) return failure(Errc::too_late, "no ClientHello is being processed");
  const Doom before = connection->doom;
  auto chosen = phase_ == Phase::client_hello
                    ? choose(ssl_, *connection, std::move(policy))
                    : failure(Errc::wrong_phase, "a policy is chosen in client_hello phase alone");
  const Doom now = chosen                                  ? Doom::none
                   : chosen.error().code == Errc::too_late ? Doom::another_policy
                                                           : Doom::choice_failed;
  connection->doom = std::max(before, now);
  return chosen;
}

const Installation* installation_of(const SSL_CTX* ssl_ctx) noexcept {
  const int index = ssl_ctx_index_if_registered();
  return index < 0 ? nullptr : static_cast<const Installation*>(SSL_CTX_get_ex_data(ssl_ctx, index));
}

Result<void> install(SSL_CTX* ssl_ctx, std::shared_ptr<const CurrentPolicies> policies, Hooks hooks) noexcept {
  if (policies == nullptr) return failure(Errc::invalid_argument, "the policies are null");
  return install(ssl_ctx, Installation{.hooks = std::move(hooks), .policies = std::move(policies)});
}

const ClientAuthPolicy* get0_policy(const SSL* ssl) noexcept {
  return ssl != nullptr ? policy_of(ssl) : nullptr;
}

}  // namespace client_tls

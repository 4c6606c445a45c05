#include "handshake_report.hpp"

#include <array>
#include <span>
#include <utility>

#include "installation.hpp"
#include "verdict.hpp"

namespace client_tls {
namespace {

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

void Installation::report(SSL* ssl, Connection& connection, bool completed) const noexcept {
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
  tell(hooks, {.ssl = ssl,
               .server_name = connection.server_name.view(),
               .policy = connection.policy.get(),
               .completed = completed,
               .verdict = completed ? judge(ssl, &connection) : judge_failed(&connection),
               .shown = shown.view(),
               .not_resumable = not_resumable.view()});
}

}  // namespace client_tls

// Verdicts in a few words, and the clients and servers that they are about.
#pragma once

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/policies.hpp"

namespace test {

inline client_tls::Result<client_tls::Verdict> verdict_by(const Pair& pair,
                                                          const client_tls::ClientAuthPolicy& policy) {
  client_tls::PhaseContext context{client_tls::Phase::access};
  return client_tls::ClientTls{pair.server(), context}.verdict(policy);
}

// Throws std::runtime_error with the error's message.
inline client_tls::Verdict verdict_of(const Pair& pair) {
  client_tls::PhaseContext context{client_tls::Phase::access};
  const auto verdict = client_tls::ClientTls{pair.server(), context}.verdict();
  if (!verdict) throw std::runtime_error(std::string(verdict.error().message));
  return *verdict;
}

// Each with its depth.
using Reasons = std::vector<std::pair<int, int>>;

inline Reasons reasons_of(const client_tls::Verdict& verdict) {
  Reasons reasons;
  for (const client_tls::Reason& reason : verdict.reasons()) reasons.emplace_back(reason.code, reason.depth);
  return reasons;
}

inline std::vector<int> warnings_of(const client_tls::Verdict& verdict) {
  std::vector<int> warnings;
  for (const client_tls::Reason& warning : verdict.warnings()) warnings.push_back(warning.code);
  return warnings;
}

inline std::chrono::sys_seconds seconds_from_now(long seconds) {
  return std::chrono::sys_seconds{std::chrono::seconds{std::time(nullptr) + seconds}};
}

// One more reference.
inline Certificate same(const Certificate& certificate) {
  X509_up_ref(certificate.get());
  EVP_PKEY_up_ref(certificate.key.get());
  return {.certificate = client_tls::X509Ptr(certificate.get()), .key = client_tls::EvpPkeyPtr(certificate.key.get())};
}

// Leaf first.
template <class... Certificates>
std::vector<Certificate> chain_of(const Certificates&... certificates) {
  std::vector<Certificate> chain;
  (chain.push_back(same(certificates)), ...);
  return chain;
}

// Client 1's chain.
inline const std::vector<Certificate>& first_chain() {
  static const auto chain = chain_of(Pki::get().client1, Pki::get().intermediate1);
  return chain;
}

// A client with this chain, which OpenSSL would not let it have otherwise if its keys are weak. It borrows the chain.
inline ClientOptions showing(const std::vector<Certificate>& chain, SSL_SESSION* session = nullptr) {
  ClientOptions options{.session = session};
  options.adjust = [&chain](SSL* ssl) {
    SSL_set_security_level(ssl, 0);
    bool good = chain.empty() || (SSL_use_certificate(ssl, chain.front().get()) == 1 &&
                                  SSL_use_PrivateKey(ssl, chain.front().key.get()) == 1);
    for (std::size_t i = 1; i < chain.size(); ++i) good = good && SSL_add1_chain_cert(ssl, chain[i].get()) == 1;
    if (!good) throw std::runtime_error("client chain");
  };
  return options;
}

// What resumes the first connection's session, a little later; not resumed where there is none.
inline std::unique_ptr<Pair> resume(Server& server, const Pair& first) {
  static const std::vector<Certificate> nothing;  // but the session
  const auto session = first.session();
  return std::make_unique<Pair>(server, showing(nothing, session.get()));
}

enum class Way : bool { by_hand, by_policy };
inline constexpr std::array both_ways{Way::by_hand, Way::by_policy};
inline const char* to_string(Way way) {
  return way == Way::by_hand ? "by hand" : "by policy";
}

// A server that asks as the policy says; by hand, in so far as the SSL_CTX can say it.
inline std::unique_ptr<Server> make_server(Mechanism mechanism, Way way, client_tls::PolicyOptions options) {
  if (way == Way::by_policy) {
    return std::make_unique<PolicyServer>(mechanism, make_policies({{"a.test", make_policy(std::move(options))}}));
  }
  auto server = std::make_unique<Server>(mechanism);
  SSL_CTX* ctx = server->ssl_ctx();
  SSL_CTX_set_security_level(ctx, options.security_level);
  SSL_CTX_set_verify_depth(ctx, options.depth);
  X509_STORE* store = SSL_CTX_get_cert_store(ctx);
  for (const auto& anchor : options.anchors) X509_STORE_add_cert(store, anchor.get());
  for (const auto& crl : options.crls) X509_STORE_add_crl(store, crl.get());
  if (!options.crls.empty()) X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  const bool asks = options.request != client_tls::ClientAuth::none;
  server->on_certificate = [asks](SSL* ssl) { return asks ? ask(ssl) : 1; };
  return server;
}

}  // namespace test

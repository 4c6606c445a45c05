// What Hooks::handshake_done was told.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/checks.hpp"

namespace test {

inline constexpr const char* not_completed = "the handshake was not completed";

// What a report said, of which nothing lives on.
struct Told {
  bool has_ssl;
  std::string server_name;
  const client_tls::ClientAuthPolicy* policy;
  bool completed;
  client_tls::Verdict verdict;
  std::string shown;  // PEM
  std::string not_resumable;
};

struct Reports {
  std::vector<Told> all;

  void add(const client_tls::HandshakeReport& report) {
    all.push_back({.has_ssl = report.ssl != nullptr,
                   .server_name = std::string(report.server_name),
                   .policy = report.policy,
                   .completed = report.completed,
                   .verdict = report.verdict,
                   .shown = pem_of({report.shown.begin(), report.shown.end()}),
                   .not_resumable = std::string(report.not_resumable)});
  }
  // The one report that there is.
  [[nodiscard]] const Told& only() const {
    REQUIRE(all.size() == 1);
    return all.front();
  }
};

inline client_tls::Hooks telling(Reports& reports) {
  client_tls::Hooks hooks;
  hooks.handshake_done = [&reports](const client_tls::HandshakeReport& report) { reports.add(report); };
  return hooks;
}

inline void install_on(SSL_CTX* ssl_ctx, const client_tls::PolicyPtr& policy, client_tls::Hooks hooks) {
  REQUIRE(client_tls::install(ssl_ctx,
                              std::make_shared<client_tls::CurrentPolicies>(client_tls::PolicyTable{policy, policy}),
                              std::move(hooks)));
}

inline std::vector<int> codes_of(const client_tls::Verdict& verdict) {
  std::vector<int> codes;
  for (const client_tls::Reason& reason : verdict.reasons()) codes.push_back(reason.code);
  return codes;
}

// What is the same of all that failed.
inline void check_failed(const Told& told, std::vector<int> codes) {
  codes.push_back(client_tls::Reason::handshake_not_completed);
  CHECK_FALSE(told.completed);
  CHECK(told.verdict.status() == client_tls::Verdict::Status::failed);
  CHECK(codes_of(told.verdict) == codes);
  CHECK_FALSE(told.verdict.resumed());
  CHECK(told.not_resumable == not_completed);
}

inline std::string pem_of_chain(const ClientOptions& options) {
  return pem_of(options.chain);
}

}  // namespace test

// Whether everything that the headers declare is in the library.
#include <chrono>
#include <client_tls/client_tls.hpp>
#include <client_tls/install.hpp>
#include <client_tls/openssl_ptr.hpp>
#include <client_tls/pem.hpp>
#include <client_tls/server_name.hpp>
#include <client_tls/verdict.hpp>
#include <client_tls/version.hpp>
#include <cstdio>
#include <memory>
#include <utility>

using namespace client_tls;

namespace {

// Each operation on a connection that is none, in a phase where it is allowed: the error says so.
bool all_say_no_tls() {
  const auto no_tls = [](const auto& result) { return !result && result.error().code == Errc::no_tls; };
  PhaseContext context{Phase::client_hello};
  const ClientTls tls{nullptr, context};
  bool good = no_tls(tls.bind_session("scope"));
  context.enter(Phase::certificate);
  good = good && no_tls(tls.request_client_certificate()) && no_tls(tls.disable_session_reuse());
  context.enter(Phase::access);
  const auto open = ClientAuthPolicy::make({});
  good = good && no_tls(tls.get_full_client_certificate_chain()) && no_tls(tls.verdict());
  good = good && open && no_tls(tls.verdict(**open));
  auto value = ClientVerify::parse("SUCCESS");
  good = good && value && tls.set_client_verify(*std::move(value));
  context.enter(Phase::log);
  return good && no_tls(tls.log_entry()) && no_tls(ServerName::from_client_hello(nullptr));
}

// A policy is chosen for a ClientHello, and there is none.
bool chooses_nothing() {
  PhaseContext context{Phase::client_hello};
  const Handshake handshake{nullptr, context, ""};
  const auto used = handshake.use(nullptr);
  return !used && used.error().code == Errc::invalid_argument &&
         Verdict{}.status_at(std::chrono::sys_seconds{}) == Verdict::Status::not_asked;
}

bool installs_once() {
  const SslCtxPtr ssl_ctx{SSL_CTX_new(TLS_server_method())};
  const auto policies = std::make_shared<CurrentPolicies>(PolicyTable{nullptr, nullptr});
  const bool first = install(ssl_ctx.get(), policies, Hooks{}).has_value();
  const auto second = install(ssl_ctx.get(), policies);
  return first && !second && second.error().code == Errc::already_installed;
}

bool has_policies() {
  const auto open = ClientAuthPolicy::make({});
  PolicyOptions asking;
  asking.request = ClientAuth::required;
  const auto without_anchors = ClientAuthPolicy::make(std::move(asking));
  const auto name = ServerName::parse("A.test.");
  PolicyTable table{nullptr, nullptr};
  if (!open || without_anchors || !name || !table.add("*.test", *open)) return false;
  const auto policies = std::make_shared<CurrentPolicies>(table);
  const bool found = table.find(*name) == *open && policies->find(*name) == *open;
  policies->replace(PolicyTable{nullptr, nullptr});
  const SslCtxPtr ssl_ctx{SSL_CTX_new(TLS_server_method())};
  return found && policies->find(*name) == nullptr && install(ssl_ctx.get(), policies) &&
         get0_policy(nullptr) == nullptr;
}

bool reads_files() {
  const char* missing = "/nowhere/at/all.pem";
  const auto unreadable = [](const auto& result) { return !result && result.error().code == Errc::unreadable; };
  return unreadable(read_certificates(missing)) && unreadable(read_crls(missing)) && !parse_certificates("") &&
         !parse_crls("");
}

}  // namespace

int main() {
  const bool good = all_say_no_tls() && chooses_nothing() && installs_once() && has_policies() && reads_files();
  std::printf("client_tls %d.%d.%d %s\n", CLIENT_TLS_VERSION_MAJOR, CLIENT_TLS_VERSION_MINOR, CLIENT_TLS_VERSION_PATCH,
              good ? "works" : "does not work");
  return good ? 0 : 1;
}

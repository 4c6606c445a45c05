// Which names ask their clients for a certificate, and whether a request may pass. It connects to itself in memory.
#include <openssl/ssl.h>

#include <exception>
#include <iostream>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "client_tls/client_tls.hpp"
#include "client_tls/install.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/server_name.hpp"
#include "support/certificates.hpp"
#include "support/connection.hpp"

// [readme]
using namespace client_tls;

// Before the SSL_CTX is used: what each name asks of its clients. Other names, and clients that give none, are refused.
Result<std::shared_ptr<CurrentPolicies>> install_policies(SSL_CTX* ssl_ctx, std::vector<X509Ptr> anchors) {
  PolicyOptions members;
  members.request = ClientAuth::required;
  members.anchors = std::move(anchors);  // from a file: read_certificates, which returns all of it or an error
  const auto required = ClientAuthPolicy::make(std::move(members));
  if (!required) return required.error();  // never a weaker policy: serve only without an error
  const auto open = ClientAuthPolicy::make({});
  if (!open) return open.error();
  PolicyTable table{nullptr, nullptr};
  if (auto added = table.add("admin.example.test", *required); !added) return added.error();
  if (auto added = table.add("www.example.test", *open); !added) return added.error();
  auto policies = std::make_shared<CurrentPolicies>(std::move(table));
  if (auto installed = install(ssl_ctx, policies); !installed) return installed.error();
  return policies;
}

// For each request, before anything is done: the status of its response. The host is the request's, without a port.
int status_of(SSL* ssl, const CurrentPolicies& policies, std::string_view host) {
  const auto name = ServerName::parse(host);
  if (!name) return 400;
  const PolicyPtr policy = policies.find(*name);
  const ClientAuthPolicy* in_force = get0_policy(ssl);  // that of the name in the handshake, which may be another one
  if (!policy || in_force == nullptr || policy->digest() != in_force->digest()) return 421;
  if (policy->options().request == ClientAuth::none) return 200;  // open to everybody
  PhaseContext context{Phase::access};
  const auto verdict = ClientTls::In<Phase::access>{ssl, context}.verdict();
  return verdict && verdict->success() ? 200 : 403;
}
// [/readme]

struct Visit {
  example::Connection connection;
  int status;  // of the response; 0 where the handshake was refused

  [[nodiscard]] bool is(std::string_view how, int expected) const {
    return connection.how() == how && status == expected;
  }
};

int main() try {
  const char* const admin = "admin.example.test";
  const char* const www = "www.example.test";
  const example::Ca ca{"Root"};
  std::vector<X509Ptr> anchors;
  X509_up_ref(ca.certificate.get());
  anchors.emplace_back(ca.certificate.get());
  const SslCtxPtr server = example::make_server();
  const auto policies = install_policies(server.get(), std::move(anchors));
  example::require(policies.has_value(), "the policies cannot be installed");

  const auto visit = [&](const SslCtxPtr& client, const char* name, SSL_SESSION* session, const char* host) {
    Visit result{.connection = example::connect(server.get(), client.get(), name, session), .status = 0};
    std::cout << result.connection.how() << ' ' << name;
    if (result.connection.accepted()) {
      result.status = status_of(result.connection.server.get(), **policies, host);
      std::cout << ", Host: " << host << ' ' << result.status;
    }
    std::cout << '\n';
    return result;
  };

  const SslCtxPtr member = example::make_client(ca);
  const Visit first = visit(member, admin, nullptr, admin);
  const Visit second = visit(member, admin, first.connection.session.get(), admin);
  example::require(first.is("full", 200) && second.is("resumed", 200), "the member is not served as it should be");

  // The open name is open; what came of it there, a session or a connection, opens nothing else.
  const SslCtxPtr stranger = example::make_client();
  const Visit open = visit(stranger, www, nullptr, www);
  const Visit elsewhere = visit(stranger, www, open.connection.session.get(), admin);
  const Visit intruder = visit(stranger, admin, open.connection.session.get(), admin);
  example::require(open.is("full", 200) && elsewhere.is("resumed", 421) && intruder.is("refused", 0),
                   "the stranger is not served as it should be");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

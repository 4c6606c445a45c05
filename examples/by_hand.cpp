// For a host that keeps its client_hello and certificate callbacks: it binds and asks by itself, and goes by the
// verdict. It connects to itself in memory.
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client_tls/client_tls.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/server_name.hpp"
#include "support/certificates.hpp"
#include "support/connection.hpp"

// [readme]
using namespace client_tls;

// A server name, and what is asked of its clients. The scope says all of it, so that a session resumes under its own
// name and the same CA alone. Whatever else decides whom a name asks or trusts goes into its scope, too.
struct Site {
  Site(const ServerName& server_name, X509Ptr client_ca) : name(server_name), ca(std::move(client_ca)) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (ca && (X509_STORE_add_cert(store.get(), ca.get()) != 1 ||
               X509_digest(ca.get(), EVP_sha256(), digest.data(), &size) != 1)) {
      throw std::runtime_error("a CA cannot be used");
    }
    scope.append(name.view()).append("\n").append(digest.begin(), digest.begin() + size);
  }

  ServerName name;
  X509Ptr ca;  // that its clients' certificates come from; null: nobody is asked
  X509StorePtr store{X509_STORE_new()};
  std::string scope;
};

// OpenSSL's callbacks: C calls them, so nothing may throw. This one comes on every connection, resumed or not, and
// binds every one. A name that is missing, unknown or does not decode is refused.
int on_client_hello(SSL* ssl, int* /*alert*/, void* arg) noexcept {
  PhaseContext context{Phase::client_hello};
  const ClientTls::In<Phase::client_hello> tls{ssl, context};
  auto& sites = *static_cast<std::vector<Site>*>(arg);
  const auto name = ServerName::from_client_hello(ssl);
  if (!name) return SSL_CLIENT_HELLO_ERROR;
  const auto site = std::ranges::find(sites, *name, &Site::name);
  if (site == sites.end() || !tls.bind_session(site->scope)) return SSL_CLIENT_HELLO_ERROR;
  return SSL_set_app_data(ssl, &*site) == 1 ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

// Does not come on a resumed connection: who may resume is the scope's to say, who is let in the verdict's.
int on_certificate(SSL* ssl, void* /*arg*/) noexcept {
  PhaseContext context{Phase::certificate};
  const ClientTls::In<Phase::certificate> tls{ssl, context};
  const auto* site = static_cast<const Site*>(SSL_get_app_data(ssl));
  if (site == nullptr) return 0;
  if (!site->ca) return 1;
  return SSL_set1_verify_cert_store(ssl, site->store.get()) == 1 && tls.request_client_certificate() ? 1 : 0;
}

// Before the SSL_CTX is used. The sites live as long as it.
void set_callbacks(SSL_CTX* ssl_ctx, std::vector<Site>& sites) {
  SSL_CTX_set_client_hello_cb(ssl_ctx, on_client_hello, &sites);
  SSL_CTX_set_cert_cb(ssl_ctx, on_certificate, nullptr);
}

struct Request {
  int status;          // of the response
  std::string client;  // who is authenticated: its certificates, PEM, its own first; empty: nobody
  LogEntry log;
};

// The verdict goes first: a chain that was merely sent is nobody's.
std::string client_of(const ClientTls::In<Phase::access>& tls) {
  const auto verdict = tls.verdict();
  if (!verdict || !verdict->success()) return {};
  const auto chain = tls.get_full_client_certificate_chain();
  return chain ? std::string(chain->value_or("")) : std::string();
}

// The host is the one in the request, without a port: a client can name another one there than in the handshake.
Request handle(SSL* ssl, std::string_view host) {
  PhaseContext context{Phase::access};  // one per request
  const ClientTls::In<Phase::access> tls{ssl, context};
  Request request{.status = 403, .client = client_of(tls), .log = {}};
  const auto name = ServerName::parse(host);
  const auto* site = static_cast<const Site*>(SSL_get_app_data(ssl));
  if (!name) {
    request.status = 400;
  } else if (site == nullptr || *name != site->name) {
    request.status = 421;
  } else if (!site->ca || !request.client.empty()) {
    request.status = 200;
  }
  const ClientTls::In<Phase::log> end{ssl, context};
  if (auto entry = end.log_entry()) request.log = *std::move(entry);
  return request;
}
// [/readme]

struct Visit {
  example::Connection connection;
  Request request;

  [[nodiscard]] bool is(std::string_view how, int status, std::string_view verdict) const {
    return connection.how() == how && request.status == status && request.log.client_verify == verdict;
  }
};

int main() try {
  const char* const admin = "admin.example.test";
  const char* const www = "www.example.test";
  const example::Ca ca{"Root"};
  X509_up_ref(ca.certificate.get());
  std::vector<Site> sites;
  sites.emplace_back(*ServerName::parse(admin), X509Ptr{ca.certificate.get()});
  sites.emplace_back(*ServerName::parse(www), nullptr);
  const SslCtxPtr server = example::make_server();
  set_callbacks(server.get(), sites);

  const auto visit = [&](const SslCtxPtr& client, const char* name, const Visit* before, const char* host) {
    SSL_SESSION* session = before != nullptr ? before->connection.session.get() : nullptr;
    Visit result{.connection = example::connect(server.get(), client.get(), name, session), .request = {}};
    example::require(result.connection.accepted(), "the handshake did not complete");
    result.request = handle(result.connection.server.get(), host);
    std::cout << result.connection.how() << ' ' << name << ", Host: " << host << ' ' << result.request.status << ' '
              << result.request.log.client_verify << '\n';
    return result;
  };

  const SslCtxPtr member = example::make_client(ca);
  const Visit first = visit(member, admin, nullptr, admin);
  const Visit second = visit(member, admin, &first, admin);
  example::require(first.is("full", 200, "SUCCESS") && second.is("resumed", 200, "SUCCESS"),
                   "the member is not served as it should be");
  example::require(!first.request.client.empty() && first.request.client == second.request.client,
                   "the resumed connection does not have the same chain");

  const SslCtxPtr stranger = example::make_client();
  const Visit open = visit(stranger, www, nullptr, www);
  const Visit elsewhere = visit(stranger, www, &open, admin);
  const Visit intruder = visit(stranger, admin, &open, admin);
  example::require(open.is("full", 200, "NONE") && elsewhere.is("resumed", 421, "NONE") &&
                       intruder.is("full", 403, "NONE") && intruder.request.client.empty(),
                   "the stranger is not served as it should be");
  const Visit unasked = visit(member, www, &first, www);
  example::require(unasked.is("full", 200, "NONE"), "a session of another name was resumed");
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

// Connections of a host that has its own callbacks, and does not call all that it could.
#include "support/catch.hpp"
#include "support/verdicts.hpp"

using namespace test;
using client_tls::PolicyOptions;
using client_tls::Reason;
using client_tls::Verdict;

namespace {

constexpr int illegal_parameter = 47;

}  // namespace

TEST_CASE("by hand: the limits that nobody set hold where nothing was bound") {
  const Certificate leaf = issue({}, &Pki::get().ca1);
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    for (const auto& [bytes, good] : {std::pair{30 * 1024, true}, {33 * 1024, false}}) {
      const Certificate other = issue({.common_name = "stranger", .extra_bytes = static_cast<std::size_t>(bytes)});
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair pair{server, {.chain = {leaf.get(), other.get()}, .key = leaf.key.get()}};
      CHECK(pair.done() == good);
      CHECK(pair.seen().alert == (good ? std::nullopt : std::optional(illegal_parameter)));
    }
  }
}

TEST_CASE("by hand: a policy's rules decide on a client of whom the library knew nothing") {
  const auto policy = make_policy(asking());
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    for (const bool trusted : {true, false}) {
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair pair{server, trusted ? client1() : client2()};
      REQUIRE(pair.done());
      const auto verdict = verdict_by(pair, *policy);
      REQUIRE(verdict);
      CHECK(verdict->success() == trusted);
    }
  }
}

TEST_CASE("by hand: a connection that was bound, and comes to an SSL_CTX with policies, is failed") {
  const PolicyServer with{Mechanism::stateless13, make_policies({{"a.test", make_policy(asking())}})};
  for (const bool asked : {true, false}) {
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) { return asked ? ask(ssl) : 1; };
    const Pair pair{server, client1()};
    REQUIRE(pair.done());
    CHECK(verdict_of(pair).success() == asked);
    SSL_set_SSL_CTX(pair.server(), with.ssl_ctx());
    CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::no_policy, 0}});
  }
}

TEST_CASE("by hand: the host's own verification says why it failed, as often as it is asked") {
  const Certificate stranger = issue({.common_name = "stranger"});
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    Server server{mechanism};
    server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
    SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
    // In place of OpenSSL's, without a chain, and the handshake goes on.
    const auto verify = [](X509_STORE_CTX* store, void*) {
      X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REVOKED);
      return 1;
    };
    SSL_CTX_set_cert_verify_callback(server.ssl_ctx(), verify, nullptr);
    const Pair pair{server, {.chain = {stranger.get()}, .key = stranger.key.get()}};
    REQUIRE(pair.done());
    for (int time = 0; time < 2; ++time) {
      CHECK(reasons_of(verdict_of(pair)) == Reasons{{X509_V_ERR_CERT_REVOKED, 0}});
    }
  }
}

TEST_CASE("by hand: a chain with more errors than a verdict has room for fills it, and no more") {
  std::vector<Certificate> chain;
  for (int i = 0; i < 9; ++i) {
    const CertificateOptions expired{
        .common_name = std::to_string(i), .usage = i < 8 ? Usage::ca : Usage::client, .ends_in = -60};
    chain.insert(chain.begin(), issue(expired, chain.empty() ? nullptr : &chain.front()));
  }
  PolicyOptions options = asking();
  options.depth = 20;
  options.limits.max_chain_certificates = 2;
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  const Pair pair{server, showing(chain)};
  REQUIRE(pair.done());
  CHECK(verdict_of(pair).reasons().size() == Verdict::max_reasons);
  const auto verdict = verdict_by(pair, *make_policy(std::move(options)));
  REQUIRE(verdict);
  CHECK(verdict->reasons().front().code == Reason::chain_too_long);
  CHECK(verdict->reasons().size() == Verdict::max_reasons);
}

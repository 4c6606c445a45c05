// A connection that is not bound: the host asks for a certificate without, or all by itself.
#include "support/catch.hpp"
#include "support/verdicts.hpp"

using namespace test;

namespace {

constexpr int illegal_parameter = 47;

}  // namespace

TEST_CASE("unbound: the limits that nobody set hold, too") {
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

TEST_CASE("unbound: a policy's rules decide on a client of whom the library knew nothing") {
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

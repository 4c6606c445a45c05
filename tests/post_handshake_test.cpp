// After the handshake: post-handshake authentication, renegotiation, and the host's own settings.
#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;

namespace {

// Has the host ask for another certificate on a connection that is up; true if the connection survives.
bool authenticate_again(Pair& pair, const Certificate* certificate) {
  REQUIRE(answer_with(pair.client(), certificate));
  if (SSL_verify_client_post_handshake(pair.server()) != 1) return false;
  SSL_do_handshake(pair.server());
  return pair.run() && pair.echo();
}

}  // namespace

TEST_CASE("post-handshake: the host's strict authentication is as strict as without us") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  const Certificate stranger = issue({.common_name = "stranger"});
  Pair pair{server, able_to_authenticate_later(client1())};
  REQUIRE(pair.verify() == "SUCCESS");
  CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_NONE);
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SECTION("an unknown CA") {
    CHECK_FALSE(authenticate_again(pair, &stranger));
  }
  SECTION("no certificate") {
    CHECK_FALSE(authenticate_again(pair, nullptr));
  }
  SECTION("a good one") {
    const Certificate good = issue({.common_name = "second"}, &Pki::get().ca1);
    CHECK(authenticate_again(pair, &good));
    CHECK(pair.verify() == "FAILED:the certificate was changed after the handshake");
    CHECK(pair.chain() == pem_of({good.get()}));
  }
}

TEST_CASE("post-handshake: it is strict also where the host displaced the info callback that puts its settings back") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) {
    const int asked = ask(ssl);
    SSL_set_info_callback(ssl, [](const SSL*, int, int) {});
    return asked;
  };
  const Certificate stranger = issue({.common_name = "stranger"});
  Pair pair{server, able_to_authenticate_later(client1())};
  REQUIRE(pair.verify() == "SUCCESS");
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER, nullptr);
  CHECK_FALSE(authenticate_again(pair, &stranger));
}

TEST_CASE("post-handshake: a verify mode and callback that the host had before are back") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  static int host_calls;
  host_calls = 0;
  const auto host_callback = [](int preverified, X509_STORE_CTX*) { return ++host_calls, preverified; };
  const int strict = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT | SSL_VERIFY_POST_HANDSHAKE;
  SSL_CTX_set_verify(server.ssl_ctx(), strict, host_callback);
  SSL_CTX_set_max_cert_list(server.ssl_ctx(), 12345);
  for (const bool presents : {true, false}) {
    Pair pair{server, able_to_authenticate_later(presents ? client1() : ClientOptions{})};
    REQUIRE(pair.done());
    CHECK(host_calls == 0);
    CHECK(SSL_get_verify_mode(pair.server()) == strict);
    CHECK(SSL_get_verify_callback(pair.server()) == static_cast<SSL_verify_cb>(host_callback));
    CHECK(SSL_get_max_cert_list(pair.server()) == 12345);
    CHECK(SSL_get_info_callback(pair.server()) == nullptr);
    const Certificate stranger = issue({.common_name = "stranger"});
    CHECK_FALSE(authenticate_again(pair, &stranger));
    CHECK(std::exchange(host_calls, 0) > 0);
  }
}

TEST_CASE("post-handshake: authentication on a bound connection ends its resumability") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool asked : {true, false}) {
      for (const bool resumed : {false, true}) {
        DYNAMIC_SECTION(to_string(mechanism) << (asked ? ", asked" : "") << (resumed ? ", resumed" : "")) {
          const Certificate direct = issue({.common_name = "direct"}, &Pki::get().ca2);
          Server server{mechanism};
          server.on_certificate = [&](SSL* ssl) { return asked ? ask(ssl) : 1; };
          Pair first{server, able_to_authenticate_later(client1())};
          Pair next{server, offering(able_to_authenticate_later(client1()), resumed ? first.session() : nullptr)};
          REQUIRE(next.resumed() == resumed);
          SSL_set_verify(next.server(), SSL_VERIFY_PEER, nullptr);
          REQUIRE(authenticate_again(next, &direct));
          next.keep(nullptr);
          // Whatever ticket comes from now on tells of another certificate than the one that was bound.
          SSL_new_session_ticket(next.server());
          SSL_do_handshake(next.server());
          next.run();
          REQUIRE(next.session());
          Pair after{server, offering(able_to_authenticate_later(client1()), next.session())};
          REQUIRE(after.done());
          CHECK_FALSE(after.resumed());
          CHECK(next.chain() == pem_of({direct.get()}));
        }
      }
    }
  }
}

TEST_CASE("post-handshake: the chain is the new certificate's") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair first{server, able_to_authenticate_later(client1())};
  for (const bool resumed : {false, true}) {
    Pair pair{server, offering(able_to_authenticate_later(client1()), resumed ? first.session() : nullptr)};
    REQUIRE(pair.resumed() == resumed);
    CHECK(pair.chain() == chain_of_client1());
    SSL_set_verify(pair.server(), SSL_VERIFY_PEER, nullptr);
    const Certificate direct = issue({.common_name = "direct"}, &Pki::get().ca1);
    REQUIRE(authenticate_again(pair, &direct));
    CHECK(pair.chain() == pem_of({direct.get()}));
    CHECK(pair.verify() == "FAILED:the certificate was changed after the handshake");
  }
}

TEST_CASE("post-handshake: a client's TLS 1.2 renegotiation is refused, and nothing changes") {
  Server server{Mechanism::ticket12};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair pair{server, client1()};
  const std::string chain = pair.chain();
  CHECK(SSL_renegotiate(pair.client()) == 1);
  SSL_do_handshake(pair.client());
  pair.run();
  CHECK(server.client_hello_calls == 1);
  CHECK(server.certificate_calls == 1);
  CHECK(pair.chain() == chain);
  CHECK(pair.verify() == "SUCCESS");
  Pair other{server, client1()};
  CHECK(other.done());
}

TEST_CASE("post-handshake: a renegotiation that the host allows is refused by the facade") {
  Server server{Mechanism::ticket12};
  SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair pair{server, client1()};
  REQUIRE(pair.done());
  SSL_renegotiate(pair.client());
  SSL_do_handshake(pair.client());
  pair.run();
  CHECK(server.client_hello_calls == 2);
  CHECK(server.certificate_calls == 1);
  CHECK_FALSE(pair.done());
}

TEST_CASE("post-handshake: the host's info callbacks are called as without us") {
  static int ssl_calls;
  static int ctx_calls;
  ssl_calls = ctx_calls = 0;
  const auto on_ssl = [](const SSL*, int, int) { ++ssl_calls; };
  const auto on_ctx = [](const SSL*, int, int) { ++ctx_calls; };
  Server server{Mechanism::stateless13};
  SSL_CTX_set_info_callback(server.ssl_ctx(), on_ctx);
  server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  Pair without{server, {}};
  const int expected = std::exchange(ctx_calls, 0);
  REQUIRE(expected > 0);
  server.on_client_hello = bind_to_server_name;
  Pair with{server, {}};
  CHECK(std::exchange(ctx_calls, 0) == expected);
  Pair own{server, {}, false};
  SSL_set_info_callback(own.server(), on_ssl);
  REQUIRE(own.run());
  CHECK(ctx_calls == 0);
  CHECK(ssl_calls == expected);
  CHECK(SSL_get_info_callback(own.server()) == static_cast<void (*)(const SSL*, int, int)>(on_ssl));
}

// What may resume, and what a resumed connection still knows: on each of OpenSSL's six mechanisms.
#include <algorithm>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/pair.hpp"

using namespace test;
using std::chrono::milliseconds;

TEST_CASE("binding: a session resumes in its own scope with its whole chain, ten times in a row") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1()};
      REQUIRE(first.done());
      REQUIRE_FALSE(first.resumed());
      REQUIRE(first.chain() == chain_of_client1());
      REQUIRE(first.verify() == "SUCCESS");
      auto session = first.session();
      for (int i = 0; i < 10; ++i) {
        REQUIRE(session);
        Pair next{server, offering(client1(), session)};
        REQUIRE(next.done());
        CHECK(next.resumed());
        CHECK(next.chain() == chain_of_client1());
        CHECK(next.verify() == "SUCCESS");
        CHECK(X509_cmp(SSL_get0_peer_certificate(next.server()), Pki::get().client1.get()) == 0);
        session = next.session();
      }
      CHECK(server.certificate_calls == 1);
    }
  }
}

TEST_CASE("binding: a session made on an open name does not get into a name that asks") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair open{server, client1("open.test")};
      REQUIRE(open.done());
      REQUIRE(open.session());
      Pair again{server, offering(client1("open.test"), open.session())};
      CHECK(again.resumed());
      CHECK(again.verify() == "NONE");
      Pair asked{server, offering(client1("a.test"), open.session())};
      REQUIRE(asked.done());
      CHECK_FALSE(asked.resumed());
      CHECK(asked.seen().certificate_requests == 1);
      CHECK(asked.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("binding: a session does not get into another scope") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1("a.test")};
      REQUIRE(first.session());
      SECTION("one that asks") {
        Pair other{server, offering(client2("b.test"), first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
        CHECK(other.seen().certificate_requests == 1);
        CHECK(other.chain() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
      }
      SECTION("one that asks nothing") {
        Pair other{server, offering({.server_name = "open.test"}, first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
        CHECK(other.chain() == "none");
        CHECK(other.verify() == "NONE");
      }
      SECTION("the longest scope and one that differs in its last byte") {
        std::string scope(client_tls::max_scope_size, 's');
        server.on_client_hello = [&](SSL* ssl) { return bind_to(ssl, scope); };
        Pair longest{server, client1()};
        REQUIRE(longest.session());
        Pair same{server, offering(client1(), longest.session())};
        CHECK(same.resumed());
        scope.back() = 't';
        Pair other{server, offering(client1(), longest.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
      }
      SECTION("a connection that nobody bound") {
        server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
        Pair other{server, offering(client1(), first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
      }
    }
  }
}

TEST_CASE("binding: a connection that asks without being bound makes nothing resumable") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      CHECK(first.chain() == chain_of_client1());
      CHECK(first.seen().tickets == 0);
      CHECK(server.new_session_calls == 0);
      CHECK(SSL_CTX_sess_number(server.ssl_ctx()) == 0);
      Pair again{server, offering(client1(), first.session())};
      REQUIRE(again.done());
      CHECK_FALSE(again.resumed());
      CHECK(again.verify() == "SUCCESS");
    }
  }
}

// What a host without this library's client_hello phase gets: its own SSL_VERIFY_PEER, its own session id context.
TEST_CASE("binding: an unbound connection that was resumed is never taken for an authenticated one") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      CHECK(first.chain() == chain_of_client1());
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.chain() == "error: the resumed session does not carry its client's chain");
      CHECK(next.verify() == "FAILED:the resumed session does not carry its client's chain");
      Pair without{server, {}};
      Pair resumed_without{server, offering({}, without.session())};
      REQUIRE(resumed_without.resumed());
      CHECK(resumed_without.chain() == "none");
      CHECK(resumed_without.verify() == "NONE");
    }
  }
}

// A bound connection on which the host asks by its own means carries the chain all the same.
TEST_CASE("binding: a chain that the host asked for itself is carried") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.chain() == chain_of_client1());
      CHECK(next.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("binding: NONE and FAILED are resumed as what they were") {
  const Certificate stranger = issue({.common_name = "nobody knows me"});
  const std::array<std::pair<ClientOptions, std::string_view>, 2> clients{
      std::pair{ClientOptions{}, "NONE"}, std::pair{ClientOptions{.chain = {stranger.get()}, .key = stranger.key.get()},
                                                    "FAILED:unable to verify the first certificate"}};
  for (const Mechanism mechanism : all_mechanisms) {
    for (const auto& [options, verdict] : clients) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << verdict) {
        Server server{mechanism};
        ask_unless_open(server);
        Pair first{server, options};
        REQUIRE(first.done());
        CHECK(first.seen().certificate_requests == 1);
        const std::string verdict_then = first.verify();
        CHECK(verdict_then.substr(0, 6) == verdict.substr(0, 6));
        Pair next{server, offering(options, first.session())};
        REQUIRE(next.resumed());
        CHECK(next.verify() == verdict_then);
        CHECK(next.chain() == first.chain());
      }
    }
  }
}

TEST_CASE("binding: a ticket with any byte changed is a full handshake and no alert") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1()};
      const auto session = first.session();
      REQUIRE(session);
      const unsigned char* ticket = nullptr;
      std::size_t size = 0;
      SSL_SESSION_get0_ticket(session.get(), &ticket, &size);
      const auto encoded = bytes_of(session.get());
      const auto begin = std::search(encoded.begin(), encoded.end(), ticket, ticket + size);
      REQUIRE(begin != encoded.end());
      for (std::size_t i = 0; i < size; ++i) {
        auto changed = encoded;
        changed[static_cast<std::size_t>(begin - encoded.begin()) + i] ^= 0x20;
        const unsigned char* in = changed.data();
        const client_tls::SslSessionPtr bad{d2i_SSL_SESSION(nullptr, &in, static_cast<long>(changed.size()))};
        REQUIRE(bad);
        Pair next{server, offering(client1(), bad)};
        REQUIRE(next.done());
        CHECK_FALSE(next.resumed());
        CHECK_FALSE(next.seen().alert);
        CHECK(next.verify() == "SUCCESS");
      }
    }
  }
}

TEST_CASE("binding: VERIFY_PEER without a session id context, and a session offered, is no broken handshake") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      Pair next{server, offering(client1(), first.session())};
      CHECK(next.done());
      CHECK(next.resumed());
    }
  }
}

TEST_CASE("binding: a HelloRetryRequest changes nothing") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) {
        const std::array hints{Pki::get().ca1.get(), Pki::get().ca2.get()};
        return ask(ssl, hints);
      };
      ClientOptions options = retrying(server.ssl_ctx());
      Pair first{server, options};
      REQUIRE(first.done());
      CHECK(server.client_hello_calls == 2);
      CHECK(first.seen().ca_names == std::vector<std::string>{"/CN=CA 1", "/CN=CA 2"});
      CHECK(first.verify() == "SUCCESS");
      Pair next{server, offering(options, first.session())};
      REQUIRE(next.done());
      CHECK(next.resumed());
      CHECK(next.chain() == chain_of_client1());
      options.server_name = "b.test";
      Pair other{server, offering(options, next.session())};
      REQUIRE(other.done());
      CHECK_FALSE(other.resumed());
    }
  }
}

TEST_CASE("binding: an SSL used again after SSL_clear carries nothing over") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) {
        const std::string_view name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        const std::array hints{Pki::get().ca1.get()};
        if (name == "a.test") return ask(ssl, hints);
        return name == "b.test" ? ask(ssl) : 1;
      };
      Pair pair{server, client1("a.test")};
      REQUIRE(pair.verify() == "SUCCESS");
      REQUIRE(pair.chain() == chain_of_client1());
      const std::size_t tickets = is_tls13(mechanism) ? 2 : 0;
      pair.clear({.server_name = "open.test"});
      REQUIRE(pair.done());
      CHECK(pair.seen().certificate_requests == 0);
      CHECK(pair.chain() == "none");
      CHECK(pair.verify() == "NONE");
      CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_NONE);
      const auto open_session = pair.session();
      pair.clear(client2("b.test"));
      REQUIRE(pair.done());
      CHECK(pair.seen().ca_names.empty());
      CHECK(pair.verify() == "SUCCESS");
      CHECK(pair.chain() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
      if (is_tls13(mechanism)) CHECK(pair.seen().tickets == static_cast<int>(tickets));
      pair.clear(offering(client2("b.test"), open_session));
      REQUIRE(pair.done());
      CHECK_FALSE(pair.resumed());
      CHECK(pair.seen().certificate_requests == 1);
    }
  }
}

TEST_CASE("binding: an error on an SSL used again leaves what the last handshake left") {
  Server server{Mechanism::ticket12};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  const Pair first{server, client1()};
  const auto session = first.session();
  server.on_certificate = disable_reuse;
  Pair pair{server, client1()};
  server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  pair.clear(offering(client1(), session));  // SSL_clear leaves it in its scope
  REQUIRE(pair.resumed());
  REQUIRE(SSL_get_num_tickets(pair.server()) == 0);
  CHECK(pair.chain() == "error: the resumed session does not carry its client's chain");
  CHECK(SSL_get_num_tickets(pair.server()) == 0);
}

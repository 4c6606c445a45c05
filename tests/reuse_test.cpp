// disable_session_reuse, on each of OpenSSL's six mechanisms.
#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;

TEST_CASE("reuse: disabled, nothing goes out, nothing is cached, and nothing resumes") {
  struct Case {
    const char* name;
    std::function<int(SSL*)> certificate;
  };
  const std::array cases{
      Case{"by itself", [](SSL* ssl) { return disable_reuse(ssl); }},
      Case{"repeated", [](SSL* ssl) { return disable_reuse(ssl) & disable_reuse(ssl); }},
      Case{"then asked", [](SSL* ssl) { return disable_reuse(ssl) & ask(ssl); }},
      Case{"asked, then disabled", [](SSL* ssl) { return ask(ssl) & disable_reuse(ssl); }},
  };
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool bound : {true, false}) {
      for (const Case& disabled : cases) {
        DYNAMIC_SECTION(to_string(mechanism) << ", " << disabled.name << (bound ? ", bound" : ", unbound")) {
          Server server{mechanism};
          if (!bound) server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
          server.on_certificate = disabled.certificate;
          Pair first{server, client1()};
          REQUIRE(first.done());
          CHECK(first.seen().tickets == 0);
          if (!is_tls13(mechanism)) CHECK(first.seen().session_id_size == 0);
          CHECK(SSL_CTX_sess_number(server.ssl_ctx()) == 0);
          CHECK(server.new_session_calls == 0);
          CHECK(server.external_cache.empty());
          CHECK(first.echo());
          Pair next{server, offering(client1(), first.session())};
          REQUIRE(next.done());
          CHECK_FALSE(next.resumed());
          CHECK(server.certificate_calls == 2);
        }
      }
    }
  }
}

TEST_CASE("reuse: what the host forces out afterwards does not resume") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool asked : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (asked ? ", asked" : "")) {
        Server server{mechanism};
        server.on_certificate = [&](SSL* ssl) { return (!asked || ask(ssl) == 1) ? disable_reuse(ssl) : 0; };
        Pair first{server, client1()};
        REQUIRE(first.done());
        REQUIRE(SSL_new_session_ticket(first.server()) == 1);
        SSL_do_handshake(first.server());
        first.run();
        const auto session = first.session();
        REQUIRE(session);  // a ticket did come
        Pair next{server, offering(client1(), session)};
        REQUIRE(next.done());
        CHECK_FALSE(next.resumed());
      }
    }
  }
}

TEST_CASE("reuse: post-handshake authentication does not bring it back") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool bound : {true, false}) {
      DYNAMIC_SECTION(to_string(mechanism) << (bound ? ", bound" : "")) {
        Server server{mechanism};
        if (!bound) server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
        server.on_certificate = [](SSL* ssl) { return disable_reuse(ssl); };
        ClientOptions options = client1();
        options.post_handshake_auth = true;
        Pair first{server, options};
        REQUIRE(first.done());
        SSL_set_verify(first.server(), SSL_VERIFY_PEER, nullptr);
        REQUIRE(SSL_verify_client_post_handshake(first.server()) == 1);
        SSL_do_handshake(first.server());
        REQUIRE(first.run());
        // Unbound, it is the host's own rules that let it in.
        CHECK(first.verify() == (bound ? "FAILED:the certificate was changed after the handshake" : "SUCCESS"));
        CHECK(first.seen().tickets == 0);
        REQUIRE(SSL_new_session_ticket(first.server()) == 1);
        SSL_do_handshake(first.server());
        first.run();
        REQUIRE(first.session());
        Pair next{server, offering(options, first.session())};
        REQUIRE(next.done());
        CHECK_FALSE(next.resumed());
      }
    }
  }
}

TEST_CASE("reuse: disabling it on one connection leaves the others alone") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) {
        return std::string_view(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) == "once.test" ? disable_reuse(ssl)
                                                                                                   : 1;
      };
      Pair once{server, {.server_name = "once.test"}};
      Pair first{server, {.server_name = "a.test"}};
      Pair next{server, offering({.server_name = "a.test"}, first.session())};
      REQUIRE(next.done());
      CHECK(next.resumed());
      CHECK(SSL_CTX_get_num_tickets(server.ssl_ctx()) == 2);
      // The same SSL, used again, has its tickets back.
      once.clear({.server_name = "a.test"});
      REQUIRE(once.done());
      if (is_tls13(mechanism)) CHECK(once.seen().tickets == 2);
      Pair last{server, offering({.server_name = "a.test"}, once.session())};
      CHECK(last.resumed());
    }
  }
}

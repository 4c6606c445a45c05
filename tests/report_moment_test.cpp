// Hooks::handshake_done is told once of each handshake, and when: however it goes on, breaks off or is left.
#include "support/reports.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth required = ClientAuth::required;
using Status = Verdict::Status;

// Both sides up to the client's last flight, which the server has not read.
void run_to_last_flight(const Pair& pair) {
  do_handshake(pair.client());
  do_handshake(pair.server());
  do_handshake(pair.client());
}

// Changes the last byte that the client has written and the server has not read.
void tamper(const Pair& pair) {
  std::string flight = take_off_wire(pair.server());
  REQUIRE_FALSE(flight.empty());
  flight.back() = static_cast<char>(flight.back() ^ 1);
  REQUIRE(put_on_wire(pair.client(), flight));
}

// A servername callback that has each connection go on with another SSL_CTX.
void switch_to(SSL_CTX* from, SSL_CTX* to) {
  SSL_CTX_set_tlsext_servername_arg(from, to);
  SSL_CTX_set_tlsext_servername_callback(
      from, +[](SSL* ssl, int*, void* ssl_ctx) {
        SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
        return SSL_TLSEXT_ERR_OK;
      });
}

}  // namespace

TEST_CASE("report: there is one in total, however often a hook suspends, and after a HelloRetryRequest") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retry : {false, true}) {
      if (retry && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retry ? ", after a HelloRetryRequest" : "")) {
        Reports reports;
        int calls = 0;
        const auto answer = [&](Handshake&) { return ++calls % 3 != 0 ? Decision::suspend : Decision::proceed; };
        Hooks hooks = telling(reports);
        hooks.client_hello = answer;
        hooks.certificate = answer;
        Server server{mechanism};
        install_on(server.ssl_ctx(), make_policy(asking(required)), std::move(hooks));
        Pair pair{server, retry ? retrying(server.ssl_ctx()) : client1()};
        for (int i = 0; i < 9 && !pair.done(); ++i) pair.run();
        REQUIRE(pair.done());
        CHECK(calls >= (retry ? 9 : 6));
        check_same_connection(reports.only().verdict, verdict_of(pair));
        CHECK(reports.only().verdict.success());
      }
    }
  }
}

TEST_CASE("report: a choice of another policy after a HelloRetryRequest is told once, with the policy before it") {
  Reports reports;
  const PolicyPtr first = make_policy(asking(required));
  const PolicyPtr second = make_policy();
  int calls = 0;
  Hooks hooks = telling(reports);
  hooks.client_hello = [&](Handshake& handshake) {
    ++calls;
    CHECK(handshake.use(calls == 1 ? first : second).has_value() == (calls == 1));
    return Decision::proceed;
  };
  Server server{Mechanism::stateless13};
  install_on(server.ssl_ctx(), second, std::move(hooks));
  CHECK_FALSE(Pair(server, retrying(server.ssl_ctx())).done());
  check_failed(reports.only(), {});
  CHECK(reports.only().policy == first.get());
}

TEST_CASE("report: a name that changes after a HelloRetryRequest is told once, as it was before") {
  Reports reports;
  const PolicyPtr policy = make_policy(asking(required));
  Server server{Mechanism::stateless13};
  install_on(server.ssl_ctx(), policy, telling(reports));
  Pair pair{server, retrying(server.ssl_ctx()), false};
  do_handshake(pair.client());
  do_handshake(pair.server());
  pair.rewrite_client_hello("a.test", "b.test");
  CHECK_FALSE(pair.run());
  check_failed(reports.only(), {});
  CHECK(reports.only().has_ssl);
  CHECK(reports.only().server_name == "a.test");
  CHECK(reports.only().policy == policy.get());
}

TEST_CASE("report: there is one of a flight that was changed on the way, and of a wrong Finished") {
  Reports reports;
  SECTION("a changed byte") {
    for (const Mechanism mechanism : both_versions) {
      CAPTURE(to_string(mechanism));
      reports.all.clear();
      Server server{mechanism};
      install_on(server.ssl_ctx(), make_policy(asking(required)), telling(reports));
      Pair pair{server, client1(), false};
      run_to_last_flight(pair);
      tamper(pair);
      CHECK_FALSE(pair.run());
      CHECK(reports.only().has_ssl);
      CHECK(reports.only().shown == pem_of_chain(client1()));
    }
  }
  SECTION("a Finished that does not match") {
    Server server{Mechanism::ticket12};
    install_on(server.ssl_ctx(), make_policy(), telling(reports));
    ClientOptions options;
    options.adjust = [](SSL* ssl) { SSL_set_options(ssl, SSL_OP_NO_EXTENDED_MASTER_SECRET); };
    Pair pair{server, options, false};
    pair.rewrite_client_hello("a.test", "b.test");
    CHECK_FALSE(pair.run());
    CHECK(reports.only().has_ssl);
    CHECK(reports.only().server_name == "b.test");
  }
  check_failed(reports.only(), {});
}

TEST_CASE("report: a handshake that breaks off is told of when its SSL is freed, at the latest") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool after_client_hello : {true, false}) {
      DYNAMIC_SECTION(to_string(mechanism) << (after_client_hello ? ", early" : ", late")) {
        Reports reports;
        const PolicyPtr policy = make_policy(asking(required));
        Server server{mechanism};
        install_on(server.ssl_ctx(), policy, telling(reports));
        bool told_before_free = false;
        SECTION("freed") {
          const Pair pair{server, client1(), false};
          do_handshake(pair.client());
          do_handshake(pair.server());
          if (!after_client_hello) do_handshake(pair.client());
          CHECK(reports.all.empty());
        }
        SECTION("the transport breaks") {
          const Pair pair{server, client1(), false};
          do_handshake(pair.client());
          do_handshake(pair.server());
          if (!after_client_hello) do_handshake(pair.client());
          if (!after_client_hello) BIO_reset(SSL_get_wbio(pair.client()));
          BIO_shutdown_wr(SSL_get_wbio(pair.client()));
          do_handshake(pair.server());
          told_before_free = !reports.all.empty();
        }
        check_failed(reports.only(), {});
        CHECK(reports.only().has_ssl == told_before_free);
        CHECK(reports.only().server_name == "a.test");
        CHECK(reports.only().shown.empty());
      }
    }
  }
}

TEST_CASE("report: a handshake that is abandoned for another on the same SSL is told of before it") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool suspended : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (suspended ? ", suspended" : "")) {
        Reports reports;
        bool suspends = suspended;
        Hooks hooks = telling(reports);
        // Not in client_hello: OpenSSL loses the memory of a ClientHello that SSL_clear finds there.
        hooks.certificate = [&](Handshake&) { return suspends ? Decision::suspend : Decision::proceed; };
        Server server{mechanism};
        install_on(server.ssl_ctx(), make_policy(asking()), std::move(hooks));
        {
          Pair pair{server, client1("a.test"), false};
          do_handshake(pair.client());
          do_handshake(pair.server());
          suspends = false;
          pair.clear(client1("b.test"));
          REQUIRE(pair.done());
          pair.clear(client1("c.test"));
          REQUIRE(pair.done());
        }
        REQUIRE(reports.all.size() == 3);
        check_failed(reports.all[0], {});
        CHECK_FALSE(reports.all[0].has_ssl);
        CHECK(reports.all[0].server_name == "a.test");
        for (const std::size_t i : {std::size_t{1}, std::size_t{2}}) {
          CHECK(reports.all[i].verdict.success());
          CHECK(reports.all[i].has_ssl);
          CHECK(reports.all[i].server_name == (i == 1 ? "b.test" : "c.test"));
        }
      }
    }
  }
}

TEST_CASE("report: there is none before there is a ClientHello") {
  Reports reports;
  Server server{Mechanism::stateless13};
  install_on(server.ssl_ctx(), make_policy(), telling(reports));
  {
    const Pair unused{server, {}, false};
    do_handshake(unused.server());
    const Pair garbled{server, {}, false};
    put_on_wire(garbled.client(), "GET / HTTP/1.1\r\n\r\n");
    do_handshake(garbled.server());
  }
  CHECK(reports.all.empty());
}

TEST_CASE("report: there is none of post-handshake authentication") {
  Reports reports;
  Server server{Mechanism::stateless13};
  install_on(server.ssl_ctx(), make_policy(asking()), telling(reports));
  {
    ClientOptions options = client1();
    options.post_handshake_auth = true;
    Pair pair{server, options};
    REQUIRE(pair.done());
    SSL_set_verify(pair.server(), SSL_VERIFY_PEER, nullptr);
    REQUIRE(SSL_verify_client_post_handshake(pair.server()) == 1);
    do_handshake(pair.server());
    pair.run();
    CHECK(verdict_of(pair).status() == Status::failed);
  }
  CHECK(reports.only().verdict.success());  // as it was at the time
}

TEST_CASE("report: a connection that goes on with another SSL_CTX is told of by the first one's hook") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool retry : {false, true}) {
      if (retry && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retry ? ", after a HelloRetryRequest" : "")) {
        Reports of_first;
        Reports of_second;
        const PolicyPtr policy = make_policy(asking(required));
        Server first{mechanism};
        Server second{mechanism};
        install_on(first.ssl_ctx(), policy, telling(of_first));
        install_on(second.ssl_ctx(), policy, telling(of_second));
        switch_to(first.ssl_ctx(), second.ssl_ctx());
        {
          const Pair pair{first, retry ? retrying(first.ssl_ctx()) : client1()};
          REQUIRE(pair.done());
          check_same_connection(of_first.only().verdict, verdict_of(pair));
        }
        CHECK(of_first.only().verdict.success());
        CHECK_FALSE(Pair(first, client2()).done());
        CHECK(of_first.all.size() == 2);
        CHECK(of_second.all.empty());
      }
    }
  }
}

TEST_CASE("report: the hook outlives the SSL_CTX that the host has freed in mid-handshake") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool switches : {false, true}) {
      for (const bool completes : {true, false}) {
        DYNAMIC_SECTION(to_string(mechanism)
                        << (switches ? ", switched" : "") << (completes ? ", completes" : ", is freed")) {
          Reports reports;
          const auto token = std::make_shared<int>(0);
          bool answered = false;
          const auto answer = [&](Handshake&) { return answered ? Decision::proceed : Decision::suspend; };
          const PolicyPtr policy = make_policy(asking(required));
          auto first = std::make_unique<Server>(mechanism);
          Server second{mechanism};
          SSL_CTX_sess_set_new_cb(first->ssl_ctx(), nullptr);  // what it calls has gone with the Server
          SSL_CTX_sess_set_remove_cb(first->ssl_ctx(), nullptr);
          Hooks hooks;
          hooks.handshake_done = [&reports, token](const HandshakeReport& report) { reports.add(report); };
          hooks.certificate = answer;
          install_on(first->ssl_ctx(), policy, std::move(hooks));
          Hooks of_second;
          of_second.certificate = answer;
          install_on(second.ssl_ctx(), policy, std::move(of_second));
          if (switches) switch_to(first->ssl_ctx(), second.ssl_ctx());
          {
            Pair pair{*first, client1()};
            REQUIRE(pair.server_error() == SSL_ERROR_WANT_X509_LOOKUP);
            first.reset();
            CHECK(token.use_count() == 2);
            answered = true;
            if (completes) CHECK(pair.run());
          }
          CHECK(reports.only().completed == completes);
          CHECK(reports.only().has_ssl == completes);
          CHECK(token.use_count() == 1);
        }
      }
    }
  }
}

// When a connection can be bound, and when it is too late: OpenSSL says nothing where a session id context that is set
// too late is ignored.
#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

using Outcome = std::optional<Errc>;  // nothing: bound

Outcome outcome_of(const Result<void>& result) {
  return result ? Outcome{} : Outcome{result.error().code};
}

Outcome bind_in_hello(SSL* ssl, std::string_view scope) {
  PhaseContext context{Phase::client_hello};
  return outcome_of(ClientTls{ssl, context}.bind_session(scope));
}

// A host that binds where it says, and notes what came of it.
struct Host : Server {
  explicit Host(Mechanism mechanism) : Server(mechanism) {
    on_client_hello = [this](SSL* ssl) {
      ++hellos;
      if (binds_in_hello) in_hello.push_back(bind_in_hello(ssl, scope));
      if (suspensions > 0) return --suspensions, SSL_CLIENT_HELLO_RETRY;
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    SSL_CTX_set_tlsext_servername_arg(ssl_ctx(), this);
    SSL_CTX_set_tlsext_servername_callback(
        ssl_ctx(), +[](SSL* ssl, int*, void* self) {
          static_cast<Host*>(self)->on_server_name(ssl);
          return SSL_TLSEXT_ERR_OK;
        });
  }

  void on_server_name(SSL* ssl) {
    if (binds_in_server_name) in_server_name.push_back(bind_in_hello(ssl, scope));
  }

  std::string scope = "scope";
  bool binds_in_hello = true;
  bool binds_in_server_name = true;
  int suspensions = 0;
  int hellos = 0;
  std::vector<Outcome> in_hello, in_server_name;
};

using Outcomes = std::vector<Outcome>;
const Outcome bound;
const Outcome too_late = Errc::too_late;

// A client and a server that do not agree on a group at once.
// Bytes on the wire before the handshake, as after STARTTLS; they have reached the other side.
void write_before(const Pair& pair) {
  constexpr std::string_view greeting = "220 ready\r\n";
  std::array<char, greeting.size()> data{};
  const int size = static_cast<int>(greeting.size());
  for (const auto& [from, to] : {std::pair{pair.server(), pair.client()}, std::pair{pair.client(), pair.server()}}) {
    REQUIRE(BIO_write(SSL_get_wbio(from), greeting.data(), size) == size);
    REQUIRE(BIO_read(SSL_get_rbio(to), data.data(), size) == size);
  }
}

}  // namespace

TEST_CASE("binding stage: the servername callback is too late") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool starttls : {false, true}) {
      for (const bool binds_before : {true, false}) {
        DYNAMIC_SECTION(to_string(mechanism) << (starttls ? ", STARTTLS" : "") << (binds_before ? ", bound" : "")) {
          Host server{mechanism};
          server.binds_in_hello = binds_before;
          Pair pair{server, client1(), false};
          if (starttls) write_before(pair);
          REQUIRE(pair.run());
          CHECK(server.in_server_name == Outcomes{too_late});
          if (binds_before) CHECK(server.in_hello == Outcomes{bound});
        }
      }
    }
  }
}

TEST_CASE("binding stage: the client_hello callback of a connection that begins with STARTTLS is in time") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Host server{mechanism};
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair first{server, client1(), false};
      write_before(first);
      REQUIRE(first.run());
      const auto session = first.session();
      ClientOptions options = client1();
      options.session = session.get();
      Pair next{server, options, false};
      write_before(next);
      REQUIRE(next.run());
      CHECK(next.resumed());
      CHECK(next.verify() == "SUCCESS");
      CHECK(server.in_hello == Outcomes{bound, bound});
    }
  }
}

TEST_CASE("binding stage: after a HelloRetryRequest client_hello binds again, the servername callback never") {
  for (const bool starttls : {false, true}) {
    for (const bool binds_before : {true, false}) {
      DYNAMIC_SECTION((starttls ? "STARTTLS" : "") << (binds_before ? ", bound" : "")) {
        Host server{Mechanism::stateless13};
        server.binds_in_hello = binds_before;
        Pair pair{server, retrying(server.ssl_ctx()), false};
        if (starttls) write_before(pair);
        REQUIRE(pair.run());
        REQUIRE(server.hellos == 2);
        CHECK(server.in_server_name == Outcomes{too_late, too_late});
        if (binds_before) CHECK(server.in_hello == Outcomes{bound, bound});
      }
    }
  }
}

// OpenSSL does not say in which of the second ClientHello's callbacks it is: where only the first one was bound, the
// servername callback can say the same again, and nothing else.
TEST_CASE("binding stage: in the second servername callback another scope is too late, whatever was bound before") {
  for (const bool binds_again : {false, true}) {
    Host server{Mechanism::stateless13};
    const auto hello = server.on_client_hello;
    server.on_client_hello = [&](SSL* ssl) {
      const bool first = server.hellos == 0;
      server.binds_in_hello = first || binds_again;
      const int answer = hello(ssl);
      if (!first) server.scope = "another";
      return answer;
    };
    const Pair pair{server, retrying(server.ssl_ctx())};
    REQUIRE(pair.done());
    CHECK(server.in_hello == Outcomes(binds_again ? 2 : 1, bound));
    CHECK(server.in_server_name == Outcomes{too_late, too_late});
  }
}

TEST_CASE("binding stage: the second ClientHello cannot be bound where the first was not, nor to another scope") {
  Host server{Mechanism::stateless13};
  const auto hello = server.on_client_hello;
  SECTION("another scope") {
    server.on_client_hello = [&](SSL* ssl) {
      server.scope = server.hellos == 0 ? "scope" : "another";
      return hello(ssl);
    };
    const Pair pair{server, retrying(server.ssl_ctx())};
    REQUIRE(server.hellos == 2);
    CHECK(server.in_hello == Outcomes{bound, too_late});
  }
  SECTION("another scope, and then the first again") {
    server.on_client_hello = [&](SSL* ssl) {
      if (server.hellos == 1) {
        CHECK(bind_in_hello(ssl, "another") == too_late);
        CHECK(bind_in_hello(ssl, "") == Errc::invalid_argument);
      }
      return hello(ssl);
    };
    const Pair pair{server, retrying(server.ssl_ctx())};
    CHECK(server.in_hello == Outcomes{bound, bound});
    CHECK(pair.done());
  }
  SECTION("not bound at first") {
    server.on_client_hello = [&](SSL* ssl) {
      server.binds_in_hello = server.hellos == 1;
      return hello(ssl);
    };
    const Pair pair{server, retrying(server.ssl_ctx())};
    REQUIRE(server.hellos == 2);
    CHECK(server.in_hello == Outcomes{too_late});
  }
}

TEST_CASE("binding stage: an SSL used again is as a new one") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retries : {false, true}) {
      if (retries && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retries ? ", after a HelloRetryRequest" : "")) {
        Host server{mechanism};
        const ClientOptions options = retries ? retrying(server.ssl_ctx()) : client1();
        Pair pair{server, options};
        for (const char* scope : {"scope", "another", "scope"}) {
          server.scope = scope;
          server.in_hello.clear();
          server.in_server_name.clear();
          pair.clear(options);
          REQUIRE(pair.done());
          const std::size_t hellos = retries ? 2 : 1;
          CHECK(server.in_hello == Outcomes(hellos, bound));
          CHECK(server.in_server_name == Outcomes(hellos, too_late));
        }
      }
    }
  }
}

TEST_CASE("binding stage: an SSL used again after a handshake that was broken off in the middle is as a new one") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Host server{mechanism};
      server.on_certificate = [&](SSL*) { return server.hellos == 1 ? -1 : 1; };
      Pair pair{server, client1()};
      REQUIRE_FALSE(pair.done());
      server.scope = "another";
      pair.clear(client1());
      REQUIRE(pair.done());
      CHECK(server.in_hello == Outcomes{bound, bound});
      CHECK(server.in_server_name == Outcomes{too_late, too_late});
    }
  }
}

TEST_CASE("binding stage: a callback that suspends may bind again each time it is called, also after a retry") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retries : {false, true}) {
      if (retries && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retries ? ", after a HelloRetryRequest" : "")) {
        Host server{mechanism};
        server.on_certificate = [](SSL* ssl) { return ask(ssl); };
        const auto hello = server.on_client_hello;
        server.on_client_hello = [&](SSL* ssl) {
          // Each ClientHello is suspended twice.
          const bool ends = server.hellos % 3 == 2;
          server.suspensions = ends ? 0 : 1;
          return hello(ssl);
        };
        ClientOptions options = retries ? retrying(server.ssl_ctx()) : client1();
        const auto finish = [&](Pair& pair) {
          for (int i = 0; i < 8 && !pair.run(); ++i) {
          }
          REQUIRE(pair.done());
        };
        Pair first{server, options, false};
        finish(first);
        const std::size_t hellos = retries ? 6 : 3;
        CHECK(server.in_hello == Outcomes(hellos, bound));
        CHECK(server.in_server_name == Outcomes(retries ? 2 : 1, too_late));
        const auto session = first.session();
        options.session = session.get();
        Pair next{server, options, false};
        finish(next);
        CHECK(next.resumed());
        CHECK(next.verify() == "SUCCESS");
      }
    }
  }
}

namespace {

// Replaces bytes in what the client has written and the server has not read.
void replace_on_wire(const Pair& pair, std::string_view from, std::string_view to) {
  std::string bytes = take_off_wire(pair.server());
  REQUIRE_FALSE(bytes.empty());
  const auto found = bytes.find(from);
  REQUIRE(found != std::string::npos);
  bytes.replace(found, to.size(), to);
  REQUIRE(put_on_wire(pair.client(), bytes));
}

// Has the client write its ClientHello, the first or the second, and gives it a random of 32 zeros, which OpenSSL's
// client does not send.
void write_hello_with_zero_random(const Pair& pair) {
  step(pair.client());
  std::array<unsigned char, SSL3_RANDOM_SIZE> random{};
  SSL_get_client_random(pair.client(), random.data(), random.size());
  replace_on_wire(pair, {reinterpret_cast<const char*>(random.data()), random.size()},
                  std::string(random.size(), '\0'));
}

// The random that the server has taken over.
bool has_zero_random(const SSL* ssl) {
  std::array<unsigned char, SSL3_RANDOM_SIZE> random{};
  random.fill(1);
  SSL_get_client_random(ssl, random.data(), random.size());
  return random == std::array<unsigned char, SSL3_RANDOM_SIZE>{};
}

}  // namespace

TEST_CASE("binding stage: a ClientHello whose random is zeros is bound like any other") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool suspends : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (suspends ? ", suspended" : "")) {
        Host server{mechanism};
        server.suspensions = suspends ? 1 : 0;
        Outcome asked = Errc::openssl;
        server.on_certificate = [&](SSL* ssl) {
          PhaseContext context{Phase::certificate};
          asked = outcome_of(ClientTls{ssl, context}.request_client_certificate());
          CHECK(has_zero_random(ssl));
          return 1;
        };
        Pair pair{server, client1(), false};
        write_hello_with_zero_random(pair);
        step(pair.server());
        if (suspends) step(pair.server());
        CHECK(server.in_hello == Outcomes(suspends ? 2 : 1, bound));
        CHECK(server.in_server_name == Outcomes{too_late});
        CHECK(server.certificate_calls == 1);
        CHECK_FALSE(asked);
        CHECK(pair.chain() == "error: the handshake is not complete");
      }
    }
  }
}

TEST_CASE("binding stage: with a random of zeros, too, a HelloRetryRequest changes neither scope nor name") {
  SECTION("by hand: another scope") {
    Host server{Mechanism::stateless13};
    Pair pair{server, retrying(server.ssl_ctx()), false};
    write_hello_with_zero_random(pair);
    step(pair.server());
    server.scope = "another";
    write_hello_with_zero_random(pair);
    step(pair.server());
    CHECK(server.in_hello == Outcomes{bound, too_late});
    CHECK(server.in_server_name.front() == too_late);
  }
  SECTION("by hand: the same scope") {
    Host server{Mechanism::stateless13};
    Pair pair{server, retrying(server.ssl_ctx()), false};
    write_hello_with_zero_random(pair);
    step(pair.server());
    write_hello_with_zero_random(pair);
    step(pair.server());
    CHECK(server.in_hello == Outcomes{bound, bound});
    CHECK(server.in_server_name == Outcomes{too_late, too_late});
  }
  for (const bool renames : {false, true}) {
    DYNAMIC_SECTION("under policies: " << (renames ? "another name" : "the same name")) {
      PolicyServer server{
          Mechanism::stateless13,
          make_policies({{"open.test", make_policy()}, {"shut.test", make_policy(asking(ClientAuth::required))}})};
      Pair pair{server, retrying(server.ssl_ctx(), client1("open.test")), false};
      write_hello_with_zero_random(pair);
      step(pair.server());
      REQUIRE(server.client_hello_calls == 1);
      write_hello_with_zero_random(pair);
      if (renames) replace_on_wire(pair, "open.test", "shut.test");
      step(pair.server());
      CHECK(server.client_hello_calls == (renames ? 1 : 2));
      step(pair.client());
      using Errors = std::vector<std::string>;
      CHECK(server.errors == (renames ? Errors{"the client changed its server name in mid-handshake"} : Errors{}));
      if (renames) CHECK(pair.seen().alert == SSL_AD_ILLEGAL_PARAMETER);
    }
  }
}

namespace {

struct Answers {
  Result<void> bound, asked;
};
Answers answers_in(SSL* ssl, Phase phase) {
  PhaseContext context{phase};
  const ClientTls tls{ssl, context};
  return {tls.bind_session("mine"), tls.request_client_certificate()};
}

bool is_in_force(const Result<void>& result) {
  return !result && result.error().code == Errc::policy_in_force;
}

}  // namespace

TEST_CASE("binding stage: under a policy, hooks and the host bind nothing and ask for nothing, and the policy holds") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const ClientAuth request : {ClientAuth::none, ClientAuth::optional, ClientAuth::required}) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << to_string(request)) {
        Server server{mechanism};
        const bool asks = request != ClientAuth::none;
        int calls = 0;
        const auto try_it = [&](SSL* ssl) {
          ++calls;
          CHECK(is_in_force(answers_in(ssl, Phase::client_hello).bound));
          CHECK(is_in_force(answers_in(ssl, Phase::certificate).asked));
        };
        const auto hook = [&](Handshake& handshake) {
          try_it(handshake.ssl());
          const auto tried = handshake.phase() == Phase::client_hello ? handshake.tls().bind_session("mine")
                                                                      : handshake.tls().request_client_certificate();
          CHECK(is_in_force(tried));
          return Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(),
                        make_policies({{"a.test", make_policy(asks ? asking(request) : PolicyOptions{})}}),
                        {.client_hello = hook, .certificate = hook, .error = {}}));
        Pair pair{server, client1()};
        REQUIRE(pair.done());
        CHECK(calls == 2);
        try_it(pair.server());
        CHECK(pair.seen().certificate_requests == (asks ? 1 : 0));
        CHECK(pair.verify() == (asks ? "SUCCESS" : "NONE"));
        const auto session = pair.session();
        ClientOptions options = client1();
        options.session = session.get();
        const Pair next{server, options};
        CHECK(next.resumed());
        CHECK(next.verify() == pair.verify());
        CHECK(Pair(server, {}).done() == (request != ClientAuth::required));
        CHECK(Pair(server, client2()).done() == (request != ClientAuth::required));
      }
    }
  }
}

TEST_CASE("binding stage: a suspended hook keeps the table that was in force when its ClientHello came") {
  const PolicyPtr before = make_policy(asking(ClientAuth::required));
  const PolicyPtr after = make_policy(asking(ClientAuth::required, {&Pki::get().ca2}));
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retries : {false, true}) {
      if (retries && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retries ? ", after a HelloRetryRequest" : "")) {
        Server server{mechanism};
        const auto policies = make_policies({{"a.test", before}});
        std::vector<const ClientAuthPolicy*> seen;
        bool open = false;
        Hooks hooks;
        hooks.client_hello = [&](Handshake& handshake) {
          seen.push_back(get0_policy(handshake.ssl()));
          return std::exchange(open, !open) ? Decision::proceed : Decision::suspend;
        };
        REQUIRE(install(server.ssl_ctx(), policies, std::move(hooks)));
        const ClientOptions options = retries ? retrying(server.ssl_ctx()) : client1();
        Pair pair{server, options, false};
        step(pair.client());
        step(pair.server());
        REQUIRE(seen.size() == 1);
        policies->replace(make_table({{"a.test", after}}));
        for (int i = 0; i < 8 && !pair.run(); ++i) {
        }
        REQUIRE(pair.done());
        for (const ClientAuthPolicy* policy : seen) CHECK(policy == before.get());
        CHECK(seen.size() == (retries ? 4U : 2U));
        CHECK(pair.verify() == "SUCCESS");
        CHECK(pair.seen().ca_names == std::vector<std::string>{"/CN=CA 1"});
        // The next client sees the new one, also on the same SSL.
        seen.clear();
        open = false;
        pair.clear(options);
        for (int i = 0; i < 8 && !pair.run(); ++i) {
        }
        CHECK_FALSE(pair.done());
        for (const ClientAuthPolicy* policy : seen) CHECK(policy == after.get());
      }
    }
  }
}

// The hooks of install(), their decisions and their failures.
#include "client_tls/install.hpp"

#include <stdexcept>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace test;
using client_tls::Decision;
using client_tls::Errc;
using client_tls::Handshake;
using client_tls::HandshakeError;
using client_tls::Hooks;
using client_tls::Phase;

namespace {

// Every name has a policy that asks for nothing, or the one that is given.
client_tls::Result<void> install(SSL_CTX* ssl_ctx, Hooks hooks, const client_tls::PolicyPtr& policy = make_policy()) {
  return client_tls::install(ssl_ctx,
                             std::make_shared<client_tls::CurrentPolicies>(client_tls::PolicyTable{policy, policy}),
                             std::move(hooks));
}

}  // namespace

TEST_CASE("hooks: by default a connection is bound to its server name and asks for nothing") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      REQUIRE(install(server.ssl_ctx(), {}));
      Pair first{server, client1("a.test")};
      REQUIRE(first.done());
      CHECK(first.seen().certificate_requests == 0);
      Pair same{server, offering(client1("A.TEST"), first.session())};
      // OpenSSL itself compares a TLS 1.3 session's name to the letter; on 1.2 it is up to the scope.
      if (!is_tls13(mechanism)) CHECK(same.resumed());
      Pair other{server, offering(client1("b.test"), first.session())};
      REQUIRE(other.done());
      CHECK_FALSE(other.resumed());
      Pair none{server, offering(client1(""), first.session())};
      REQUIRE(none.done());
      CHECK_FALSE(none.resumed());
      Pair none_again{server, offering(client1(""), none.session())};
      CHECK(none_again.resumed());
    }
  }
}

TEST_CASE("hooks: both handlers know the ClientHello's name, and the facade is in their phase") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      std::vector<std::string> calls;
      Hooks hooks;
      hooks.client_hello = [&](Handshake& handshake) {
        calls.push_back("client_hello " + std::string(handshake.server_name()));
        CHECK(handshake.phase() == Phase::client_hello);
        CHECK(handshake.tls().disable_session_reuse().error().code == Errc::wrong_phase);
        return Decision::proceed;
      };
      hooks.certificate = [&](Handshake& handshake) {
        calls.push_back("certificate " + std::string(handshake.server_name()));
        CHECK(handshake.phase() == Phase::certificate);
        CHECK(handshake.tls().bind_session("x").error().code == Errc::wrong_phase);
        return Decision::proceed;
      };
      REQUIRE(install(server.ssl_ctx(), std::move(hooks), make_policy(asking())));
      Pair first{server, client1("Www.Example.TEST")};
      CHECK(first.verify() == "SUCCESS");
      CHECK(calls == std::vector<std::string>{"client_hello www.example.test", "certificate www.example.test"});
      calls.clear();
      Pair next{server, offering(client1("Www.Example.TEST"), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.chain() == first.chain());
      CHECK(calls == std::vector<std::string>{"client_hello www.example.test"});
    }
  }
}

TEST_CASE("hooks: what the policy decides is not decided otherwise by a handler") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      std::vector<std::optional<Errc>> answers;
      const auto answer = [&](const client_tls::Result<void>& result) {
        answers.push_back(result ? std::optional<Errc>() : result.error().code);
      };
      Hooks hooks;
      hooks.client_hello = [&](Handshake& handshake) {
        answer(handshake.tls().bind_session("mine"));
        return Decision::proceed;
      };
      hooks.certificate = [&](Handshake& handshake) {
        answer(handshake.tls().request_client_certificate());
        return Decision::proceed;
      };
      REQUIRE(install(server.ssl_ctx(), std::move(hooks), make_policy(asking(client_tls::ClientAuth::required))));
      CHECK_FALSE(Pair(server, {}).done());
      CHECK(answers == std::vector<std::optional<Errc>>{Errc::policy_in_force, Errc::policy_in_force});
      Pair first{server, client1("a.test")};
      CHECK(first.verify() == "SUCCESS");
      CHECK_FALSE(Pair(server, offering(client1("b.test"), first.session())).resumed());
    }
  }
}

TEST_CASE("hooks: a handler that rejects ends the handshake with the alert of its callback") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool in_client_hello : {true, false}) {
      DYNAMIC_SECTION(to_string(mechanism) << (in_client_hello ? ", client_hello" : ", certificate")) {
        Server server{mechanism};
        Hooks hooks;
        (in_client_hello ? hooks.client_hello : hooks.certificate) = [](Handshake&) { return Decision::reject; };
        hooks.error = [](const HandshakeError&) { FAIL_CHECK("a decision is no error"); };
        REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
        Pair pair{server, {}};
        CHECK_FALSE(pair.done());
        CHECK(pair.seen().alert == (in_client_hello ? SSL_AD_ACCESS_DENIED : SSL_AD_INTERNAL_ERROR));
      }
    }
  }
}

TEST_CASE("hooks: what a handler throws is a rejected handshake and a report, and goes no further") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool in_client_hello : {true, false}) {
      for (const bool standard : {true, false}) {
        DYNAMIC_SECTION(to_string(mechanism) << (in_client_hello ? ", client_hello" : ", certificate")
                                             << (standard ? ", std::exception" : ", int")) {
          Server server{mechanism};
          bool throws = true;
          std::vector<std::string> reports;
          Hooks hooks;
          (in_client_hello ? hooks.client_hello : hooks.certificate) = [&](Handshake&) -> Decision {
            if (!throws) return Decision::proceed;
            if (standard) throw std::runtime_error("no such policy");
            throw 42;
          };
          hooks.error = [&](const HandshakeError& ended) {
            CHECK(ended.ssl != nullptr);
            reports.push_back(std::string(to_string(ended.phase)) + ": " + std::string(ended.error.message));
            throw std::runtime_error("the sink fails as well");
          };
          REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
          Pair pair{server, {}};
          CHECK_FALSE(pair.done());
          CHECK(pair.seen().alert == SSL_AD_INTERNAL_ERROR);
          REQUIRE(reports.size() == 1);
          CHECK(reports[0] ==
                std::string(in_client_hello ? "client_hello: " : "certificate: ") +
                    (standard ? "no such policy" : "the handler threw something that is not a std::exception"));
          throws = false;
          Pair next{server, {}};
          CHECK(next.done());
        }
      }
    }
  }
}

TEST_CASE("hooks: a handshake is suspended and taken up again, in both phases") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retry : {false, true}) {
      if (retry && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retry ? ", after a HelloRetryRequest" : "")) {
        Server server{mechanism};
        int hello_answers = 0;
        int certificate_answers = 0;
        Hooks hooks;
        hooks.client_hello = [&](Handshake&) { return hello_answers > 0 ? Decision::proceed : Decision::suspend; };
        hooks.certificate = [&](Handshake&) {
          return certificate_answers == 0 ? Decision::suspend : Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(), std::move(hooks), make_policy(asking())));
        const ClientOptions options = retry ? retrying(server.ssl_ctx()) : client1();
        Pair first{server, options};
        CHECK_FALSE(first.done());
        CHECK(first.server_error() == SSL_ERROR_WANT_CLIENT_HELLO_CB);
        CHECK_FALSE(first.run());  // asked again, and still no answer
        hello_answers = 1;
        CHECK_FALSE(first.run());
        CHECK(first.server_error() == SSL_ERROR_WANT_X509_LOOKUP);
        CHECK_FALSE(first.run());
        certificate_answers = 1;
        REQUIRE(first.run());
        CHECK(first.verify() == "SUCCESS");
        CHECK(first.seen().certificate_requests == 1);
        hello_answers = 0;
        Pair next{server, offering(options, first.session())};
        CHECK(next.server_error() == SSL_ERROR_WANT_CLIENT_HELLO_CB);
        hello_answers = 1;
        REQUIRE(next.run());
        CHECK(next.resumed());
        CHECK(next.chain() == first.chain());
      }
    }
  }
}

TEST_CASE("hooks: install refuses an SSL_CTX that is null or has hooks already, and these stay") {
  const auto null = install(nullptr, {});
  REQUIRE_FALSE(null);
  CHECK(null.error().code == Errc::invalid_argument);
  Server server{Mechanism::ticket12};
  int calls = 0;
  Hooks hooks;
  hooks.client_hello = [&](Handshake&) { return ++calls, Decision::proceed; };
  REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
  const auto second = install(server.ssl_ctx(), {});
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::already_installed);
  Pair pair{server, {}};
  CHECK(calls == 1);  // the first hooks are still there
}

TEST_CASE("hooks: a connection that comes from an SSL_CTX without hooks, and is not bound, is refused") {
  Server first{Mechanism::stateless13};
  first.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  Server last{Mechanism::stateless13};
  std::vector<std::string> reports;
  Hooks hooks;
  hooks.error = [&](const HandshakeError& ended) { reports.emplace_back(ended.error.message); };
  REQUIRE(install(last.ssl_ctx(), std::move(hooks)));
  SSL_CTX_set_tlsext_servername_arg(first.ssl_ctx(), last.ssl_ctx());
  bool asks_before = false;
  SECTION("nothing was done") {}
  SECTION("it was asked by hand") {
    asks_before = true;
  }
  static bool asks;
  asks = asks_before;
  SSL_CTX_set_tlsext_servername_callback(
      first.ssl_ctx(), +[](SSL* ssl, int*, void* ssl_ctx) {
        if (asks) ask(ssl);
        SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
        return SSL_TLSEXT_ERR_OK;
      });
  CHECK_FALSE(Pair(first, client1()).done());
  CHECK(reports == std::vector<std::string>{"the connection's ClientHello did not pass an SSL_CTX with policies"});
}

TEST_CASE("hooks: what install sets is freed with the SSL_CTX") {
  const auto token = std::make_shared<int>(0);
  {
    Server server{Mechanism::ticket12};
    Hooks hooks;
    hooks.certificate = [token](Handshake&) { return Decision::proceed; };
    REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
    CHECK(token.use_count() == 2);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("hooks: a server name that cannot be used is a clear alert") {
  // The client's own server_name extension, sent in place of OpenSSL's.
  struct Raw {
    const char* name;
    std::string bytes;
    int alert;
  };
  const auto entry = [](const std::string& name, char type = 0) {
    const auto u16 = [](std::size_t n) { return std::string{static_cast<char>(n >> 8U), static_cast<char>(n)}; };
    const std::string one = type + u16(name.size()) + name;
    return u16(one.size()) + one;
  };
  const std::array cases{
      Raw{"empty extension", "", SSL_AD_DECODE_ERROR},
      Raw{"empty list", std::string(2, '\0'), SSL_AD_DECODE_ERROR},
      Raw{"empty name", entry(""), SSL_AD_DECODE_ERROR},
      Raw{"cut off", entry("a.test").substr(0, 6), SSL_AD_DECODE_ERROR},
      Raw{"a byte too many", entry("a.test") + "x", SSL_AD_DECODE_ERROR},
      Raw{"another type", entry("a.test", 1), SSL_AD_DECODE_ERROR},
      Raw{"a list that is longer than it says", '\0' + (std::string("\x08") + entry("a.test").substr(2)),
          SSL_AD_DECODE_ERROR},
      Raw{"two names",
          [] {
            const std::string two{
                "\0\x12\0\0\x06"
                "a.test"
                "\0\0\x06"
                "b.test",
                20};
            return two;
          }(),
          SSL_AD_DECODE_ERROR},
      Raw{"256 bytes", entry(std::string(256, 'a')), SSL_AD_UNRECOGNIZED_NAME},
      Raw{"a NUL", entry(std::string("a\0.test", 7)), SSL_AD_UNRECOGNIZED_NAME},
  };
  for (const Raw& raw : cases) {
    DYNAMIC_SECTION(raw.name) {
      Server server{Mechanism::stateless13};
      std::vector<std::string> reports;
      Hooks hooks;
      hooks.client_hello = [](Handshake&) {
        FAIL_CHECK("called");
        return Decision::proceed;
      };
      hooks.error = [&](const HandshakeError& ended) { reports.emplace_back(ended.error.message); };
      REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
      ClientOptions options{.server_name = ""};
      // An extension of a number nobody uses carries the bytes, and the number is then changed on the way.
      options.adjust_ctx = [&](SSL_CTX* ctx) {
        SSL_CTX_add_custom_ext(
            ctx, 0xFEED, SSL_EXT_CLIENT_HELLO,
            [](SSL*, unsigned, unsigned, const unsigned char** out, std::size_t* size, X509*, std::size_t, int*,
               void* argument) {
              const auto& bytes = *static_cast<const std::string*>(argument);
              *out = reinterpret_cast<const unsigned char*>(bytes.data());
              *size = bytes.size();
              return 1;
            },
            nullptr, const_cast<std::string*>(&raw.bytes), nullptr, nullptr);
      };
      Pair pair{server.ssl_ctx(), options, false};
      // The size stands behind the number: two bytes alone can stand in a random, too.
      const std::string size{static_cast<char>(raw.bytes.size() >> 8U), static_cast<char>(raw.bytes.size())};
      pair.rewrite_client_hello("\xFE\xED" + size, std::string(2, '\0') + size);
      CHECK_FALSE(pair.run());
      CHECK(pair.seen().alert == raw.alert);
      CHECK(reports.size() == 1);
    }
  }
}

TEST_CASE("hooks: a ClientHello that names version 0 is a ClientHello, which OpenSSL refuses") {
  Server server{Mechanism::stateless13};
  int calls = 0;
  Hooks hooks;
  hooks.client_hello = [&](Handshake& handshake) {
    return ++calls, handshake.server_name() == "a.test" ? Decision::proceed : Decision::reject;
  };
  hooks.error = [](const HandshakeError& ended) { FAIL_CHECK(ended.error.message); };
  REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
  Pair pair{server.ssl_ctx(), {}, false};
  pair.rewrite_client_hello("\x03\x03", {"\0\0", 2}, Pair::client_hello_at);  // the legacy_version
  CHECK_FALSE(pair.run());
  CHECK(calls == 1);
}

TEST_CASE("hooks: 255 bytes are a name") {
  Server server{Mechanism::stateless13};
  std::string seen;
  Hooks hooks;
  hooks.client_hello = [&](Handshake& handshake) { return seen = handshake.server_name(), Decision::proceed; };
  REQUIRE(install(server.ssl_ctx(), std::move(hooks)));
  const std::string name(255, 'N');
  Pair pair{server, {.server_name = name}};
  CHECK(pair.done());
  CHECK(seen == std::string(255, 'n'));
}

// Hooks::handshake_done: one report for each handshake, which says what it has come to.
#include <stdexcept>

#include "support/reports.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;
using Status = Verdict::Status;

// A leaf below an intermediate that is large.
struct LargeChain {
  Certificate intermediate = issue({.common_name = "large", .usage = Usage::ca, .extra_bytes = 2500}, &Pki::get().ca1);
  Certificate leaf = issue({}, &intermediate);

  [[nodiscard]] ClientOptions options() const {
    return {.chain = {leaf.get(), intermediate.get()}, .key = leaf.key.get()};
  }
  [[nodiscard]] std::size_t carried_size() const {
    return static_cast<std::size_t>(i2d_X509(intermediate.get(), nullptr)) + 3;
  }
};

std::string with_comma(std::size_t number) {
  std::string text = std::to_string(number);
  if (text.size() > 3) text.insert(text.size() - 3, 1, ',');
  return text;
}

}  // namespace

TEST_CASE("report: of a handshake that completes there is one, full or resumed, and it says what the verdict says") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Reports reports;
      const PolicyPtr policy = make_policy(asking(required));
      Server server{mechanism};
      install_on(server.ssl_ctx(), policy, telling(reports));
      SslSessionPtr session;
      {
        Pair first{server, client1("A.test")};
        REQUIRE(first.done());
        CHECK(first.echo());
        session = first.session();
        check_same_connection(reports.only().verdict, verdict_of(first));
      }
      const Told full = reports.only();
      CHECK(full.has_ssl);
      CHECK(full.server_name == "a.test");
      CHECK(full.policy == policy.get());
      CHECK(full.completed);
      CHECK(full.verdict.success());
      CHECK_FALSE(full.verdict.resumed());
      CHECK(full.shown == pem_of_chain(client1()));
      CHECK(full.not_resumable.empty());
      reports.all.clear();
      {
        const Pair next{server, offering(client1("A.test"), session)};
        REQUIRE(next.resumed());
        check_same_connection(reports.only().verdict, verdict_of(next));
      }
      const Told& resumed = reports.only();
      CHECK(resumed.completed);
      CHECK(resumed.verdict.success());
      CHECK(resumed.verdict.resumed());
      CHECK(resumed.shown == pem_of({Pki::get().client1.get()}));  // the leaf alone
      CHECK(resumed.not_resumable.empty());
    }
  }
}

TEST_CASE("report: what completes without success is told as what it is") {
  struct Row {
    const char* name;
    PolicyOptions policy;
    ClientOptions client;
    Status status;
  };
  const Row rows[] = {
      {"not asked", {}, client1(), Status::not_asked},
      {"none", asking(optional), {}, Status::none},
      {"unknown CA", asking(optional), client2(), Status::failed},
      {"expired", asking(optional), expired_client(), Status::failed},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Reports reports;
        Server server{mechanism};
        PolicyOptions options;
        if (row.policy.request != ClientAuth::none) options = asking(row.policy.request);
        install_on(server.ssl_ctx(), make_policy(std::move(options)), telling(reports));
        const Pair pair{server, row.client};
        REQUIRE(pair.done());
        CHECK(reports.only().completed);
        CHECK(reports.only().verdict.status() == row.status);
        check_same_connection(reports.only().verdict, verdict_of(pair));
        CHECK(reports.only().shown == (row.status == Status::failed ? pem_of_chain(row.client) : ""));
      }
    }
  }
}

TEST_CASE("report: of a client that the handshake refuses it has what the client sent, and why") {
  const Pki& pki = Pki::get();
  struct Row {
    const char* name;
    ClientOptions client;
    std::vector<int> codes;
  };
  const std::vector<int> unknown{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY};
  const Row rows[] = {
      {"unknown CA", client2(), unknown},
      {"unknown CA, the leaf alone", {.chain = {pki.client2.get()}, .key = pki.client2.key.get()}, unknown},
      {"expired", expired_client(), {X509_V_ERR_CERT_HAS_EXPIRED}},
      {"none given", {}, {}},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Reports reports;
        const PolicyPtr policy = make_policy(asking(required));
        Server server{mechanism};
        install_on(server.ssl_ctx(), policy, telling(reports));
        {
          const Pair pair{server, row.client};
          CHECK_FALSE(pair.done());
          CHECK(reports.only().has_ssl);
        }
        check_failed(reports.only(), row.codes);
        CHECK(reports.only().policy == policy.get());
        CHECK(reports.only().server_name == "a.test");
        CHECK(reports.only().shown == pem_of_chain(row.client));
      }
    }
  }
}

TEST_CASE("report: of a chain over the limits it has the certificates, where they were decoded") {
  struct Row {
    const char* name;
    Limits limits;
    std::vector<int> codes;
    bool shown;
  };
  const Row rows[] = {
      {"certificates", {.max_chain_certificates = 1}, {X509_V_ERR_CERT_CHAIN_TOO_LONG}, true},
      {"bytes", {.max_chain_bytes = 100}, {}, false},
  };
  for (const Row& row : rows) {
    for (const ClientAuth request : {optional, required}) {
      for (const Mechanism mechanism : both_versions) {
        DYNAMIC_SECTION(row.name << (request == required ? ", required, " : ", ") << to_string(mechanism)) {
          Reports reports;
          PolicyOptions options = asking(request);
          options.limits = row.limits;
          Server server{mechanism};
          install_on(server.ssl_ctx(), make_policy(std::move(options)), telling(reports));
          CHECK_FALSE(Pair(server, client1()).done());
          CHECK(reports.only().has_ssl);
          check_failed(reports.only(), row.codes);
          CHECK(reports.only().shown == (row.shown ? pem_of_chain(client1()) : ""));
        }
      }
    }
  }
}

TEST_CASE("report: there is one of a name that has no policy, and of one that cannot be used") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Reports reports;
      Server server{mechanism};
      REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy()}}), telling(reports)));
      SECTION("no policy") {
        CHECK_FALSE(Pair(server, client1("Other.test")).done());
        CHECK(reports.only().server_name == "other.test");
      }
      SECTION("no name") {
        CHECK_FALSE(Pair(server, client1("")).done());
        CHECK(reports.only().server_name.empty());
      }
      SECTION("no host name") {
        CHECK_FALSE(Pair(server, client1("a.test..")).done());
        CHECK(reports.only().server_name.empty());
      }
      check_failed(reports.only(), {});
      CHECK(reports.only().policy == nullptr);
      CHECK(reports.only().has_ssl);
      CHECK(reports.only().shown.empty());
    }
  }
}

TEST_CASE("report: there is one of a handshake that a hook rejects, or in which it throws") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool in_client_hello : {true, false}) {
      for (const bool throws : {false, true}) {
        DYNAMIC_SECTION(to_string(mechanism) << (in_client_hello ? ", client_hello" : ", certificate")
                                             << (throws ? ", throws" : ", rejects")) {
          Reports reports;
          Hooks hooks = telling(reports);
          (in_client_hello ? hooks.client_hello : hooks.certificate) = [throws](Handshake&) {
            if (throws) throw std::runtime_error("no answer");
            return Decision::reject;
          };
          const PolicyPtr policy = make_policy(asking());
          Server server{mechanism};
          install_on(server.ssl_ctx(), policy, std::move(hooks));
          CHECK_FALSE(Pair(server, client1()).done());
          check_failed(reports.only(), {});
          CHECK(reports.only().has_ssl);
          CHECK(reports.only().policy == policy.get());
        }
      }
    }
  }
}

TEST_CASE("report: there is one of a client that does not like the server's certificate, and ends it") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Reports reports;
      Server server{mechanism};
      install_on(server.ssl_ctx(), make_policy(asking()), telling(reports));
      ClientOptions options = client1();
      options.adjust = [](SSL* ssl) { SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr); };
      {
        const Pair pair{server, options};
        CHECK_FALSE(pair.done());
        CHECK(reports.only().has_ssl);
      }
      check_failed(reports.only(), {});
      CHECK(reports.only().shown.empty());
    }
  }
}

TEST_CASE("report: what the hook throws is dropped") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      int calls = 0;
      Hooks hooks;
      hooks.handshake_done = [&](const HandshakeReport&) {
        if (++calls % 2 == 0) throw 42;
        throw std::runtime_error("the sink fails");
      };
      hooks.error = [](const HandshakeError& ended) { FAIL_CHECK(ended.error.message); };
      Server server{mechanism};
      install_on(server.ssl_ctx(), make_policy(asking(required)), std::move(hooks));
      for (int i = 0; i < 2; ++i) {
        Pair good{server, client1()};
        CHECK(good.verify() == "SUCCESS");
        CHECK(good.echo());
        CHECK_FALSE(Pair(server, {}).done());
        const Pair abandoned{server, {}, false};
        do_handshake(abandoned.client());
        do_handshake(abandoned.server());
      }
      CHECK(calls == 6);
    }
  }
}

TEST_CASE("report: it says why a session cannot be resumed") {
  static const LargeChain large;
  struct Row {
    const char* name;
    void (*change)(PolicyOptions&);
    ClientOptions client;
    std::string text;
    bool disable = false;
  };
  const std::string size = with_comma(large.carried_size());
  const auto nothing = [](PolicyOptions&) {};
  const auto by_host = [](PolicyOptions& o) {
    o.request = required;
    o.refusal = Refusal::host;
  };
  const Row rows[] = {
      {"it can", nothing, client1(), ""},
      {"it can: no certificate", nothing, {}, ""},
      {"it can: not verified", nothing, client2(), ""},
      {"reuse disabled by a hook", nothing, client1(), "reuse disabled", true},
      {"reuse disabled by the policy", [](auto& o) { o.resumption = false; }, client1(), "reuse disabled"},
      {"too large", nothing, large.options(), "chain too large to carry: " + size + " of 2,048 bytes"},
      {"too large for a small budget", [](auto& o) { o.limits.max_carried_bytes = 999; }, large.options(),
       "chain too large to carry: " + size + " of 999 bytes"},
      {"too large for none", [](auto& o) { o.limits.max_carried_bytes = 0; }, client1(),
       "chain too large to carry: " +
           with_comma(static_cast<std::size_t>(i2d_X509(Pki::get().intermediate1.get(), nullptr)) + 3) + " of 0 bytes"},
      {"no certificate", [](auto& o) { o.resume_without_certificate = false; }, {}, "no certificate"},
      {"no certificate, required", by_host, {}, "no certificate"},
      {"did not verify, required", by_host, client2(), "the certificate did not verify"},
      {"ended", nothing, expired_client(), "the authentication has ended"},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Reports reports;
        Hooks hooks = telling(reports);
        hooks.certificate = [&row](Handshake& handshake) {
          if (row.disable) CHECK(handshake.tls().disable_session_reuse());
          return Decision::proceed;
        };
        PolicyOptions options = asking(optional);
        row.change(options);
        Server server{mechanism};
        install_on(server.ssl_ctx(), make_policy(std::move(options)), std::move(hooks));
        Pair first{server, row.client};
        REQUIRE(first.done());
        CHECK(reports.only().not_resumable == row.text);
        check_same_connection(reports.only().verdict, verdict_of(first));
        // It is what happens.
        const auto session = first.session();
        CHECK(Pair(server, offering(row.client, session)).resumed() == row.text.empty());
      }
    }
  }
}

TEST_CASE("report: without the hook everything is as with it, and nobody is told") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      install_on(server.ssl_ctx(), make_policy(asking(required)), {});
      CHECK(Pair(server, client1()).verify() == "SUCCESS");
      CHECK_FALSE(Pair(server, client2()).done());
      CHECK_FALSE(Pair(server, {}).done());
      Pair pair{server, client1(), false};
      do_handshake(pair.client());
      do_handshake(pair.server());
      pair.clear(client1());
      CHECK(pair.verify() == "SUCCESS");
    }
  }
}

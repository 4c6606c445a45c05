// Hooks::handshake_done: one report for each handshake, which says what it has come to.
#include <openssl/err.h>

#include <stdexcept>

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;
using Status = Verdict::Status;

constexpr std::array both_versions{Mechanism::ticket12, Mechanism::stateless13};
constexpr const char* not_completed = "the handshake was not completed";

// What a report said, of which nothing lives on.
struct Told {
  bool has_ssl;
  std::string server_name;
  const ClientAuthPolicy* policy;
  bool completed;
  Verdict verdict;
  std::string shown;  // PEM
  std::string not_resumable;
};

struct Reports {
  std::vector<Told> all;

  void add(const HandshakeReport& report) {
    all.push_back({.has_ssl = report.ssl != nullptr,
                   .server_name = std::string(report.server_name),
                   .policy = report.policy,
                   .completed = report.completed,
                   .verdict = report.verdict,
                   .shown = pem_of({report.shown.begin(), report.shown.end()}),
                   .not_resumable = std::string(report.not_resumable)});
  }
  // The one report that there is.
  [[nodiscard]] const Told& only() const {
    REQUIRE(all.size() == 1);
    return all.front();
  }
};

Hooks telling(Reports& reports) {
  Hooks hooks;
  hooks.handshake_done = [&reports](const HandshakeReport& report) { reports.add(report); };
  return hooks;
}

void install_on(SSL_CTX* ssl_ctx, const PolicyPtr& policy, Hooks hooks) {
  REQUIRE(install(ssl_ctx, std::make_shared<CurrentPolicies>(PolicyTable{policy, policy}), std::move(hooks)));
}

std::vector<int> codes_of(const Verdict& verdict) {
  std::vector<int> codes;
  for (const Reason& reason : verdict.reasons()) codes.push_back(reason.code);
  return codes;
}

Verdict verdict_of(const Pair& pair) {
  PhaseContext context{Phase::access};
  const auto verdict = ClientTls{pair.server(), context}.verdict();
  REQUIRE(verdict);
  return *verdict;
}

void check_same(const Verdict& told, const Verdict& asked) {
  CHECK(told.status() == asked.status());
  CHECK(codes_of(told) == codes_of(asked));
  CHECK(told.warnings().size() == asked.warnings().size());
  CHECK(told.resumed() == asked.resumed());
  CHECK(told.authenticated_at() == asked.authenticated_at());
  CHECK(told.ends_at() == asked.ends_at());
}

// What is the same of all that failed.
void check_failed(const Told& told, std::vector<int> codes) {
  codes.push_back(Reason::handshake_not_completed);
  CHECK_FALSE(told.completed);
  CHECK(told.verdict.status() == Status::failed);
  CHECK(codes_of(told.verdict) == codes);
  CHECK_FALSE(told.verdict.resumed());
  CHECK(told.not_resumable == not_completed);
}

std::string pem_of_chain(const ClientOptions& options) {
  return pem_of(options.chain);
}

ClientOptions offering(ClientOptions options, const SslSessionPtr& session) {
  options.session = session.get();
  return options;
}

ClientOptions retrying(SSL_CTX* ssl_ctx, ClientOptions options = client1()) {
  SSL_CTX_set1_groups_list(ssl_ctx, "P-384");
  options.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "P-256:P-384"); };
  return options;
}

ClientOptions expired_client() {
  static const Certificate leaf = issue({.ends_in = -10}, &Pki::get().intermediate1);
  return {.chain = {leaf.get(), Pki::get().intermediate1.get()}, .key = leaf.key.get()};
}

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

void step(SSL* ssl) {
  SSL_do_handshake(ssl);
  ERR_clear_error();
}

// Both sides up to the client's last flight, which the server has not read.
void run_to_last_flight(const Pair& pair) {
  step(pair.client());
  step(pair.server());
  step(pair.client());
}

// Changes the last byte that the client has written and the server has not read.
void tamper(const Pair& pair) {
  BIO* wire = SSL_get_rbio(pair.server());
  std::string flight(static_cast<std::size_t>(BIO_ctrl_pending(wire)), '\0');
  REQUIRE(BIO_read(wire, flight.data(), static_cast<int>(flight.size())) == static_cast<int>(flight.size()));
  flight.back() = static_cast<char>(flight.back() ^ 1);
  REQUIRE(BIO_write(SSL_get_wbio(pair.client()), flight.data(), static_cast<int>(flight.size())) > 0);
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
        check_same(reports.only().verdict, verdict_of(first));
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
        check_same(reports.only().verdict, verdict_of(next));
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
        check_same(reports.only().verdict, verdict_of(pair));
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

TEST_CASE("report: of a chain over the limits, shown where it was decoded") {
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

TEST_CASE("report: of a name that has no policy, and of one that cannot be used") {
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

TEST_CASE("report: of a handshake that a hook rejects, or in which it throws") {
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

TEST_CASE("report: one in total, however often a hook suspends, and after a HelloRetryRequest") {
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
        check_same(reports.only().verdict, verdict_of(pair));
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
  step(pair.client());
  step(pair.server());
  pair.rewrite_client_hello("a.test", "b.test");
  CHECK_FALSE(pair.run());
  check_failed(reports.only(), {});
  CHECK(reports.only().has_ssl);
  CHECK(reports.only().server_name == "a.test");
  CHECK(reports.only().policy == policy.get());
}

TEST_CASE("report: the client ends it, because it does not like the server's certificate") {
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

TEST_CASE("report: of a flight that was changed on the way, and of a wrong Finished") {
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
          step(pair.client());
          step(pair.server());
          if (!after_client_hello) step(pair.client());
          CHECK(reports.all.empty());
        }
        SECTION("the transport breaks") {
          const Pair pair{server, client1(), false};
          step(pair.client());
          step(pair.server());
          if (!after_client_hello) step(pair.client());
          if (!after_client_hello) BIO_reset(SSL_get_wbio(pair.client()));
          BIO_shutdown_wr(SSL_get_wbio(pair.client()));
          step(pair.server());
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

TEST_CASE("report: one that is abandoned for another on the same SSL is told of before it") {
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
          step(pair.client());
          step(pair.server());
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

TEST_CASE("report: none before there is a ClientHello") {
  Reports reports;
  Server server{Mechanism::stateless13};
  install_on(server.ssl_ctx(), make_policy(), telling(reports));
  {
    const Pair unused{server, {}, false};
    step(unused.server());
    const Pair garbled{server, {}, false};
    BIO_write(SSL_get_wbio(garbled.client()), "GET / HTTP/1.1\r\n\r\n", 18);
    step(garbled.server());
  }
  CHECK(reports.all.empty());
}

TEST_CASE("report: none of post-handshake authentication") {
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
    step(pair.server());
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
          check_same(of_first.only().verdict, verdict_of(pair));
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
        step(abandoned.client());
        step(abandoned.server());
      }
      CHECK(calls == 6);
    }
  }
}

TEST_CASE("report: why a session cannot be resumed") {
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
        check_same(reports.only().verdict, verdict_of(first));
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
      step(pair.client());
      step(pair.server());
      pair.clear(client1());
      CHECK(pair.verify() == "SUCCESS");
    }
  }
}

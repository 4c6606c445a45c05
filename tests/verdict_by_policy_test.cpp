// The verdict by another policy than the connection's own: a route's, or a newer one of the same name.
#include <functional>

#include "support/checks.hpp"

using namespace client_tls;
using namespace test;

using Status = Verdict::Status;
using std::chrono::seconds;

namespace {

// A connection in which a client has proved itself, and one that has resumed its session.
struct Both {
  Both(Server& server, const std::vector<Certificate>& chain) : first(server, showing(chain)) {
    static const std::vector<Certificate> nothing;
    const auto session = first.session();
    if (session) next = std::make_unique<Pair>(server, showing(nothing, session.get()));
    if (next && !next->resumed()) next.reset();
  }

  [[nodiscard]] std::vector<const Pair*> all() const {
    std::vector<const Pair*> pairs{&first};
    if (next) pairs.push_back(next.get());
    return pairs;
  }

  Pair first;
  std::unique_ptr<Pair> next;
};

Verdict answer(const Pair& pair, const PolicyPtr& policy) {
  const auto verdict = verdict_by(pair, *policy);
  if (!verdict) throw std::runtime_error(std::string(verdict.error().message));
  return *verdict;
}

const std::vector<Certificate>& second_chain() {
  static const auto chain = chain_of(Pki::get().client2, Pki::get().intermediate2);
  return chain;
}

struct Change {
  const char* name;
  std::function<void(PolicyOptions&)> change;
  Reasons reasons;
  std::vector<int> warnings = {};
};

PolicyPtr changed(const Change& change, ClientAuth request = ClientAuth::optional) {
  PolicyOptions options = asking(request);
  change.change(options);
  return make_policy(std::move(options));
}

void add_list(PolicyOptions& options, X509CrlPtr list) {
  options.crls.push_back(issue_crl(Pki::get().ca1));
  options.crls.push_back(std::move(list));
}

std::vector<Change> changes() {
  const Pki& pki = Pki::get();
  std::vector<Change> all;
  all.push_back({"nothing", [](auto&) {}, {}});
  all.push_back({"required", [](auto& o) { o.request = ClientAuth::required; }, {}});
  all.push_back({"another CA", [](auto& o) { o.anchors = share({&Pki::get().ca2}); }, {{20, 1}}});
  all.push_back({"one CA more", [](auto& o) { o.anchors = share({&Pki::get().ca2, &Pki::get().ca1}); }, {}});
  all.push_back({"depth 1", [](auto& o) { o.depth = 1; }, {}});
  all.push_back({"depth 0", [](auto& o) { o.depth = 0; }, {{X509_V_ERR_CERT_CHAIN_TOO_LONG, 1}, {20, 1}}});
  all.push_back({"a good list", [&](auto& o) { add_list(o, issue_crl(pki.intermediate1)); }, {}});
  all.push_back({"revoked",
                 [&](auto& o) { add_list(o, issue_crl(pki.intermediate1, {&pki.client1})); },
                 {{X509_V_ERR_CERT_REVOKED, 0}}});
  all.push_back({"no list of one issuer",
                 [](auto& o) { o.crls.push_back(issue_crl(Pki::get().ca1)); },
                 {{X509_V_ERR_UNABLE_TO_GET_CRL, 0}}});
  all.push_back({"max_age of 20 s", [](auto& o) { o.max_age = seconds{20}; }, {{Reason::authentication_ended, 0}}});
  all.push_back({"max_age of 21 s", [](auto& o) { o.max_age = seconds{21}; }, {}});
  all.push_back(
      {"one certificate", [](auto& o) { o.limits.max_chain_certificates = 1; }, {{Reason::chain_too_long, 0}}});
  all.push_back({"two certificates", [](auto& o) { o.limits.max_chain_certificates = 2; }, {}});
  return all;
}

}  // namespace

TEST_CASE("verdict by policy: another policy's security level decides") {
  const Certificate strong = issue({.common_name = "strong", .usage = Usage::ca, .key = Key::ec_p384});
  const Certificate below = issue({.common_name = "below", .usage = Usage::ca}, &strong);
  const Certificate leaf = issue({}, &below);
  const auto policy_of = [&](int security_level) {
    PolicyOptions options = asking(ClientAuth::optional, {&strong});
    options.security_level = security_level;
    return options;
  };
  for_each_way("security level", [&](Mechanism mechanism, Way way) {
    const auto server = make_server(mechanism, way, policy_of(2));
    const Pair pair{*server, showing(chain_of(leaf, below))};
    CHECK(verdict_of(pair).success());
    // In which order OpenSSL looks at the strength of keys is its own affair.
    CHECK_FALSE(answer(pair, make_policy(policy_of(4))).success());
  });
}

TEST_CASE("verdict by policy: another policy's own rules decide, on a resumed connection as on the first") {
  for (const Change& change : changes()) {
    const PolicyPtr policy = changed(change);
    for_each_way(change.name, [&](Mechanism mechanism, Way way) {
      const auto server = make_server(mechanism, way, asking());
      const Both both{*server, first_chain()};
      REQUIRE(both.next);
      advance_time(20);
      for (const Pair* pair : both.all()) {
        const Verdict own = verdict_of(*pair);
        REQUIRE(own.success());
        for (int again = 0; again < 2; ++again) {
          const Verdict verdict = answer(*pair, policy);
          CHECK(reasons_of(verdict) == change.reasons);
          CHECK(verdict.success() == change.reasons.empty());
          CHECK(verdict.authenticated_at() == own.authenticated_at());
          CHECK(verdict.resumed() == own.resumed());
        }
        check_same_connection(verdict_of(*pair), own);
      }
    });
  }
}

namespace {

// What a client shows beside its chain, and which its verification does not need.
std::vector<Certificate> beside(long ends_in) {
  auto chain = chain_of(Pki::get().client1, Pki::get().intermediate1);
  chain.push_back(issue({.common_name = "beside", .usage = Usage::ca, .ends_in = ends_in}));
  return chain;
}

PolicyOptions tolerant() {
  PolicyOptions options = asking();
  options.expired_tolerance = seconds{3600};
  options.purpose = Purpose::client_or_server;
  options.max_age = seconds{1000};
  return options;
}

}  // namespace

TEST_CASE("verdict by policy: the connection's own policy gives the same answer") {
  const Pki& pki = Pki::get();
  struct Row {
    const char* name;
    std::vector<Certificate> chain;
  };
  std::vector<Row> rows;
  rows.push_back({"success", chain_of(pki.client1, pki.intermediate1)});
  rows.push_back({"untrusted", chain_of(pki.client2, pki.intermediate2)});
  rows.push_back({"the leaf alone", chain_of(pki.client1)});
  rows.push_back({"expired, tolerated", chain_of(issue({.ends_in = -10}, &pki.intermediate1), pki.intermediate1)});
  rows.push_back({"expired", chain_of(issue({.ends_in = -4000}, &pki.intermediate1), pki.intermediate1)});
  rows.push_back({"for servers", chain_of(issue({.usage = Usage::server}, &pki.intermediate1), pki.intermediate1)});
  rows.push_back({"ends soon", chain_of(issue({.ends_in = 60}, &pki.intermediate1), pki.intermediate1)});
  rows.push_back({"with another that ends sooner", beside(100)});
  rows.push_back({"with another that has ended", beside(-10)});
  rows.push_back({"none", {}});
  for (const Row& row : rows) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        const ClockRestorer clock;
        const PolicyPtr policy = make_policy(tolerant());
        const PolicyServer server{mechanism, make_policies({{"a.test", policy}})};
        const Both both{const_cast<PolicyServer&>(server), row.chain};
        for (const Pair* pair : both.all()) {
          check_same_connection(answer(*pair, policy), verdict_of(*pair));
          check_same_connection(answer(*pair, make_policy(tolerant())), verdict_of(*pair));
        }
        advance_time(20);
        for (const Pair* pair : both.all()) check_same_connection(answer(*pair, policy), verdict_of(*pair));
        advance_time(980);
        for (const Pair* pair : both.all()) CHECK_FALSE(answer(*pair, policy).success());
      }
    }
  }
}

TEST_CASE("verdict by policy: a laxer one can call success whom the connection's own did not") {
  const Pki& pki = Pki::get();
  struct Row {
    const char* name;
    std::vector<Certificate> chain;
    std::function<void(PolicyOptions&)> own, other;
    std::vector<int> warnings;
  };
  std::vector<Row> rows;
  rows.push_back({"a CA that it lacked",
                  chain_of(pki.client2, pki.intermediate2),
                  [](auto&) {},
                  [](auto& o) { o.anchors = share({&Pki::get().ca2}); },
                  {}});
  rows.push_back({"the purpose",
                  chain_of(issue({.usage = Usage::server}, &pki.intermediate1), pki.intermediate1),
                  [](auto&) {},
                  [](auto& o) { o.purpose = Purpose::client_or_server; },
                  {X509_V_ERR_INVALID_PURPOSE}});
  rows.push_back({"the tolerance",
                  chain_of(issue({.ends_in = -10}, &pki.intermediate1), pki.intermediate1),
                  [](auto&) {},
                  [](auto& o) { o.expired_tolerance = seconds{100}; },
                  {X509_V_ERR_CERT_HAS_EXPIRED}});
  rows.push_back(
      {"the depth", chain_of(pki.client1, pki.intermediate1), [](auto& o) { o.depth = 0; }, [](auto&) {}, {}});
  rows.push_back({"the revocation",
                  chain_of(pki.client1, pki.intermediate1),
                  [](auto& o) { add_list(o, issue_crl(Pki::get().intermediate1, {&Pki::get().client1})); },
                  [](auto&) {},
                  {}});
  static const Certificate strong = issue({.common_name = "strong", .usage = Usage::ca, .key = Key::ec_p384});
  static const Certificate below = issue({.common_name = "below", .usage = Usage::ca}, &strong);
  rows.push_back({"the security level",
                  chain_of(issue({}, &below), below),
                  [](auto& o) {
                    o.anchors = share({&strong});
                    o.security_level = 4;
                  },
                  [](auto& o) { o.anchors = share({&strong}); },
                  {}});
  for (const Row& row : rows) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        PolicyOptions own = asking();
        row.own(own);
        PolicyOptions other = asking();
        row.other(other);
        const PolicyPtr policy = make_policy(std::move(other));
        const auto server = make_server(mechanism, Way::by_policy, std::move(own));
        const Both both{*server, row.chain};
        for (const Pair* pair : both.all()) {
          CHECK(verdict_of(*pair).status() == Status::failed);
          CHECK(answer(*pair, policy).success());
          CHECK(warnings_of(answer(*pair, policy)) == row.warnings);
          CHECK(verdict_of(*pair).status() == Status::failed);
        }
      }
    }
  }
}

TEST_CASE("verdict by policy: a maximum age counts from the proof, and one that has ended can go on by another's") {
  for_each_way("age", [](Mechanism mechanism, Way way) {
    PolicyOptions own = asking();
    own.max_age = seconds{100};
    const auto server = make_server(mechanism, way, std::move(own));
    if (way == Way::by_hand) {
      server->on_client_hello = [](SSL* ssl) { return bind_to(ssl, "a", {.limits = {}, .max_age = seconds{100}}); };
    }
    const Pair first{*server, showing(first_chain())};
    advance_time(50);
    const auto session = first.session();
    const Pair next{*server, showing(second_chain(), session.get())};
    REQUIRE(next.resumed());
    const auto aged = [](long age) {
      PolicyOptions options = asking();
      options.max_age = seconds{age};
      return make_policy(std::move(options));
    };
    const PolicyPtr shorter = aged(60);
    const PolicyPtr longer = aged(200);
    for (const Pair* pair : {&first, &next}) {
      const ClockRestorer back;
      CHECK(answer(*pair, shorter).ends_at() == seconds_from_now(10));
      CHECK(answer(*pair, shorter).success());
      advance_time(10);
      CHECK(verdict_of(*pair).success());
      CHECK(reasons_of(answer(*pair, shorter)) == Reasons{{Reason::authentication_ended, 0}});
      advance_time(40);
      CHECK(reasons_of(verdict_of(*pair)) == Reasons{{Reason::authentication_ended, 0}});
      CHECK(answer(*pair, longer).success());
      advance_time(100);
      CHECK(reasons_of(answer(*pair, longer)) == Reasons{{Reason::authentication_ended, 0}});
      advance_time(-200 - 3600);
      CHECK_FALSE(answer(*pair, longer).success());  // the clock has been set back
    }
  });
}

TEST_CASE("verdict by policy: what is remembered of a policy ends with the certificate and with its lists") {
  for_each_way("end", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 60}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking());
    const Both both{*server, chain};
    REQUIRE(both.next);
    const PolicyPtr plain = make_policy(asking());
    PolicyOptions options = asking();
    add_list(options, issue_crl(Pki::get().intermediate1, {}, 0, 30));
    const PolicyPtr listed = make_policy(std::move(options));
    const auto check = [&](bool by_plain, bool by_list) {
      for (const Pair* pair : both.all()) {
        CHECK(answer(*pair, plain).success() == by_plain);
        CHECK(answer(*pair, listed).success() == by_list);
      }
    };
    check(true, true);
    advance_time(29);
    check(true, true);
    advance_time(1);
    check(true, false);
    advance_time(29);
    check(true, false);
    advance_time(1);
    check(false, false);
  });
}

TEST_CASE("verdict by policy: more policies than are remembered all get their own answer") {
  std::vector<PolicyPtr> policies;
  for (long i = 0; i < 20; ++i) {
    PolicyOptions options = asking(ClientAuth::optional, {i % 2 == 0 ? &Pki::get().ca1 : &Pki::get().ca2});
    options.max_age = seconds{100 + i};
    policies.push_back(make_policy(std::move(options)));
  }
  for_each_way("many", [&](Mechanism mechanism, Way way) {
    const auto server = make_server(mechanism, way, asking());
    const Both both{*server, first_chain()};
    for (const Pair* pair : both.all()) {
      for (const std::size_t step : {1U, 3U, 7U}) {
        for (std::size_t i = 0; i < 2 * policies.size(); ++i) {
          const std::size_t which = i * step % policies.size();
          const Verdict verdict = answer(*pair, policies[which]);
          CHECK(verdict.success() == (which % 2 == 0));
          CHECK(verdict.ends_at() == seconds_from_now(100 + static_cast<long>(which)));
        }
      }
    }
  });
}

TEST_CASE("verdict by policy: a policy that asks for nothing is an invalid argument, whoever the client is") {
  for (const auto& chain : {&first_chain(), &second_chain()}) {
    const auto server = make_server(Mechanism::stateless13, Way::by_policy, asking());
    const Pair pair{*server, showing(*chain)};
    const auto verdict = verdict_by(pair, *make_policy());
    REQUIRE_FALSE(verdict);
    CHECK(verdict.error().code == Errc::invalid_argument);
  }
}

TEST_CASE("verdict by policy: nobody who presented nothing is anything else by another policy") {
  const PolicyPtr policy = make_policy(asking(ClientAuth::required));
  for (const bool asks : {false, true}) {
    for_each_way(asks ? "asked" : "not asked", [&](Mechanism mechanism, Way way) {
      const auto server = make_server(mechanism, way, asks ? asking() : PolicyOptions{});
      const Both both{*server, {}};
      REQUIRE(both.next);
      for (const Pair* pair : both.all()) check_same_connection(answer(*pair, policy), verdict_of(*pair));
      CHECK(verdict_of(both.first).status() == (asks ? Status::none : Status::not_asked));
    });
  }
}

TEST_CASE("verdict by policy: it never touches the session") {
  const auto session_bytes = [](const Pair& pair) { return bytes_of(SSL_get_session(pair.server())); };
  for_each_way("session", [&](Mechanism mechanism, Way way) {
    const auto server = make_server(mechanism, way, asking());
    const Both both{*server, first_chain()};
    REQUIRE(both.next);
    for (const Pair* pair : both.all()) {
      const auto before = session_bytes(*pair);
      for (const Change& change : changes()) (void)answer(*pair, changed(change));
      CHECK(session_bytes(*pair) == before);
      const auto session = pair->session();
      CHECK(Pair(*server, showing(second_chain(), session.get())).resumed());
    }
  });
}

namespace {

// The host asks again, and the client answers with another certificate, which every policy here would take.
void authenticate_again(const Pair& pair, const Certificate& other) {
  REQUIRE(answer_with(pair.client(), &other));
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER, nullptr);
  REQUIRE(SSL_verify_client_post_handshake(pair.server()) == 1);
  REQUIRE(SSL_do_handshake(pair.server()) == 1);
  step(pair.client());
  step(pair.server());
}

}  // namespace

TEST_CASE("verdict by policy: another certificate after the handshake stays failed, whichever policy is asked") {
  const Certificate other = issue({.common_name = "other"}, &Pki::get().ca1);
  const PolicyPtr policy = make_policy(asking());
  for (const bool asked_before : {false, true}) {
    for (const Mechanism mechanism : tls13_mechanisms) {
      for (const Way way : both_ways) {
        DYNAMIC_SECTION((asked_before ? "asked before, " : "not asked before, ")
                        << to_string(mechanism) << ", " << to_string(way)) {
          const auto server = make_server(mechanism, way, asking());
          ClientOptions options = showing(first_chain());
          options.post_handshake_auth = true;
          const Pair pair{*server, options};
          if (asked_before) CHECK(answer(pair, policy).success());
          authenticate_again(pair, other);
          CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::certificate_changed, 0}});
          check_same_connection(answer(pair, policy), verdict_of(pair));
        }
      }
    }
  }
}

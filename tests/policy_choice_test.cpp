// Handshake::use: a client_hello hook chooses the policy, and the one that was chosen decides.

#include "support/checks.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;

using Names = std::vector<std::string>;

// Every name has the policy of the table, and the hook is the test's.
struct ChoosingServer : Server {
  using Choose = std::function<Decision(Handshake&)>;

  ChoosingServer(Mechanism mechanism, const PolicyPtr& in_table, Choose client_hello, Choose certificate = {})
      : Server(mechanism) {
    Hooks hooks;
    hooks.client_hello = [this, choose = std::move(client_hello)](Handshake& handshake) {
      ++client_hello_calls;
      return choose(handshake);
    };
    hooks.certificate = std::move(certificate);
    hooks.error = [this](const HandshakeError& ended) { errors.emplace_back(ended.error.message); };
    REQUIRE(install(ssl_ctx(), std::make_shared<CurrentPolicies>(PolicyTable{in_table, in_table}), std::move(hooks)));
  }

  std::vector<std::string> errors;
};

// Chooses what `policy` is at the time, if it is not null.
ChoosingServer::Choose choosing(const PolicyPtr& policy) {
  return [&policy](Handshake& handshake) {
    if (policy != nullptr) CHECK(handshake.use(policy));
    return Decision::proceed;
  };
}

// What a policy changes on an SSL before the certificate phase.
struct Settings {
  std::uint64_t options;
  int verify_mode;
  std::size_t tickets;
  std::uint32_t early_data;
  long certificate_bytes;
  int (*security)(const SSL*, const SSL_CTX*, int, int, int, void*, void*);
  int ca_names;

  friend bool operator==(const Settings&, const Settings&) = default;
};

Settings settings_of(SSL* ssl) {
  return {.options = SSL_get_options(ssl),
          .verify_mode = SSL_get_verify_mode(ssl),
          .tickets = SSL_get_num_tickets(ssl),
          .early_data = SSL_get_max_early_data(ssl),
          .certificate_bytes = SSL_get_max_cert_list(ssl),
          .security = SSL_get_security_callback(ssl),
          .ca_names = sk_X509_NAME_num(SSL_get_client_CA_list(ssl))};
}

// A policy that changes everything there is to change.
PolicyPtr demanding() {
  PolicyOptions options = asking(required);
  options.tickets = 1;
  options.max_age = std::chrono::seconds{5};
  options.limits = {.max_chain_bytes = 5000, .max_chain_certificates = 3, .max_carried_bytes = 1};
  return make_policy(std::move(options));
}

PolicyPtr without_resumption() {
  PolicyOptions options = asking(optional);
  options.resumption = false;
  return make_policy(std::move(options));
}

// What OpenSSL makes of the extension: a list of names, each behind its size.
Names offered_protocols(SSL* ssl) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  Names protocols;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data, &size) != 1) return {};
  for (std::size_t at = 2; at < size; at += data[at] + std::size_t{1}) {
    protocols.emplace_back(reinterpret_cast<const char*>(data + at + 1), data[at]);
  }
  return protocols;
}

}  // namespace

TEST_CASE("policy choice: the policy that was chosen decides who is asked, whom it trusts and who is refused") {
  const PolicyPtr open = make_policy();
  const PolicyPtr asks = make_policy(asking(optional));
  const PolicyPtr requires_it = make_policy(asking(required));
  const PolicyPtr other = make_policy(asking(required, {&Pki::get().ca2}));
  struct Row {
    const char* name;
    PolicyPtr in_table, chosen;
    ClientOptions client;
    Names ca_names;
    std::string_view verify;  // empty: refused
    int alert12, alert13;
  };
  const Names ca1{"/CN=CA 1"};
  const Names ca2{"/CN=CA 2"};
  const std::string_view unknown = "FAILED:unable to get local issuer certificate";
  const Row rows[] = {
      {"open to optional, good", open, asks, client1(), ca1, "SUCCESS", 0, 0},
      {"open to optional, unknown CA", open, asks, client2(), ca1, unknown, 0, 0},
      {"open to optional, none", open, asks, {}, ca1, "NONE", 0, 0},
      {"open to required, none", open, requires_it, {}, ca1, "", SSL_AD_HANDSHAKE_FAILURE, SSL_AD_CERTIFICATE_REQUIRED},
      {"open to required, good", open, requires_it, client1(), ca1, "SUCCESS", 0, 0},
      {"open to required, unknown CA", open, requires_it, client2(), ca1, "", SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA},
      {"required to another's anchors, good", requires_it, other, client2(), ca2, "SUCCESS", 0, 0},
      {"required to another's anchors, the table's", requires_it, other, client1(), ca2, "", SSL_AD_UNKNOWN_CA,
       SSL_AD_UNKNOWN_CA},
      {"required to optional, none", requires_it, asks, {}, ca1, "NONE", 0, 0},
      {"required to open, good", requires_it, open, client1(), {}, "NONE", 0, 0},
      {"required to open, none", requires_it, open, {}, {}, "NONE", 0, 0},
      {"optional to open, none", asks, open, {}, {}, "NONE", 0, 0},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        ChoosingServer server{mechanism, row.in_table, choosing(row.chosen)};
        const Pair pair{server, row.client};
        CHECK(pair.done() == !row.verify.empty());
        CHECK(pair.seen().ca_names == row.ca_names);
        if (row.verify.empty()) CHECK(pair.seen().alert == (is_tls13(mechanism) ? row.alert13 : row.alert12));
        if (!row.verify.empty()) CHECK(pair.verify() == row.verify);
        CHECK(get0_policy(pair.server()) == row.chosen.get());
        CHECK(server.errors.empty());
      }
    }
  }
}

TEST_CASE("policy choice: a session resumes under the policy that was chosen, and under no other") {
  const PolicyPtr in_table = make_policy(asking());
  const PolicyPtr same = make_policy(asking());
  const PolicyPtr stricter = make_policy(asking(required));
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyPtr chosen = stricter;
      ChoosingServer server{mechanism, in_table, choosing(chosen)};
      Pair first{server, client1()};
      REQUIRE(first.verify() == "SUCCESS");
      const auto session = first.session();
      {
        const Pair again{server, offering(client1(), session)};
        CHECK(again.resumed());
        CHECK(again.verify() == "SUCCESS");
        CHECK(get0_policy(again.server()) == stricter.get());
      }
      chosen = nullptr;
      Pair by_table{server, offering(client1(), session)};
      CHECK(by_table.done());
      CHECK_FALSE(by_table.resumed());
      const auto of_table = by_table.session();
      chosen = stricter;
      CHECK_FALSE(Pair(server, offering(client1(), of_table)).resumed());
      chosen = same;  // what the table has, by its digest
      CHECK(Pair(server, offering(client1(), of_table)).resumed());
    }
  }
}

TEST_CASE("policy choice: what was chosen holds through a suspension") {
  const PolicyPtr chosen = make_policy(asking(required, {&Pki::get().ca2}));
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool retry : {false, true}) {
      if (retry && !is_tls13(mechanism)) continue;
      DYNAMIC_SECTION(to_string(mechanism) << (retry ? ", after a HelloRetryRequest" : "")) {
        int calls = 0;
        int certificate_calls = 0;
        ChoosingServer server{mechanism, make_policy(),
                              [&](Handshake& handshake) {
                                if (++calls == 1) CHECK(handshake.use(chosen));
                                CHECK(get0_policy(handshake.ssl()) == chosen.get());
                                return calls < 3 ? Decision::suspend : Decision::proceed;
                              },
                              [&](Handshake& handshake) {
                                CHECK(get0_policy(handshake.ssl()) == chosen.get());
                                return ++certificate_calls < 3 ? Decision::suspend : Decision::proceed;
                              }};
        Pair pair{server, retry ? retrying(server.ssl_ctx(), client2()) : client2()};
        for (int i = 0; i < 5 && !pair.done(); ++i) pair.run();
        REQUIRE(pair.done());
        CHECK(pair.verify() == "SUCCESS");
        CHECK(get0_policy(pair.server()) == chosen.get());
        CHECK(calls == (retry ? 4 : 3));
        CHECK(server.errors.empty());
      }
    }
  }
}

TEST_CASE("policy choice: while it is suspended a hook may choose another one") {
  const PolicyPtr first = make_policy(asking(required));
  const PolicyPtr second = make_policy(asking(optional, {&Pki::get().ca2}));
  bool answered = false;
  ChoosingServer server{Mechanism::stateless13, make_policy(), [&](Handshake& handshake) {
                          CHECK(handshake.use(answered ? second : first));
                          return answered ? Decision::proceed : Decision::suspend;
                        }};
  Pair pair{server, {}};
  CHECK(get0_policy(pair.server()) == first.get());
  answered = true;
  REQUIRE(pair.run());
  CHECK(get0_policy(pair.server()) == second.get());
  CHECK(pair.verify() == "NONE");
}

TEST_CASE("policy choice: after a HelloRetryRequest the same policy may be chosen again, or nothing said") {
  const PolicyPtr first = make_policy(asking(required));
  const PolicyPtr same = make_policy(asking(required));
  for (const bool says_it : {true, false}) {
    DYNAMIC_SECTION((says_it ? "chosen again" : "nothing said")) {
      int calls = 0;
      ChoosingServer server{Mechanism::stateless13, make_policy(), [&](Handshake& handshake) {
                              if (++calls == 1) CHECK(handshake.use(first));
                              if (calls == 2 && says_it) CHECK(handshake.use(same));
                              return Decision::proceed;
                            }};
      const Pair pair{server, retrying(server.ssl_ctx())};
      REQUIRE(pair.done());
      CHECK(calls == 2);
      CHECK(pair.verify() == "SUCCESS");
      CHECK(get0_policy(pair.server()) == first.get());
      CHECK(server.errors.empty());
    }
  }
}

TEST_CASE("policy choice: after a HelloRetryRequest another policy ends the handshake, whatever the hook then says") {
  const PolicyPtr in_table = make_policy(asking());
  const PolicyPtr first = make_policy(asking(required));
  const PolicyPtr open = make_policy();
  struct Row {
    const char* name;
    PolicyPtr first, second;
    Decision decision;
  };
  const Row rows[] = {
      {"a weaker one", first, open, Decision::proceed},      {"the table's", first, in_table, Decision::proceed},
      {"one for the table's", {}, first, Decision::proceed}, {"suspended", first, open, Decision::suspend},
      {"rejected", first, open, Decision::reject},
  };
  for (const Row& row : rows) {
    DYNAMIC_SECTION(row.name) {
      int calls = 0;
      bool chooses = true;
      ChoosingServer server{Mechanism::stateless13, in_table, [&](Handshake& handshake) {
                              if (!chooses) return Decision::proceed;
                              const PolicyPtr& policy = ++calls == 1 ? row.first : row.second;
                              if (policy == nullptr) return Decision::proceed;
                              const auto used = handshake.use(policy);
                              CHECK(used.has_value() == (calls == 1));
                              if (calls == 1) return Decision::proceed;
                              CHECK(used.error().code == Errc::too_late);
                              // It is too late to go back to the first one, too.
                              if (row.first != nullptr) CHECK(handshake.use(row.first));
                              return row.decision;
                            }};
      Pair pair{server, retrying(server.ssl_ctx())};
      CHECK_FALSE(pair.done());
      CHECK(calls == 2);
      CHECK(pair.seen().alert == SSL_AD_ILLEGAL_PARAMETER);
      CHECK(server.errors == Names{"the policy is another one than before the HelloRetryRequest"});
      // The next connection on the same SSL is not doomed with it.
      chooses = false;
      pair.clear(client1());
      CHECK(pair.done());
    }
  }
}

TEST_CASE("policy choice: a null policy ends the handshake, also where the handler goes on or chooses another") {
  const PolicyPtr in_table = make_policy(asking(optional));
  const PolicyPtr chosen = make_policy(asking(optional, {&Pki::get().ca2}));
  for (const Mechanism mechanism : both_versions) {
    for (const bool before : {false, true}) {
      for (const bool afterwards : {false, true}) {
        DYNAMIC_SECTION(to_string(mechanism)
                        << (before ? ", after a choice" : "") << (afterwards ? ", before one" : "")) {
          bool fails = true;
          ChoosingServer server{mechanism, in_table, [&](Handshake& handshake) {
                                  if (before) CHECK(handshake.use(chosen));
                                  if (!fails) return Decision::proceed;
                                  const auto used = handshake.use(nullptr);
                                  REQUIRE_FALSE(used);
                                  CHECK(used.error().code == Errc::invalid_argument);
                                  CHECK(get0_policy(handshake.ssl()) == (before ? chosen : in_table).get());
                                  if (afterwards) (void)handshake.use(chosen);
                                  return Decision::proceed;
                                }};
          Pair pair{server, client1()};
          CHECK_FALSE(pair.done());
          CHECK(pair.seen().alert == SSL_AD_INTERNAL_ERROR);
          CHECK(server.errors == Names{"the policy that a handler chose could not be used"});
          // The next connection on the same SSL does not end with it.
          fails = false;
          pair.clear(client1());
          CHECK(pair.done());
        }
      }
    }
  }
}

TEST_CASE("policy choice: in the certificate hook it is too late, and the handshake ends") {
  const PolicyPtr in_table = make_policy(asking(optional));
  const PolicyPtr open = make_policy();
  for (const Mechanism mechanism : both_versions) {
    for (const PolicyPtr& late : {open, PolicyPtr{}}) {
      DYNAMIC_SECTION(to_string(mechanism) << (late == nullptr ? ", null" : "")) {
        ChoosingServer server{mechanism, in_table, [](Handshake&) { return Decision::proceed; },
                              [&](Handshake& handshake) {
                                const auto used = handshake.use(late);
                                REQUIRE_FALSE(used);
                                CHECK(used.error().code == Errc::wrong_phase);
                                CHECK(get0_policy(handshake.ssl()) == in_table.get());
                                return Decision::proceed;
                              }};
        const Pair pair{server, client1()};
        CHECK_FALSE(pair.done());
        CHECK(pair.seen().alert == SSL_AD_INTERNAL_ERROR);
        CHECK(server.errors == Names{"the policy that a handler chose could not be used"});
      }
    }
  }
}

TEST_CASE("policy choice: what a policy has set on the SSL goes with it when another is chosen") {
  const PolicyPtr open = make_policy();
  const PolicyPtr strict = demanding();
  const PolicyPtr never = without_resumption();
  struct Row {
    const char* name;
    PolicyPtr in_table;
    std::vector<PolicyPtr> chosen;
  };
  const Row rows[] = {
      {"required to open", strict, {open}},
      {"no resumption to open", never, {open}},
      {"required, no resumption, open", strict, {never, open}},
      {"open, required, open", open, {strict, open}},
      {"open to required", open, {strict}},
      {"required to open and back", strict, {open, strict}},
      {"no resumption, open, required", never, {open, strict}},
  };
  for (const Mechanism mechanism : all_mechanisms) {
    // As it is where the table has the policy.
    const auto settings_under = [&](const PolicyPtr& policy) {
      std::optional<Settings> settings;
      ChoosingServer server{mechanism, policy, [&](Handshake& handshake) {
                              settings = settings_of(handshake.ssl());
                              return Decision::proceed;
                            }};
      SSL_CTX_set_max_early_data(server.ssl_ctx(), 1000);
      SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_NO_ANTI_REPLAY);
      CHECK(Pair(server, client1()).done());
      return settings;
    };
    for (const Row& row : rows) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        const PolicyPtr& last = row.chosen.back();
        std::optional<Settings> settings;
        ChoosingServer server{mechanism, row.in_table, [&](Handshake& handshake) {
                                for (const PolicyPtr& policy : row.chosen) CHECK(handshake.use(policy));
                                settings = settings_of(handshake.ssl());
                                return Decision::proceed;
                              }};
        SSL_CTX_set_max_early_data(server.ssl_ctx(), 1000);
        SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_NO_ANTI_REPLAY);  // it keeps an external cache from being asked
        const bool is_open = last == open;
        Pair pair{server, client1()};
        REQUIRE(pair.done());
        CHECK(settings == settings_under(last));
        CHECK(settings->early_data == (is_open ? 1000 : 0));
        CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_NONE);
        CHECK(pair.seen().certificate_requests == (is_open ? 0 : 1));
        CHECK(pair.verify() == (is_open ? "NONE" : "SUCCESS"));
        const auto session = pair.session();
        // Under `required` its chain is too large to carry.
        if (is_tls13(mechanism)) CHECK((session != nullptr) == is_open);
        CHECK(Pair(server, offering(client1(), session)).resumed() == is_open);
        if (is_open && is_tls13(mechanism)) CHECK(SSL_SESSION_get_max_early_data(session.get()) == 1000);
        pair.clear({.server_name = "b.test"});
        CHECK(pair.done() == is_open);
      }
    }
  }
}

TEST_CASE("policy choice: a name that the table refuses is refused before a hook could choose") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      ChoosingServer server{mechanism, nullptr, [](Handshake&) {
                              FAIL_CHECK("called");
                              return Decision::proceed;
                            }};
      const Pair pair{server, client1()};
      CHECK_FALSE(pair.done());
      CHECK(pair.seen().alert == SSL_AD_UNRECOGNIZED_NAME);
      CHECK(get0_policy(pair.server()) == nullptr);
      CHECK(server.errors.size() == 1);
    }
  }
}

TEST_CASE("policy choice: a hook can choose by the protocols that the client offers") {
  const PolicyPtr open = make_policy();
  const PolicyPtr strict = make_policy(asking(required));
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Names offered;
      ChoosingServer server{mechanism, open, [&](Handshake& handshake) {
                              offered = offered_protocols(handshake.ssl());
                              const bool internal = std::ranges::find(offered, "internal/1") != offered.end();
                              CHECK((!internal || handshake.use(strict)));
                              return Decision::proceed;
                            }};
      const auto with_protocols = [](ClientOptions options, std::string_view protocols) {
        options.adjust = [protocols](SSL* ssl) {
          SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned>(protocols.size()));
        };
        return options;
      };
      CHECK(Pair(server, {}).done());
      CHECK(offered.empty());
      CHECK(Pair(server, with_protocols({}, "\x02h2\x08http/1.1")).done());
      CHECK(offered == Names{"h2", "http/1.1"});
      CHECK_FALSE(Pair(server, with_protocols({}, "\x02h2\x0ainternal/1")).done());
      CHECK(offered == Names{"h2", "internal/1"});
      CHECK(Pair(server, with_protocols(client1(), "\x0ainternal/1")).verify() == "SUCCESS");
    }
  }
}

TEST_CASE("policy choice: without resume_without_certificate only a client with a certificate resumes") {
  PolicyOptions options = asking(optional);
  options.resume_without_certificate = false;
  const PolicyPtr policy = make_policy(std::move(options));
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyServer server{mechanism, make_policies({{"a.test", policy}})};
      SslSessionPtr session;
      for (int i = 0; i < 3; ++i) {
        Pair without{server, offering({}, session)};
        REQUIRE(without.done());
        CHECK_FALSE(without.resumed());
        CHECK(without.seen().certificate_requests == 1);
        CHECK(without.verify() == "NONE");
        session = without.session();
        if (is_tls13(mechanism)) CHECK(session == nullptr);
      }
      // It has got a certificate in the meantime, and is seen to have it.
      Pair first{server, offering(client1(), session)};
      REQUIRE_FALSE(first.resumed());
      CHECK(first.verify() == "SUCCESS");
      const Pair next{server, offering(client1(), first.session())};
      CHECK(next.resumed());
      CHECK(next.verify() == "SUCCESS");
      // What did not verify resumes as what it is: it was asked, and has answered.
      Pair bad{server, client2()};
      REQUIRE(bad.done());
      const Pair bad_next{server, offering(client2(), bad.session())};
      CHECK(bad_next.resumed());
      CHECK(bad_next.verify() == "FAILED:unable to get local issuer certificate");
    }
  }
}

TEST_CASE("policy choice: an option that cannot be meant is an error that names it") {
  using std::chrono::seconds;
  const auto refusal_with = [](const std::function<void(PolicyOptions&)>& change) {
    PolicyOptions options = asking();
    change(options);
    return refusal_of(std::move(options));
  };
  CHECK(refusal_with([](auto& o) { o.purpose = static_cast<Purpose>(2); }).starts_with("purpose:"));
  for (const seconds tolerance : {seconds{-1}, seconds{std::int64_t{1} << 31}, seconds::max(), seconds::min()}) {
    CHECK(refusal_with([&](auto& o) { o.expired_tolerance = tolerance; }).starts_with("expired_tolerance:"));
  }
  for (const int level : {-1, 6, std::numeric_limits<int>::min(), std::numeric_limits<int>::max()}) {
    CHECK(refusal_with([&](auto& o) { o.security_level = level; }).starts_with("security_level:"));
  }
  const std::string_view nothing = "resume_without_certificate: it means nothing but where request is optional";
  CHECK(refusal_with([](auto& o) {
          o.request = required;
          o.resume_without_certificate = false;
        }) == nothing);
  PolicyOptions open;
  open.resume_without_certificate = false;
  CHECK(refusal_of(std::move(open)) == nothing);
  // The ends of each range are in it.
  const Certificate strong = issue({.usage = Usage::ca, .key = Key::ec_p521});
  for (const int level : {0, 5}) {
    PolicyOptions options = asking(optional, {&strong});
    options.security_level = level;
    options.expired_tolerance = level == 0 ? seconds{0} : seconds{(std::int64_t{1} << 31) - 1};
    CHECK(ClientAuthPolicy::make(std::move(options)));
  }
}

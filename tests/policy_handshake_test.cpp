// Policies at work on single connections: who is asked, who is refused and how, and what a host can and cannot change.
// What resumes is in resumption_matrix_test.cpp.

#include <openssl/err.h>

#include <atomic>
#include <thread>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth none = ClientAuth::none;
constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;

PolicyOptions asking_to_answer_by_host() {
  return requiring(Refusal::host);
}

}  // namespace

TEST_CASE("policy handshake: each request has each certificate in or out as it says, with its alert") {
  struct Row {
    const char* name;
    PolicyOptions (*policy)();
    ClientOptions client;
    std::optional<int> alert12, alert13;
    std::string_view verify = {};
  };
  const auto opens = [] { return PolicyOptions{}; };
  const auto asks = [] { return asking(optional); };
  const auto requires_it = [] { return asking(required); };
  const Row rows[] = {
      {"nothing is asked", opens, client1(), {}, {}, "NONE"},
      {"optional: none", asks, {}, {}, {}, "NONE"},
      {"optional: good", asks, client1(), {}, {}, "SUCCESS"},
      {"optional: unknown CA", asks, client2(), {}, {}, "FAILED:unable to get local issuer certificate"},
      {"optional: expired", asks, expired_client(), {}, {}, "FAILED:certificate has expired"},
      {"required: none", requires_it, {}, SSL_AD_HANDSHAKE_FAILURE, SSL_AD_CERTIFICATE_REQUIRED},
      {"required: good", requires_it, client1(), {}, {}, "SUCCESS"},
      {"required: unknown CA", requires_it, client2(), SSL_AD_UNKNOWN_CA, SSL_AD_UNKNOWN_CA},
      {"required: expired", requires_it, expired_client(), SSL_AD_CERTIFICATE_EXPIRED, SSL_AD_CERTIFICATE_EXPIRED},
      {"required, refused by the host: none", asking_to_answer_by_host, {}, {}, {}, "NONE"},
      {"required, refused by the host: good", asking_to_answer_by_host, client1(), {}, {}, "SUCCESS"},
      {"required, refused by the host: expired",
       asking_to_answer_by_host,
       expired_client(),
       {},
       {},
       "FAILED:certificate has expired"},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        PolicyServer server{mechanism, make_policies({{"a.test", make_policy(row.policy())}})};
        const Pair pair{server, row.client};
        CHECK(pair.seen().certificate_requests == (row.policy().request == none ? 0 : 1));
        const auto& alert = is_tls13(mechanism) ? row.alert13 : row.alert12;
        CHECK(pair.done() == !alert);
        if (alert) CHECK(pair.seen().alert == alert);
        if (!alert) CHECK(pair.verify() == row.verify);
        CHECK(server.errors.empty());
      }
    }
  }
}

TEST_CASE("policy handshake: the names sent are the hints, whatever the SSL_CTX has") {
  const Pki& pki = Pki::get();
  for (const Mechanism mechanism : both_versions) {
    PolicyOptions hinting = asking();
    hinting.hints = share({&pki.intermediate1, &pki.ca2});
    PolicyOptions silent = asking();
    silent.hints.emplace();
    PolicyServer server{mechanism, make_policies({{"a.test", make_policy(asking())},
                                                  {"hints.test", make_policy(std::move(hinting))},
                                                  {"silent.test", make_policy(std::move(silent))}})};
    SSL_CTX_add_client_CA(server.ssl_ctx(), pki.ca2.get());
    using Names = std::vector<std::string>;
    CHECK(Pair(server, client1()).seen().ca_names == Names{"/CN=CA 1"});
    CHECK(Pair(server, client1("hints.test")).seen().ca_names == Names{"/CN=Intermediate 1", "/CN=CA 2"});
    CHECK(Pair(server, client1("silent.test")).seen().ca_names.empty());
  }
}

TEST_CASE("policy handshake: depth, limits and revocation lists hold") {
  const auto verify_with = [](void (*change)(PolicyOptions&)) {
    PolicyOptions options = asking();
    change(options);
    PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", make_policy(std::move(options))}})};
    const Pair pair{server, client1()};
    return pair.done() ? pair.verify() : "refused: " + std::to_string(pair.seen().alert.value_or(-1));
  };
  CHECK(verify_with([](auto& o) { o.depth = 1; }) == "SUCCESS");
  // OpenSSL stops looking for issuers at the depth, and then misses the next one.
  CHECK(verify_with([](auto& o) { o.depth = 0; }) == "FAILED:unable to get local issuer certificate");
  CHECK(verify_with([](auto& o) { o.limits.max_chain_certificates = 1; }) == "refused: 48");
  CHECK(verify_with([](auto& o) { o.limits.max_chain_bytes = 100; }) == "refused: 47");
  CHECK(verify_with([](auto& o) { o.crls = empty_crls(); }) == "FAILED:unable to get certificate CRL");
  CHECK(verify_with([](auto& o) {
          o.crls = empty_crls();
          o.crls.push_back(issue_crl(Pki::get().intermediate1));
        }) == "SUCCESS");
  CHECK(verify_with([](auto& o) {
          o.crls = empty_crls();
          o.crls.push_back(issue_crl(Pki::get().intermediate1, {&Pki::get().client1}));
        }) == "FAILED:certificate revoked");
}

TEST_CASE("policy handshake: the number of tickets is the policy's, and never more than the SSL_CTX's") {
  for (const std::optional<std::size_t> tickets : {std::optional<std::size_t>{}, {1}, {2}, {16}}) {
    for (const std::size_t most : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{20}}) {
      PolicyOptions options = asking();
      options.tickets = tickets;
      PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", make_policy(std::move(options))}})};
      SSL_CTX_set_num_tickets(server.ssl_ctx(), most);
      const Pair pair{server, client1()};
      CHECK(pair.seen().tickets == static_cast<int>(std::min(tickets.value_or(most), most)));
    }
  }
}

TEST_CASE("policy handshake: a name has its policy however it is written, and no other name has") {
  const auto policies = std::make_shared<CurrentPolicies>(
      make_table({{"a.test", make_policy(asking())}, {"*.b.test", make_policy(asking(required))}}, nullptr,
                 make_policy(asking(optional, {&Pki::get().ca2}))));
  struct Row {
    std::string name;
    std::optional<int> alert;
    std::vector<std::string> ca_names;
  };
  const std::vector<std::string> ca1{"/CN=CA 1"};
  const std::vector<std::string> ca2{"/CN=CA 2"};
  const Row rows[] = {
      {"a.test", {}, ca1},
      {"A.Test", {}, ca1},
      {"a.test.", {}, ca1},
      {"x.b.test", {}, ca1},
      {"", {}, ca2},  // names nobody
      {"b.test", SSL_AD_UNRECOGNIZED_NAME, {}},
      {"other.test", SSL_AD_UNRECOGNIZED_NAME, {}},
      {"a.test..", SSL_AD_UNRECOGNIZED_NAME, {}},
      {"127.0.0.1", SSL_AD_UNRECOGNIZED_NAME, {}},
      {"::1", SSL_AD_UNRECOGNIZED_NAME, {}},
      {std::string(255, 'n'), SSL_AD_UNRECOGNIZED_NAME, {}},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION("'" << row.name << "', " << to_string(mechanism)) {
        PolicyServer server{mechanism, policies};
        const Pair pair{server, client1(row.name)};
        CHECK(pair.done() == !row.alert);
        CHECK(pair.seen().ca_names == row.ca_names);
        if (row.alert) CHECK(pair.seen().alert == row.alert);
        CHECK(server.errors.size() == (row.alert ? 1 : 0));
      }
    }
  }
}

TEST_CASE("policy handshake: names that are the same in canonical form share their sessions") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyServer server{mechanism, make_policies({{"a.test", make_policy(asking())}})};
      Pair first{server, client1("A.test")};
      const auto session = first.session();
      ClientOptions options = client1("a.TEST.");
      options.session = session.get();
      const Pair next{server, options};
      CHECK(next.resumed());
      CHECK(next.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("policy handshake: what the host's SSL_CTX asks and how it verifies is replaced by the policy") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyServer server{mechanism, make_policies({{"open.test", make_policy()}, {"a.test", make_policy(asking())}})};
      // Everybody is asked, and everybody is good: so says the host.
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                         [](int, X509_STORE_CTX* store) { return X509_STORE_CTX_set_error(store, X509_V_OK), 1; });
      const Pair open{server, {.server_name = "open.test"}};
      CHECK(open.done());
      CHECK(open.seen().certificate_requests == 0);
      const Pair bad{server, client2()};  // CA 2 is in the SSL_CTX's store, and not in the policy's
      CHECK(bad.verify() == "FAILED:unable to get local issuer certificate");
      const Pair without{server, {}};
      CHECK(without.verify() == "NONE");
      CHECK(SSL_get_verify_mode(bad.server()) == SSL_VERIFY_NONE);
    }
  }
}

// Where an SSL_CTX is switched to that has no policies, nobody gets in who would not have got in with them.
TEST_CASE("policy handshake: an SSL_CTX without the policies weakens nothing") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyOptions without_reuse;
      without_reuse.resumption = false;
      PolicyServer first{mechanism, make_policies({{"optional.test", make_policy(asking(optional))},
                                                   {"required.test", make_policy(asking(required))},
                                                   {"private.test", make_policy(std::move(without_reuse))}})};
      Server forgotten{mechanism};
      forgotten.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_tlsext_servername_arg(first.ssl_ctx(), forgotten.ssl_ctx());
      SSL_CTX_set_tlsext_servername_callback(
          first.ssl_ctx(), +[](SSL* ssl, int*, void* ssl_ctx) {
            SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
            return SSL_TLSEXT_ERR_OK;
          });
      CHECK_FALSE(Pair(first, client1("required.test")).done());
      CHECK_FALSE(Pair(first, {.server_name = "required.test"}).done());
      CHECK_FALSE(Pair(first, client1("optional.test")).done());
      const Pair none_given{first, {.server_name = "optional.test"}};
      CHECK(none_given.done());
      CHECK(none_given.verify() == "NONE");
      Pair no_reuse{first, {.server_name = "private.test"}};
      CHECK(no_reuse.done());
      ClientOptions options{.server_name = "private.test"};
      const auto session = no_reuse.session();
      options.session = session.get();
      CHECK_FALSE(Pair(first, options).resumed());
    }
  }
}

TEST_CASE("policy handshake: nor does it where a HelloRetryRequest takes back a session that was resumed") {
  PolicyServer first{Mechanism::stateful13, make_policies({{"required.test", make_policy(asking(required))}})};
  Server forgotten{Mechanism::stateful13};
  forgotten.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  const auto session = Pair(first, client1("required.test")).session();
  REQUIRE(session);
  SSL_CTX_set1_groups_list(first.ssl_ctx(), "P-384");  // no client sends a share of it at first
  SSL_CTX_set_tlsext_servername_arg(first.ssl_ctx(), forgotten.ssl_ctx());
  SSL_CTX_set_tlsext_servername_callback(
      first.ssl_ctx(), +[](SSL* ssl, int*, void* ssl_ctx) {
        SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
        return SSL_TLSEXT_ERR_OK;
      });
  for (const bool forgets : {false, true}) {
    CAPTURE(forgets);
    ClientOptions options = client1("required.test");
    options.session = session.get();
    options.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "P-256:P-384"); };
    Pair pair{first, options, false};
    SSL_do_handshake(pair.client());
    SSL_do_handshake(pair.server());
    ERR_clear_error();
    if (forgets) forget_sessions(first.ssl_ctx());
    pair.run();
    CHECK(pair.done() == !forgets);
    CHECK(pair.resumed() == !forgets);
  }
}

TEST_CASE("policy handshake: an SSL_CTX with policies that no ClientHello has passed refuses") {
  PolicyServer last{Mechanism::stateless13, make_policies({{"a.test", make_policy(asking())}})};
  Server first{Mechanism::stateless13};  // binds by hand
  SSL_CTX_set_tlsext_servername_arg(first.ssl_ctx(), last.ssl_ctx());
  SSL_CTX_set_tlsext_servername_callback(
      first.ssl_ctx(), +[](SSL* ssl, int*, void* ssl_ctx) {
        SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
        return SSL_TLSEXT_ERR_OK;
      });
  const Pair pair{first, client1()};
  CHECK_FALSE(pair.done());
  CHECK(last.errors == std::vector<std::string>{"the connection's ClientHello did not pass an SSL_CTX with policies"});
}

TEST_CASE("policy handshake: a hook that switches the SSL_CTX takes the anchors away, and nobody is let in by others") {
  static SSL_CTX* other_ctx;
  const Server other{Mechanism::stateless13};  // trusts CA 2
  other_ctx = other.ssl_ctx();
  Server server{Mechanism::stateless13};
  Hooks hooks;
  hooks.certificate = [](Handshake& handshake) {
    SSL_set_SSL_CTX(handshake.ssl(), other_ctx);
    return Decision::proceed;
  };
  REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(asking())}}), std::move(hooks)));
  CHECK_FALSE(Pair(server, client2()).done());
}

TEST_CASE("policy handshake: an SSL used again carries nothing of its last client over") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      PolicyOptions once = asking(required);
      once.tickets = 1;
      PolicyOptions never;
      never.resumption = false;
      PolicyServer server{mechanism, make_policies({{"a.test", make_policy(std::move(once))},
                                                    {"never.test", make_policy(std::move(never))},
                                                    {"open.test", make_policy()}})};
      SSL_CTX_set_max_early_data(server.ssl_ctx(), 1000);
      Pair pair{server, client1()};
      REQUIRE(pair.verify() == "SUCCESS");
      CHECK(SSL_get_max_early_data(pair.server()) == 0);
      pair.clear({.server_name = "open.test"});
      REQUIRE(pair.done());
      CHECK(pair.verify() == "NONE");
      CHECK(pair.chain() == "none");
      CHECK(pair.seen().certificate_requests == 0);
      if (is_tls13(mechanism)) CHECK(pair.seen().tickets == 2);
      CHECK(SSL_get_max_early_data(pair.server()) == 1000);
      CHECK(get0_policy(pair.server())->options().request == none);
      pair.clear({.server_name = "never.test"});
      REQUIRE(pair.done());
      CHECK_FALSE(pair.session());
      pair.clear({.server_name = "open.test"});
      REQUIRE(pair.done());
      if (is_tls13(mechanism)) CHECK(pair.seen().tickets == 2);
      pair.clear({});  // a.test, and no certificate
      CHECK_FALSE(pair.done());
    }
  }
}

TEST_CASE("policy handshake: the connection's policy can be asked for, from its ClientHello on") {
  const PolicyPtr policy = make_policy(asking());
  Server server{Mechanism::stateless13};
  const ClientAuthPolicy* in_client_hello = nullptr;
  const ClientAuthPolicy* in_certificate = nullptr;
  Hooks hooks;
  hooks.client_hello = [&](Handshake& h) { return in_client_hello = get0_policy(h.ssl()), Decision::proceed; };
  hooks.certificate = [&](Handshake& h) { return in_certificate = get0_policy(h.ssl()), Decision::proceed; };
  REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", policy}}), std::move(hooks)));
  Pair pair{server, client1(), false};
  CHECK(get0_policy(pair.server()) == nullptr);
  CHECK(get0_policy(pair.client()) == nullptr);
  CHECK(get0_policy(nullptr) == nullptr);
  REQUIRE(pair.run());
  CHECK(in_client_hello == policy.get());
  CHECK(in_certificate == policy.get());
  CHECK(get0_policy(pair.server()) == policy.get());
  const auto session = pair.session();
  ClientOptions options = client1();
  options.session = session.get();
  const Pair resumed{server, options};
  REQUIRE(resumed.resumed());
  CHECK(get0_policy(resumed.server()) == policy.get());
}

TEST_CASE("policy handshake: hooks can suspend and reject") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      std::vector<Decision> answers;
      int calls = 0;
      const auto answer = [&](Handshake&) { return answers.at(static_cast<std::size_t>(calls++)); };
      REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(asking(required))}}),
                      {.client_hello = answer, .certificate = answer, .error = {}}));
      SECTION("suspended in both") {
        answers = {Decision::suspend, Decision::proceed, Decision::suspend, Decision::proceed};
        Pair pair{server, client1()};
        CHECK_FALSE(pair.done());
        pair.run();
        pair.run();
        CHECK(pair.done());
        CHECK(pair.verify() == "SUCCESS");
        CHECK(calls == 4);
      }
      SECTION("rejected in client_hello") {
        answers = {Decision::reject};
        CHECK_FALSE(Pair(server, client1()).done());
      }
      SECTION("rejected in certificate") {
        answers = {Decision::proceed, Decision::reject};
        CHECK_FALSE(Pair(server, client1()).done());
      }
    }
  }
}

TEST_CASE("policy handshake: without our info callback a session stays dead") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      Hooks hooks;
      hooks.certificate = [](Handshake& handshake) {
        SSL_set_info_callback(handshake.ssl(), [](const SSL*, int, int) {});
        return Decision::proceed;
      };
      REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(asking())}}), std::move(hooks)));
      Pair first{server, client1()};
      REQUIRE(first.done());
      const auto session = first.session();
      ClientOptions options = client1();
      options.session = session.get();
      const Pair next{server, options};
      CHECK(next.done());
      CHECK_FALSE(next.resumed());
    }
  }
}

TEST_CASE("policy handshake: what install refuses changes nothing") {
  const auto policies = make_policies({{"a.test", make_policy()}});
  Server server{Mechanism::stateless13};
  CHECK(install(nullptr, policies).error().code == Errc::invalid_argument);
  CHECK(install(server.ssl_ctx(), std::shared_ptr<const CurrentPolicies>()).error().code == Errc::invalid_argument);
  CHECK(Pair(server, {.server_name = "other.test"}).done());
  CHECK(server.client_hello_calls == 1);
  REQUIRE(install(server.ssl_ctx(), policies));
  CHECK(install(server.ssl_ctx(), policies).error().code == Errc::already_installed);
  CHECK_FALSE(Pair(server, {.server_name = "other.test"}).done());
}

TEST_CASE("policy handshake: what install sets is freed with the SSL_CTX") {
  const auto policies = make_policies({{"a.test", make_policy(asking())}});
  {
    const PolicyServer server{Mechanism::stateless13, policies};
    CHECK(policies.use_count() == 3);
  }
  CHECK(policies.use_count() == 1);
}

TEST_CASE("policy handshake: while the table is replaced, each connection sees one generation") {
  // Two generations that differ in everything that a connection could mix up.
  const PolicyPtr first = make_policy(asking(optional, {&Pki::get().ca1}));
  const PolicyPtr second = make_policy(asking(required, {&Pki::get().ca2}));
  const auto policies = make_policies({{"a.test", first}});
  const Server server{Mechanism::stateless13};
  REQUIRE(install(server.ssl_ctx(), policies));
  SSL_CTX_sess_set_new_cb(server.ssl_ctx(), nullptr);  // the support's own cache is for one thread
  SSL_CTX_sess_set_remove_cb(server.ssl_ctx(), nullptr);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> seen_first{0};
  std::atomic<int> seen_second{0};
  {
    std::jthread replacer([&] {
      for (int i = 1; !stop; ++i) policies->replace(make_table({{"a.test", i % 2 == 0 ? first : second}}));
    });
    std::vector<std::jthread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&] {
        for (int n = 0; n < 25; ++n) {
          const Pair pair{server.ssl_ctx(), client2()};
          const bool of_second = pair.seen().ca_names == std::vector<std::string>{"/CN=CA 2"};
          const ClientAuthPolicy* policy = get0_policy(pair.server());
          const std::string verify = pair.done() ? pair.verify() : "refused";
          const bool good = policy == (of_second ? second : first).get() &&
                            verify == (of_second ? "SUCCESS" : "FAILED:unable to get local issuer certificate");
          if (!good) ++wrong;
          ++(of_second ? seen_second : seen_first);
        }
      });
    }
    clients.clear();
    stop = true;
  }
  CHECK(wrong == 0);
  CHECK(seen_first > 0);
  CHECK(seen_second > 0);
}

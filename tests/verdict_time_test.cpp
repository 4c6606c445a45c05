// A verdict as time passes: certificates and revocation lists that end, and how long that is tolerated.
#include "client_tls/verdict.hpp"

#include "support/checks.hpp"

using namespace client_tls;
using namespace test;

using Status = Verdict::Status;
using std::chrono::seconds;

namespace {

PolicyOptions tolerating(long tolerance) {
  PolicyOptions options = asking(ClientAuth::required);
  options.refusal = Refusal::host;
  options.expired_tolerance = seconds{tolerance};
  return options;
}

}  // namespace

TEST_CASE("verdict: an expired certificate is tolerated as long as the policy says, with a warning") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const long tolerance : {0L, 10L, 11L, 3600L}) {
      DYNAMIC_SECTION(to_string(mechanism) << ", tolerated for " << tolerance) {
        const ClockRestorer clock;
        const auto chain = chain_of(issue({.ends_in = -10}, &Pki::get().intermediate1), Pki::get().intermediate1);
        const auto server = make_server(mechanism, Way::by_policy, tolerating(tolerance));
        const Pair first{*server, showing(chain)};
        const Verdict verdict = verdict_of(first);
        CHECK(verdict.success() == (tolerance > 10));
        CHECK(verdict.ends_at() == seconds_from_now(tolerance - 10));
        CHECK(reasons_of(verdict) == (tolerance > 10 ? Reasons{} : Reasons{{X509_V_ERR_CERT_HAS_EXPIRED, 0}}));
        CHECK(warnings_of(verdict) ==
              (tolerance > 10 ? std::vector<int>{X509_V_ERR_CERT_HAS_EXPIRED} : std::vector<int>{}));
        advance_time(5);
        const auto next = resume(*server, first);
        CHECK(next->resumed() == (tolerance == 3600));
        if (!next->resumed()) return;
        check_all_the_same(verdict_of(*next), verdict);
        advance_time(3600);
        CHECK(reasons_of(verdict_of(*next)) == Reasons{{Reason::authentication_ended, 0}});
        CHECK_FALSE(resume(*server, *next)->resumed());
      }
    }
  }
}

TEST_CASE("verdict: a certificate that ends while a connection is kept is tolerated as well") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      const ClockRestorer clock;
      const auto chain = chain_of(issue({.ends_in = 60}, &Pki::get().intermediate1), Pki::get().intermediate1);
      const auto server = make_server(mechanism, Way::by_policy, tolerating(60));
      const Pair first{*server, showing(chain)};
      CHECK(verdict_of(first).ends_at() == seconds_from_now(120));
      advance_time(90);
      CHECK(verdict_of(first).success());
      CHECK(resume(*server, first)->resumed());
      advance_time(30);
      CHECK_FALSE(verdict_of(first).success());
      CHECK_FALSE(resume(*server, first)->resumed());
    }
  }
}

TEST_CASE("verdict: the tolerance is for the client's own end alone, and clears no other error") {
  const Pki& pki = Pki::get();
  const Certificate over = issue({.common_name = "over", .usage = Usage::ca, .ends_in = -10}, &pki.ca1);
  const Certificate stranger = issue({.common_name = "stranger", .usage = Usage::ca});
  struct Row {
    const char* name;
    std::vector<Certificate> chain;
    Reasons reasons;
  };
  std::vector<Row> rows;
  rows.push_back({"a CA's end", chain_of(issue({}, &over), over), {{X509_V_ERR_CERT_HAS_EXPIRED, 1}}});
  rows.push_back({"a beginning", chain_of(issue({.starts_in = 10}, &pki.ca1)), {{X509_V_ERR_CERT_NOT_YET_VALID, 0}}});
  rows.push_back({"untrusted besides", chain_of(issue({.ends_in = -10}, &stranger)), {{20, 0}, {21, 0}}});
  rows.push_back({"for servers besides",
                  chain_of(issue({.usage = Usage::server, .ends_in = -10}, &pki.ca1)),
                  {{X509_V_ERR_INVALID_PURPOSE, 0}}});
  for (const Row& row : rows) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        const auto server = make_server(mechanism, Way::by_policy, tolerating(3600));
        const Pair pair{*server, showing(row.chain)};
        CHECK(reasons_of(verdict_of(pair)) == row.reasons);
        CHECK(verdict_of(pair).warnings().empty());
        CHECK(pair.verify() == std::string("FAILED:") + X509_verify_cert_error_string(row.reasons.back().first));
      }
    }
  }
}

TEST_CASE("verdict: a success ends on a kept connection, and is none where the clock has been set far back") {
  for_each_way("kept", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 3600}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking(ClientAuth::required));
    const Pair first{*server, showing(chain)};
    const auto next = resume(*server, first);
    REQUIRE(next->resumed());
    for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
      const ClockRestorer back;
      const Verdict verdict = verdict_of(*pair);
      REQUIRE(verdict.success());
      CHECK(verdict.ends_at() == seconds_from_now(3600));
      const std::pair<long, bool> times[] = {{-3600, false}, {-301, false}, {-300, true}, {-1, true},
                                             {0, true},      {3599, true},  {3600, false}};
      long now = 0;
      for (const auto& [at, success] : times) {
        CAPTURE(at);
        CHECK((verdict.status_at(seconds_from_now(at - now)) == Status::success) == success);
        advance_time(at - now);
        now = at;
        CHECK(verdict_of(*pair).success() == success);
        CHECK(pair->verify() == (success  ? "SUCCESS"
                                 : at < 0 ? "FAILED:the clock is before the authentication"
                                          : "FAILED:authentication has ended"));
        const bool shown = success || way == Way::by_hand;
        CHECK(pair->chain() == (shown ? pem_of({chain[0].get(), chain[1].get()}) : Pair::not_authenticated));
      }
    }
  });
}

TEST_CASE("verdict: only a success changes with the time") {
  const auto server = make_server(Mechanism::stateless13, Way::by_policy, asking());
  for (const auto& chain : {std::vector<X509*>{}, std::vector<X509*>{Pki::get().client2.get()}}) {
    ClientOptions options = client2();
    options.chain = chain;
    const Verdict verdict = verdict_of(Pair{*server, options});
    for (const long at : {-3600L, 0L, 1'000'000'000L})
      CHECK(verdict.status_at(seconds_from_now(at)) == verdict.status());
  }
}

namespace {

PolicyOptions with_lists(ClientAuth request, long end) {
  PolicyOptions options = asking(request);
  options.refusal = Refusal::host;
  options.crls.push_back(issue_crl(Pki::get().ca1));
  options.crls.push_back(issue_crl(Pki::get().intermediate1, {}, 0, end));
  return options;
}

}  // namespace

TEST_CASE("verdict: when a list has ended and there is no newer one, nobody is success and nothing resumes") {
  for (const ClientAuth request : {ClientAuth::optional, ClientAuth::required}) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << to_string(request)) {
        const ClockRestorer clock;
        const PolicyPtr policy = make_policy(with_lists(request, 100));
        CHECK(policy->lists_end() == seconds_from_now(100));
        PolicyServer server{mechanism, make_policies({{"a.test", policy}})};
        const Pair first{server, showing(first_chain())};
        advance_time(90);
        CHECK(verdict_of(first).success());
        const auto next = resume(server, first);
        REQUIRE(next->resumed());
        CHECK(verdict_of(*next).success());
        advance_time(10);
        for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
          CHECK(reasons_of(verdict_of(*pair)) == Reasons{{X509_V_ERR_CRL_HAS_EXPIRED, 0}});
          CHECK(pair->verify() == "FAILED:CRL has expired");
          CHECK_FALSE(resume(server, *pair)->resumed());
        }
        advance_time(5);
        const Pair full{server, showing(first_chain())};
        CHECK(reasons_of(verdict_of(full)) == Reasons{{X509_V_ERR_CRL_HAS_EXPIRED, 0}});
        CHECK_FALSE(full.resumed());
        server.policies->replace(make_table({{"a.test", make_policy(with_lists(request, 100))}}));
        CHECK(verdict_of(Pair{server, showing(first_chain())}).success());
      }
    }
  }
}

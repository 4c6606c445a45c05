// Who the client is: the same answer on the connection where it proved itself and on those that resume its session, by
// hand and by policy.
#include "client_tls/verdict.hpp"

#include <functional>

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/verdicts.hpp"

using namespace client_tls;
using namespace test;

using Status = Verdict::Status;
using std::chrono::seconds;

namespace {

void check_same(const Verdict& now, const Verdict& before) {
  CHECK(now.status() == before.status());
  CHECK(std::ranges::equal(now.reasons(), before.reasons()));
  CHECK(std::ranges::equal(now.warnings(), before.warnings()));
  CHECK(now.authenticated_at() == before.authenticated_at());
  CHECK(now.ends_at() == before.ends_at());
  CHECK(now.verified_by() == before.verified_by());
  CHECK(now.presented() == before.presented());
}

// What resumes the first connection's session, a little later; not resumed where there is none.
std::unique_ptr<Pair> resume(Server& server, const Pair& first) {
  static const std::vector<Certificate> nothing;  // but the session
  const auto session = first.session();
  return std::make_unique<Pair>(server, showing(nothing, session.get()));
}

template <class Check>
void for_each_way(const std::string& name, Check check) {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const Way way : both_ways) {
      DYNAMIC_SECTION(name << ", " << to_string(mechanism) << ", " << to_string(way)) {
        const ClockRestorer clock;
        check(mechanism, way);
      }
    }
  }
}

const std::vector<Certificate>& first_chain() {
  static const auto chain = chain_of(Pki::get().client1, Pki::get().intermediate1);
  return chain;
}

}  // namespace

TEST_CASE("verdict: the four statuses, and each is the same on a connection that resumes") {
  struct Row {
    const char* name;
    ClientAuth request;
    std::vector<Certificate> chain;
    Status status;
  };
  std::vector<Row> rows;
  rows.push_back({"not asked", ClientAuth::none, chain_of(Pki::get().client1), Status::not_asked});
  rows.push_back({"none", ClientAuth::optional, {}, Status::none});
  rows.push_back(
      {"success", ClientAuth::optional, chain_of(Pki::get().client1, Pki::get().intermediate1), Status::success});
  rows.push_back(
      {"required", ClientAuth::required, chain_of(Pki::get().client1, Pki::get().intermediate1), Status::success});
  rows.push_back({"failed", ClientAuth::optional, chain_of(Pki::get().client1), Status::failed});
  for (const Row& row : rows) {
    const bool asks = row.request != ClientAuth::none;
    for_each_way(row.name, [&](Mechanism mechanism, Way way) {
      const auto server = make_server(mechanism, way, asks ? asking(row.request) : PolicyOptions{});
      const Pair first{*server, showing(row.chain)};
      REQUIRE(first.done());
      const Verdict verdict = verdict_of(first);
      CHECK(verdict.status() == row.status);
      CHECK_FALSE(verdict.resumed());
      CHECK(verdict.success() == (row.status == Status::success));
      CHECK(verdict.reasons().empty() == (row.status != Status::failed));
      const bool presented = row.status == Status::success || row.status == Status::failed;
      CHECK(verdict.authenticated_at().has_value() == presented);
      if (presented) CHECK(verdict.authenticated_at() == seconds_from_now(0));
      advance_time(10);
      const auto next = resume(*server, first);
      REQUIRE(next->resumed());
      CHECK(verdict_of(*next).resumed());
      if (row.status == Status::not_asked && way == Way::by_hand) {
        CHECK(verdict_of(*next).status() == Status::none);  // whether it was asked does not travel
      } else {
        check_same(verdict_of(*next), verdict);
      }
    });
  }
}

namespace {

// A chain that does not verify, and why.
struct Bad {
  const char* name;
  std::vector<Certificate> chain;
  Reasons reasons;
  std::function<void(PolicyOptions&)> adjust = [](PolicyOptions&) {};
};

constexpr std::pair<int, const char*> a_ca[] = {{NID_basic_constraints, "critical,CA:TRUE"},
                                                {NID_key_usage, "critical,keyCertSign,cRLSign"}};

// A CA below CA 1 with an extension more.
Certificate ca_with(int nid, const char* value, const Certificate& issuer = Pki::get().ca1) {
  CertificateOptions options{.common_name = value};
  for (const auto& [other, text] : a_ca) {
    if (other != nid) options.extensions.emplace_back(other, text);
  }
  options.extensions.emplace_back(nid, value);
  return issue(options, &issuer);
}

Certificate leaf_with(int nid, const char* value, const Certificate& issuer = Pki::get().intermediate1) {
  return issue({.extensions = {{nid, value}}}, &issuer);
}

void add_untrusted(std::vector<Bad>& rows) {
  const Certificate stranger = issue({.common_name = "stranger", .usage = Usage::ca});
  const Certificate between = issue({.common_name = "between", .usage = Usage::ca}, &stranger);
  const Certificate leaf = issue({}, &stranger);
  const Certificate long_over = issue({.starts_in = -20, .ends_in = -10}, &stranger);
  rows.push_back({"untrusted", chain_of(leaf), {{20, 0}, {21, 0}}});
  rows.push_back({"untrusted, of an intermediate", chain_of(issue({}, &between), between), {{20, 1}}});
  rows.push_back({"untrusted and expired", chain_of(long_over), {{20, 0}, {21, 0}, {10, 0}}});
  rows.push_back({"self-signed", chain_of(issue({.common_name = "self"})), {{18, 0}}});
  rows.push_back({"self-signed in the chain", chain_of(leaf, stranger), {{19, 1}}});
}

void add_times(std::vector<Bad>& rows) {
  const Pki& pki = Pki::get();
  const Certificate over =
      issue({.common_name = "over", .usage = Usage::ca, .starts_in = -20, .ends_in = -10}, &pki.ca1);
  rows.push_back({"expired", chain_of(issue({.ends_in = -10}, &pki.ca1)), {{10, 0}}});
  rows.push_back({"not yet valid", chain_of(issue({.starts_in = 3600}, &pki.ca1)), {{9, 0}}});
  rows.push_back({"an expired intermediate", chain_of(issue({}, &over), over), {{10, 1}}});
}

void add_rules(std::vector<Bad>& rows) {
  const Pki& pki = Pki::get();
  const Certificate& between = pki.intermediate1;
  const Certificate permitted = ca_with(NID_name_constraints, "critical,permitted;DNS:in.test");
  const Certificate excluded = ca_with(NID_name_constraints, "critical,excluded;DNS:out.test");
  const Certificate last = ca_with(NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  const Certificate below = issue({.common_name = "below", .usage = Usage::ca}, &last);
  const Certificate forger{.certificate = std::move(same(between).certificate), .key = std::move(same(pki.ca2).key)};
  rows.push_back({"for servers", chain_of(leaf_with(NID_ext_key_usage, "serverAuth"), between), {{26, 0}}});
  rows.push_back({"for code", chain_of(leaf_with(NID_ext_key_usage, "codeSigning"), between), {{26, 0}}});
  rows.push_back({"not a permitted name",
                  chain_of(leaf_with(NID_subject_alt_name, "DNS:out.test", permitted), permitted),
                  {{X509_V_ERR_PERMITTED_VIOLATION, 0}}});
  rows.push_back({"an excluded name",
                  chain_of(leaf_with(NID_subject_alt_name, "DNS:out.test", excluded), excluded),
                  {{X509_V_ERR_EXCLUDED_VIOLATION, 0}}});
  rows.push_back({"too many CAs", chain_of(issue({}, &below), below, last), {{X509_V_ERR_PATH_LENGTH_EXCEEDED, 2}}});
  rows.push_back(
      {"below no CA", chain_of(issue({}, &pki.client1), pki.client1, between), {{X509_V_ERR_INVALID_CA, 1}, {26, 1}}});
  rows.push_back({"a forged signature", chain_of(issue({}, &forger), between), {{7, 0}}});
  rows.push_back({"an unknown critical extension",
                  chain_of(leaf_with(NID_netscape_comment, "critical,hello"), between),
                  {{X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, 0}}});
  rows.push_back({"deeper than allowed",
                  chain_of(pki.client1, between),
                  {{X509_V_ERR_CERT_CHAIN_TOO_LONG, 1}, {20, 1}},
                  [](PolicyOptions& options) { options.depth = 0; }});
}

void add_strength(std::vector<Bad>& rows) {
  const Pki& pki = Pki::get();
  const Certificate weak = issue({.common_name = "weak", .usage = Usage::ca, .key = Key::rsa_1024}, &pki.ca1);
  const Certificate sha1 = issue({}, &pki.intermediate1);
  X509_sign(sha1.get(), pki.intermediate1.key.get(), EVP_sha1());
  rows.push_back({"a small key",
                  chain_of(issue({.key = Key::rsa_1024}, &pki.intermediate1), pki.intermediate1),
                  {{X509_V_ERR_EE_KEY_TOO_SMALL, 0}}});
  rows.push_back({"a CA's small key", chain_of(issue({}, &weak), weak), {{X509_V_ERR_CA_KEY_TOO_SMALL, 1}}});
  rows.push_back({"a weak digest", chain_of(sha1, pki.intermediate1), {{X509_V_ERR_CA_MD_TOO_WEAK, 0}}});
}

using Lists = std::vector<X509CrlPtr>;

// A row about client 1, and the list of its issuer; that of the issuer's issuer is good.
Bad with_list(const char* name, X509CrlPtr list, Reasons reasons) {
  const Pki& pki = Pki::get();
  const auto lists = std::make_shared<Lists>();
  lists->push_back(issue_crl(pki.ca1));
  if (list) lists->push_back(std::move(list));
  return {name, chain_of(pki.client1, pki.intermediate1), std::move(reasons), [lists](PolicyOptions& options) {
            for (const auto& one : *lists) {
              X509_CRL_up_ref(one.get());
              options.crls.emplace_back(one.get());
            }
          }};
}

void add_lists(std::vector<Bad>& rows) {
  const Pki& pki = Pki::get();
  const Certificate forger{.certificate = std::move(same(pki.intermediate1).certificate),
                           .key = std::move(same(pki.ca2).key)};
  rows.push_back(with_list("revoked", issue_crl(pki.intermediate1, {&pki.client1}), {{X509_V_ERR_CERT_REVOKED, 0}}));
  rows.push_back(with_list("no list", nullptr, {{X509_V_ERR_UNABLE_TO_GET_CRL, 0}}));
  rows.push_back(
      with_list("a list of the past", issue_crl(pki.intermediate1, {}, -20, -10), {{X509_V_ERR_CRL_HAS_EXPIRED, 0}}));
  rows.push_back(with_list("a list of the future", issue_crl(pki.intermediate1, {}, 3600, 7200),
                           {{X509_V_ERR_CRL_NOT_YET_VALID, 0}}));
  rows.push_back(with_list("a forged list", issue_crl(forger), {{X509_V_ERR_CRL_SIGNATURE_FAILURE, 0}}));
}

void add_rejected(std::vector<Bad>& rows) {
  Certificate rejecting = issue({.common_name = "rejecting", .usage = Usage::ca});
  const client_tls::OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> clients{OBJ_dup(OBJ_nid2obj(NID_client_auth))};
  X509_add1_reject_object(rejecting.get(), clients.get());
  const auto anchor = std::make_shared<Certificate>(same(rejecting));
  rows.push_back({"an anchor that is for no client",
                  chain_of(issue({}, &rejecting)),
                  {{X509_V_ERR_CERT_REJECTED, 1}, {26, 1}},
                  [anchor](PolicyOptions& options) { options.anchors = share({anchor.get()}); }});
}

const std::vector<Bad>& bad_chains() {
  static const std::vector<Bad> rows = [] {
    std::vector<Bad> all;
    for (const auto add : {add_untrusted, add_times, add_rules, add_strength, add_lists, add_rejected}) add(all);
    return all;
  }();
  return rows;
}

PolicyOptions options_for(const Bad& bad, ClientAuth request = ClientAuth::optional) {
  PolicyOptions options = asking(request);
  bad.adjust(options);
  return options;
}

}  // namespace

// V2, V3, V4, V10, V14
TEST_CASE("verdict: every error of a chain is a reason, in order and with its depth, also on a resumed connection") {
  for (const Bad& bad : bad_chains()) {
    for_each_way(bad.name, [&](Mechanism mechanism, Way way) {
      const auto server = make_server(mechanism, way, options_for(bad));
      const Pair first{*server, showing(bad.chain)};
      REQUIRE(first.done());
      const Verdict verdict = verdict_of(first);
      CHECK(verdict.status() == Status::failed);
      CHECK(reasons_of(verdict) == bad.reasons);
      for (const Reason& reason : verdict.reasons()) CHECK(reason.text == X509_verify_cert_error_string(reason.code));
      // nginx has one, the last.
      CHECK(first.verify() == std::string("FAILED:") + X509_verify_cert_error_string(bad.reasons.back().first));
      CHECK(verdict.authenticated_at() == seconds_from_now(0));
      const bool lasts = verdict.ends_at() > seconds_from_now(0);
      advance_time(5);
      const auto next = resume(*server, first);
      REQUIRE(next->resumed() == lasts);
      if (!lasts) return;
      CHECK(verdict_of(*next).resumed());
      check_same(verdict_of(*next), verdict);
      CHECK(next->verify() == first.verify());
    });
  }
}

TEST_CASE(
    "verdict: where a certificate is required, a chain that does not verify never gets an answer, or a failed one") {
  for (const Bad& bad : bad_chains()) {
    for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
      for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
        CAPTURE(bad.name, to_string(mechanism), static_cast<int>(refusal));
        PolicyOptions options = options_for(bad, ClientAuth::required);
        options.refusal = refusal;
        const auto server = make_server(mechanism, Way::by_policy, std::move(options));
        const Pair pair{*server, showing(bad.chain)};
        CHECK(pair.done() == (refusal == Refusal::host));
        if (!pair.done()) continue;
        CHECK(reasons_of(verdict_of(pair)) == bad.reasons);
        CHECK(pair.chain() == Pair::not_authenticated);
        CHECK_FALSE(resume(*server, pair)->resumed());
      }
    }
  }
}

// V15
TEST_CASE("verdict: what a certificate is for decides, and a wider purpose is a warning where it was needed") {
  struct Row {
    const char* name;
    int nid;
    const char* value;
    bool for_clients, for_servers;
  };
  constexpr Row rows[] = {
      {"clients", NID_ext_key_usage, "clientAuth", true, false},
      {"both", NID_ext_key_usage, "clientAuth,serverAuth", true, true},
      {"servers", NID_ext_key_usage, "serverAuth", false, true},
      {"any", NID_ext_key_usage, "anyExtendedKeyUsage", false, false},
      {"code", NID_ext_key_usage, "codeSigning", false, false},
      {"not said", NID_subject_alt_name, "DNS:a.test", true, true},
  };
  for (const Row& row : rows) {
    const auto chain = chain_of(leaf_with(row.nid, row.value), Pki::get().intermediate1);
    for (const Purpose purpose : {Purpose::client, Purpose::client_or_server}) {
      for (const Mechanism mechanism : all_mechanisms) {
        DYNAMIC_SECTION(row.name << ", " << static_cast<int>(purpose) << ", " << to_string(mechanism)) {
          PolicyOptions options = asking();
          options.purpose = purpose;
          const auto server = make_server(mechanism, Way::by_policy, std::move(options));
          const Pair first{*server, showing(chain)};
          const bool widened = !row.for_clients && row.for_servers && purpose == Purpose::client_or_server;
          const bool good = row.for_clients || widened;
          const Verdict verdict = verdict_of(first);
          CHECK(verdict.success() == good);
          CHECK(reasons_of(verdict) == (good ? Reasons{} : Reasons{{X509_V_ERR_INVALID_PURPOSE, 0}}));
          CHECK(warnings_of(verdict) == (widened ? std::vector<int>{X509_V_ERR_INVALID_PURPOSE} : std::vector<int>{}));
          const auto next = resume(*server, first);
          REQUIRE(next->resumed());
          check_same(verdict_of(*next), verdict);
        }
      }
    }
  }
}

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
      DYNAMIC_SECTION(to_string(mechanism) << ", " << tolerance) {
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
        check_same(verdict_of(*next), verdict);
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
    for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
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

// R28
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

// R28
TEST_CASE("verdict: when a list has ended and there is no newer one, nobody is success and nothing resumes") {
  for (const ClientAuth request : {ClientAuth::optional, ClientAuth::required}) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << static_cast<int>(request)) {
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

namespace {

// What the log says in this request.
std::string log_in(const Pair& pair, PhaseContext& context) {
  context.enter(Phase::log);
  const auto entry = ClientTls{pair.server(), context}.log_entry();
  return entry ? entry->client_verify : std::string(entry.error().message);
}

}  // namespace

TEST_CASE("verdict: the log has the one that its request was last given, or else the present one") {
  for_each_way("kept", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 60}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking(ClientAuth::required));
    const Pair pair{*server, showing(chain)};
    PhaseContext early{Phase::access};
    PhaseContext again{Phase::access};
    PhaseContext by_another{Phase::access};
    PhaseContext silent{Phase::access};
    CHECK(ClientTls{pair.server(), early}.verdict()->success());
    CHECK(ClientTls{pair.server(), again}.verdict()->success());
    const PolicyPtr other = make_policy(asking(ClientAuth::optional, {&Pki::get().ca2}));
    CHECK(ClientTls{pair.server(), by_another}.verdict()->success());
    CHECK_FALSE(ClientTls{pair.server(), by_another}.verdict(*other)->success());
    advance_time(60);
    CHECK_FALSE(ClientTls{pair.server(), again}.verdict()->success());
    CHECK(log_in(pair, early) == "SUCCESS");
    CHECK(log_in(pair, again) == "FAILED:authentication has ended");
    CHECK(log_in(pair, by_another) == "FAILED:unable to get local issuer certificate");
    CHECK(log_in(pair, silent) == "FAILED:authentication has ended");
  });
}

TEST_CASE("verdict: what a client presented that is no success is there, by a name of its own") {
  const auto& pki = Pki::get();
  const std::string pem = pem_of({pki.client1.get()});
  const auto chain = chain_of(pki.client1);  // its issuer is missing
  for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
    const bool required = refusal == Refusal::host;
    for_each_way(required ? "required, refused by the host" : "optional", [&](Mechanism mechanism, Way way) {
      PolicyOptions options = asking(required ? ClientAuth::required : ClientAuth::optional);
      options.refusal = refusal;
      const auto server = make_server(mechanism, way, std::move(options));
      const Pair first{*server, showing(chain)};
      REQUIRE(first.done());
      CHECK(verdict_of(first).presented() == pem);
      CHECK(verdict_of(first).presented().data() == verdict_of(first).presented().data());  // made once
      CHECK(first.chain() == (required && way == Way::by_policy ? Pair::not_authenticated : pem));
      const auto next = resume(*server, first);
      if (next->resumed()) CHECK(verdict_of(*next).presented() == pem);
      CHECK(next->resumed() == !(required && way == Way::by_policy));
    });
  }
}

TEST_CASE("verdict: a success has presented nothing, and an authentication that has ended has") {
  for_each_way("ends", [](Mechanism mechanism, Way way) {
    const auto chain = chain_of(issue({.ends_in = 3600}, &Pki::get().intermediate1), Pki::get().intermediate1);
    const auto server = make_server(mechanism, way, asking());
    const Pair first{*server, showing(chain)};
    const auto next = resume(*server, first);
    REQUIRE(next->resumed());
    for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
      CHECK(verdict_of(*pair).presented().empty());
      const ClockRestorer back;
      advance_time(3600);
      CHECK(verdict_of(*pair).presented() == pem_of({chain[0].get(), chain[1].get()}));
    }
    const Pair nobody{*server, ClientOptions{}};
    CHECK(verdict_of(nobody).presented().empty());
  });
}

TEST_CASE("verdict: by whose rules a certificate was verified") {
  using By = Verdict::VerifiedBy;
  for_each_way("verified by", [](Mechanism mechanism, Way way) {
    const By own = way == Way::by_policy ? By::policy : By::host;
    const PolicyPtr another = make_policy(asking(ClientAuth::optional, {&Pki::get().ca2}));
    for (const bool trusted : {true, false}) {
      const auto server = make_server(mechanism, way, asking());
      const Pair first{*server, trusted ? client1() : client2()};
      const auto next = resume(*server, first);
      REQUIRE(next->resumed());
      for (const Pair* pair : {&first, static_cast<const Pair*>(next.get())}) {
        CHECK(verdict_of(*pair).verified_by() == own);
        const auto by_another = verdict_by(*pair, *another);
        REQUIRE(by_another);
        CHECK(by_another->verified_by() == By::policy);
        CHECK(by_another->success() == !trusted);
        CHECK(by_another->presented().empty() == !trusted);
        CHECK(verdict_by(*pair, *another)->presented() == by_another->presented());  // which is remembered
      }
    }
    const auto server = make_server(mechanism, way, asking());
    CHECK(verdict_of(Pair(*server, ClientOptions{})).verified_by() == By::nobody);
  });
}

TEST_CASE("verdict: it lives on when its connection is gone") {
  const auto server = make_server(Mechanism::stateless13, Way::by_policy, asking());
  const Verdict verdict = [&] { return verdict_of(Pair{*server, client2()}); }();
  CHECK(reasons_of(verdict) == Reasons{{20, 1}});
  CHECK(verdict.presented() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
  CHECK(verdict.reasons().front().text == "unable to get local issuer certificate");
}

namespace {

int say_yes(X509_STORE_CTX* store, void* /*argument*/) {
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

}  // namespace

TEST_CASE("verdict: a verification that the host bypassed is none, and it says so") {
  for_each_way("bypassed", [](Mechanism mechanism, Way way) {
    const auto server = make_server(mechanism, way, asking());
    SSL_CTX_set_cert_verify_callback(server->ssl_ctx(), say_yes, nullptr);
    const Pair pair{*server, showing(first_chain())};
    CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::not_verified, 0}});
    CHECK(verdict_of(pair).verified_by() == Verdict::VerifiedBy::nobody);
    CHECK(verdict_of(pair).presented() == pem_of({first_chain()[0].get(), first_chain()[1].get()}));
    CHECK_FALSE(resume(*server, pair)->resumed());
    // Another policy's own verification can still be made, since the key is proved.
    CHECK(verdict_by(pair, *make_policy(asking()))->success());
  });
}

TEST_CASE("verdict: of a client that resumes a session without its chain nobody knows who it is") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};  // whose host asks by itself, and does not bind
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
      const Pair first{server, showing(first_chain())};
      CHECK(verdict_of(first).success());
      const auto next = resume(server, first);
      REQUIRE(next->resumed());
      CHECK(reasons_of(verdict_of(*next)) == Reasons{{Reason::chain_not_carried, 0}});
      CHECK(verdict_of(*next).verified_by() == Verdict::VerifiedBy::nobody);
      CHECK(verdict_of(*next).presented().empty());
      CHECK(reasons_of(*verdict_by(*next, *make_policy(asking()))) == Reasons{{Reason::chain_not_carried, 0}});
    }
  }
}

namespace {

SslSessionPtr external_psk(SSL* ssl) {
  static constexpr std::array<unsigned char, 2> aes256_sha384{0x13, 0x02};
  static constexpr std::array<unsigned char, 32> key{1, 2, 3};
  SslSessionPtr session{SSL_SESSION_new()};
  SSL_SESSION_set1_master_key(session.get(), key.data(), key.size());
  SSL_SESSION_set_cipher(session.get(), SSL_CIPHER_find(ssl, aes256_sha384.data()));
  SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION);
  return session;
}
int find_psk(SSL* ssl, const unsigned char* /*identity*/, std::size_t /*size*/, SSL_SESSION** session) {
  *session = external_psk(ssl).release();
  return 1;
}
int use_psk(SSL* ssl, const EVP_MD* /*digest*/, const unsigned char** identity, std::size_t* size,
            SSL_SESSION** session) {
  *identity = reinterpret_cast<const unsigned char*>("psk");
  *size = 3;
  *session = external_psk(ssl).release();
  return 1;
}

}  // namespace

TEST_CASE("verdict: an external PSK is no proof where a certificate is required, and elsewhere it is none") {
  for (const ClientAuth request : {ClientAuth::optional, ClientAuth::required}) {
    for (const Mechanism mechanism : {Mechanism::stateless13, Mechanism::stateful13, Mechanism::external13}) {
      DYNAMIC_SECTION(static_cast<int>(request) << ", " << to_string(mechanism)) {
        Server server{mechanism};
        Hooks hooks;
        hooks.client_hello = [](Handshake& handshake) {
          SSL_set_psk_find_session_callback(handshake.ssl(), find_psk);
          return Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(asking(request))}}), std::move(hooks)));
        ClientOptions options;
        options.adjust = [](SSL* ssl) { SSL_set_psk_use_session_callback(ssl, use_psk); };
        const Pair pair{server, options};
        REQUIRE(pair.done());
        const Verdict verdict = verdict_of(pair);
        const bool failed = request == ClientAuth::required;
        CHECK(verdict.status() == (failed ? Status::failed : Status::none));
        CHECK(reasons_of(verdict) == (failed ? Reasons{{Reason::unproved_session, 0}} : Reasons{}));
        CHECK(pair.chain() == (failed ? Pair::not_authenticated : "none"));
      }
    }
  }
}

TEST_CASE("verdict: a connection that came to an SSL_CTX with policies without one is failed") {
  for (const Mechanism mechanism : {Mechanism::stateless13, Mechanism::stateful13, Mechanism::external13}) {
    for (const bool presents : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << presents) {
        const auto with = make_server(mechanism, Way::by_policy, asking());
        Server server{mechanism};
        SSL_CTX_set_client_hello_cb(server.ssl_ctx(), nullptr, nullptr);
        SSL_CTX_set_cert_cb(server.ssl_ctx(), nullptr, nullptr);
        SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
        const Pair pair{server, presents ? showing(first_chain()) : ClientOptions{}};
        REQUIRE(pair.done());
        CHECK(verdict_of(pair).success() == presents);  // as the host says
        SSL_set_SSL_CTX(pair.server(), with->ssl_ctx());
        CHECK(reasons_of(verdict_of(pair)) == Reasons{{Reason::no_policy, 0}});
      }
    }
  }
}

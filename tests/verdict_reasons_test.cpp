// Why a client is none that was verified: every error of its chain, and what its certificate is for.
#include "client_tls/verdict.hpp"

#include <functional>

#include "support/checks.hpp"

using namespace client_tls;
using namespace test;

using Status = Verdict::Status;
using std::chrono::seconds;

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

const std::vector<Bad>& bad_chains() {
  static const std::vector<Bad> rows = [] {
    std::vector<Bad> all;
    for (const auto add : {add_untrusted, add_times, add_rules, add_strength, add_lists}) add(all);
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
      check_all_the_same(verdict_of(*next), verdict);
      CHECK(next->verify() == first.verify());
    });
  }
}

TEST_CASE(
    "verdict: where a certificate is required, a chain that does not verify never gets an answer, or a failed one") {
  for (const Bad& bad : bad_chains()) {
    for (const Mechanism mechanism : both_versions) {
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
        DYNAMIC_SECTION(row.name << ", " << (purpose == Purpose::client ? "for clients, " : "for either side, ")
                                 << to_string(mechanism)) {
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
          check_all_the_same(verdict_of(*next), verdict);
        }
      }
    }
  }
}

// Revocation lists: which are whole, which counts, whom they revoke, and what is the same for a session.
#include <openssl/x509v3.h>

#include "client_tls/pem.hpp"
#include "support/checks.hpp"
#include "support/verdicts.hpp"

using namespace client_tls;
using namespace test;
using std::chrono::seconds;

namespace {

using Extensions = std::vector<std::pair<int, std::string>>;

const Certificate& ca() {
  static const Certificate made =
      issue({.common_name = "CA",
             .usage = Usage::ca,
             .extensions = {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_subject_key_identifier, "hash"}}});
  return made;
}
const Certificate& client() {
  static const Certificate made = issue({.common_name = "client"}, &ca());
  return made;
}
const Certificate& other_client() {
  static const Certificate made = issue({.common_name = "other client"}, &ca());
  return made;
}

using Lists = std::vector<X509CrlPtr>;

template <class... List>
Lists lists_of(List... lists) {
  Lists all;
  (all.push_back(std::move(lists)), ...);
  return all;
}

PolicyOptions with(Lists lists) {
  PolicyOptions options = asking(ClientAuth::optional, {&ca()});
  options.crls = std::move(lists);
  return options;
}

X509CrlPtr list_with(Extensions extensions, Extensions entry_extensions = {}) {
  return issue_list(
      ca(),
      {.revoked = {&client()}, .extensions = std::move(extensions), .entry_extensions = std::move(entry_extensions)});
}

Error error_of(Lists lists) {
  auto policy = ClientAuthPolicy::make(with(std::move(lists)));
  REQUIRE_FALSE(policy);
  return policy.error();
}

std::string verify_by(Lists lists, const Certificate& leaf = client()) {
  PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", make_policy(with(std::move(lists)))}})};
  return Pair(server, client_with(leaf)).verify();
}

std::vector<std::string> warnings_by(Lists lists) {
  std::vector<std::string> texts;
  const PolicyPtr policy = make_policy(with(std::move(lists)));
  for (const PolicyWarning& warning : policy->warnings()) {
    texts.push_back(std::to_string(warning.position) + " " + std::string(warning.message));
  }
  return texts;
}

ClientAuthPolicy::Digest digest_by(Lists lists) {
  return make_policy(with(std::move(lists)))->digest();
}

constexpr std::string_view does_not_decode = "crls: it does not decode";
constexpr const char* delta = "crls: it is not whole: a delta list, which says only what has changed";

}  // namespace

TEST_CASE("revocation list: one that is not whole is refused by name, wherever it stands") {
  struct Row {
    Extensions extensions;
    const char* message;
    Extensions entry_extensions = {};
  };
  const Row rows[] = {
      {{{NID_delta_crl, "critical,DER:020101"}}, delta},
      {{{NID_delta_crl, "DER:020101"}}, delta},
      {{{NID_issuing_distribution_point, "critical,indirectCRL:TRUE"}},
       "crls: it is an indirect list, with certificates of other issuers"},
      {{{NID_issuing_distribution_point, "indirectCRL:TRUE"}},
       "crls: it is an indirect list, with certificates of other issuers"},
      {{{NID_issuing_distribution_point, "critical,onlysomereasons:keyCompromise"}},
       "crls: it is not whole: a list for some reasons only"},
      {{{NID_issuing_distribution_point, "critical,onlyAA:TRUE"}}, "crls: it is about attribute certificates only"},
      {{{NID_issuing_distribution_point, "critical,onlyuser:TRUE,onlyCA:TRUE"}},
       "crls: it is about users only and about CAs only, so about nothing"},
      {{{NID_issuing_distribution_point, "critical,DER:3003020100"}},
       "crls: its issuing distribution point is malformed"},
      {{{NID_issuing_distribution_point, "critical,onlyuser:TRUE"}, {NID_issuing_distribution_point, "onlyuser:TRUE"}},
       "crls: its issuing distribution point is malformed"},
      {{{NID_authority_key_identifier, "DER:0201"}}, "crls: its authority key identifier is malformed"},
      {{{NID_crl_number, "DER:0400"}}, "crls: its number is malformed"},
      {{{NID_netscape_comment, "critical,text"}}, "crls: it has a critical extension that is not known"},
      {{{NID_crl_number, "DER:020109"}}, "crls: its number is malformed"},
      {{}, "crls: an entry says \"remove from CRL\", which only a delta list can", {{NID_crl_reason, "DER:0A0108"}}},
      {{},
       "crls: an entry names a certificate issuer, which only an indirect list can",
       {{NID_certificate_issuer, "critical,DER:300782056F74686572"}}},
      {{},
       "crls: an entry names a certificate issuer, which only an indirect list can",
       {{NID_certificate_issuer, "DER:300782056F74686572"}}},
      {{}, "crls: an entry has a critical extension that is not known", {{NID_netscape_comment, "critical,text"}}},
      {{}, "crls: an entry's reason is malformed", {{NID_crl_reason, "DER:0400"}}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    const auto bad = [&row] { return list_with(row.extensions, row.entry_extensions); };
    // OpenSSL 4.0 does not even decode what is malformed, or names a certificate issuer where it cannot.
    const Error error = error_of(lists_of(bad()));
    const std::string_view named = row.message;
    const bool may_not_decode =
        named.ends_with("malformed") || named.find("certificate issuer") != std::string_view::npos;
    const std::string_view message = may_not_decode && error.message == does_not_decode ? does_not_decode : named;
    CHECK(error == Error{Errc::invalid_argument, 1, message});
    CHECK(error_of(lists_of(issue_list(ca(), {}), bad())) == Error{Errc::invalid_argument, 2, message});
    CHECK(error_of(lists_of(bad(), issue_list(ca(), {}))).position == 1);
  }
}

TEST_CASE("revocation list: a newer delta list beside its base does not let in whom the base revokes") {
  const auto base = [] { return issue_list(ca(), {.revoked = {&client()}, .number = 1}); };
  const auto newer = [] {
    return issue_list(ca(), {.starts_in = 60, .number = 2, .extensions = {{NID_delta_crl, "critical,DER:020101"}}});
  };
  CHECK(error_of(lists_of(base(), newer())).message == delta);
  CHECK(error_of(lists_of(newer(), base())).message == delta);
  CHECK(verify_by(lists_of(base())) == "FAILED:certificate revoked");
}

TEST_CASE("revocation list: who is on one is revoked, for whatever reason and from whatever date") {
  CHECK(verify_by(lists_of(issue_list(ca(), {}))) == "SUCCESS");
  // unspecified to AACompromise, certificateHold (6) among them; 7 is none.
  for (const char* reason : {"00", "01", "02", "03", "04", "05", "06", "07", "09", "0A"}) {
    for (const long date : {-3600L, 0L, 3600L, 400L * 24 * 3600}) {
      CAPTURE(reason, date);
      const auto list = [&] {
        return issue_list(ca(), {.revoked = {&client()},
                                 .revoked_in = date,
                                 .entry_extensions = {{NID_crl_reason, "DER:0A01" + std::string(reason)}}});
      };
      CHECK(verify_by(lists_of(list())) == "FAILED:certificate revoked");
      CHECK(verify_by(lists_of(list()), other_client()) == "SUCCESS");
    }
  }
}

TEST_CASE("revocation list: of two of one issuer and scope the newer counts, in any order") {
  const auto both = [](RevocationOptions older, RevocationOptions newer, const char* expected) {
    for (const bool turned : {false, true}) {
      CAPTURE(turned);
      auto lists = lists_of(issue_list(ca(), older), issue_list(ca(), newer));
      if (turned) std::swap(lists[0], lists[1]);
      auto again = lists_of(issue_list(ca(), older), issue_list(ca(), newer));
      if (turned) std::swap(again[0], again[1]);
      CHECK(verify_by(std::move(lists)) == expected);
      const PolicyPtr policy = make_policy(with(std::move(again)));
      CHECK(policy->options().crls.size() == 1);
      REQUIRE(policy->warnings().size() == 1);
      CHECK(policy->warnings()[0].message ==
            "crls: another one of the same issuer and scope is newer and counts instead");
      CHECK(policy->warnings()[0].position == (turned ? 2U : 1U));
    }
  };
  both({.starts_in = -60}, {.revoked = {&client()}}, "FAILED:certificate revoked");
  both({.revoked = {&client()}, .starts_in = -60}, {}, "SUCCESS");
  both({.number = 200}, {.revoked = {&client()}, .number = 201}, "FAILED:certificate revoked");
  both({.revoked = {&client()}, .number = 200}, {.number = 201}, "SUCCESS");
  // The newer one is no less the newer one where the older one lasts longer.
  both({.starts_in = -60, .ends_in = 9000}, {.revoked = {&client()}, .ends_in = 600}, "FAILED:certificate revoked");
}

TEST_CASE("revocation list: of two that are as new it cannot be told which counts") {
  const auto list = [](std::vector<const Certificate*> revoked) {
    return issue_list(ca(), {.revoked = std::move(revoked), .number = 300});
  };
  const Error error = error_of(lists_of(issue_list(Pki::get().ca2, {}), list({}), list({&client()})));
  CHECK(error.message == "crls: an earlier one of the same issuer and scope is as new, and has other entries");
  CHECK(error.position == 3);
  CHECK(error.other_position == 2);
  // The same twice, and the same signed anew, is one.
  CHECK(verify_by(lists_of(list({&client()}), list({&client()}))) == "FAILED:certificate revoked");
}

TEST_CASE("revocation list: each scope has a list of its own") {
  const auto scoped = [](const char* scope, std::vector<const Certificate*> revoked) {
    return issue_list(ca(), {.revoked = std::move(revoked), .extensions = {{NID_issuing_distribution_point, scope}}});
  };
  const char* users = "critical,onlyuser:TRUE";
  const char* cas = "critical,onlyCA:TRUE";
  CHECK(verify_by(lists_of(scoped(users, {&client()}), scoped(cas, {}))) == "FAILED:certificate revoked");
  CHECK(verify_by(lists_of(scoped(cas, {}), scoped(users, {}))) == "SUCCESS");
  // A list that does not cover a certificate says nothing of it.
  CHECK(verify_by(lists_of(scoped(cas, {}))) == "FAILED:unable to get certificate CRL");
  CHECK(make_policy(with(lists_of(scoped(users, {}), scoped(cas, {}))))->options().crls.size() == 2);
}

TEST_CASE("revocation list: one of another key of the same CA does not cover this one") {
  const Certificate rolled_over =
      issue({.common_name = "CA",
             .usage = Usage::ca,
             .extensions = {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_subject_key_identifier, "hash"}}});
  const Extensions by_key = {{NID_authority_key_identifier, "keyid:always"}};
  const auto of = [&](const Certificate& issuer) { return issue_list(issuer, {.extensions = by_key}); };
  CHECK(error_of(lists_of(of(rolled_over))).message ==
        "anchors: it issued none of the lists in crls, so that nobody whom it names would get in");
  CHECK(verify_by(lists_of(of(rolled_over), of(ca()))) == "SUCCESS");
  // Both keys are anchors, and a list that the other one signs revokes nobody here.
  PolicyOptions options = asking(ClientAuth::optional, {&ca(), &rolled_over});
  options.crls = lists_of(of(ca()), issue_list(rolled_over, {.revoked = {&client()}, .extensions = by_key}));
  PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", make_policy(std::move(options))}})};
  CHECK(Pair(server, client_with(client())).verify() == "SUCCESS");
}

TEST_CASE("revocation list: one that its issuer has not signed is refused") {
  const Certificate forger{.certificate = std::move(same(ca()).certificate),
                           .key = std::move(same(Pki::get().ca2).key)};
  const Error error = error_of(lists_of(issue_list(ca(), {}), issue_list(forger, {.starts_in = 1})));
  CHECK(error.message == "crls: its signature is not that of the CA that it names");
  CHECK(error.position == 2);
}

TEST_CASE("revocation list: what time alone makes wrong is a warning") {
  using Texts = std::vector<std::string>;
  CHECK(warnings_by(lists_of(issue_list(ca(), {}))).empty());
  CHECK(warnings_by(lists_of(issue_list(ca(), {.starts_in = -20, .ends_in = -10}))) ==
        Texts{"1 crls: it has ended, so that nobody gets in until there is a newer one"});
  CHECK(warnings_by(lists_of(issue_list(ca(), {.starts_in = 3600}))) == Texts{"1 crls: it is not valid yet"});
  CHECK(warnings_by(lists_of(issue_list(ca(), {}), issue_list(Pki::get().ca2, {}))) ==
        Texts{"2 crls: no anchor and no intermediate issued it: it is for CAs of which clients send a certificate"});
  CHECK(warnings_by(lists_of(issue_list(ca(), {.ends_in = 0}))) ==
        Texts{"1 crls: it does not say when the next one is due, so that it counts for ever"});
}

TEST_CASE("revocation list: the anchor is looked up in none, and what it issued is") {
  const Pki& pki = Pki::get();
  const auto verify = [](Lists lists) {
    PolicyOptions options = asking();
    options.crls = std::move(lists);
    const PolicyPtr policy = make_policy(std::move(options));
    PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", policy}})};
    const Pair pair{server, client1()};
    // A judgement afterwards is the same.
    PolicyServer open{Mechanism::stateless13, make_policies({{"a.test", make_policy(asking())}})};
    const Pair judged{open, client1()};
    const auto verdict = verdict_by(judged, *policy);
    REQUIRE(verdict);
    CHECK(verdict->success() == (pair.verify() == "SUCCESS"));
    return pair.verify();
  };
  const auto of = [](const Certificate& issuer, RevocationOptions options) { return issue_list(issuer, options); };
  // The CA revokes itself, or its own list is for users alone: neither says anything of it.
  CHECK(verify(lists_of(of(pki.ca1, {.revoked = {&pki.ca1}}), of(pki.intermediate1, {}))) == "SUCCESS");
  CHECK(verify(lists_of(of(pki.ca1, {.extensions = {{NID_issuing_distribution_point, "critical,onlyCA:TRUE"}}}),
                        of(pki.intermediate1, {}))) == "SUCCESS");
  CHECK(verify(lists_of(of(pki.ca1, {.revoked = {&pki.intermediate1}}), of(pki.intermediate1, {}))) ==
        "FAILED:certificate revoked");
  CHECK(verify(lists_of(of(pki.ca1, {}))) == "FAILED:unable to get certificate CRL");
}

TEST_CASE("revocation list: the digest is over who is revoked, and nothing else") {
  const auto good = digest_by(lists_of(issue_list(ca(), {})));
  CHECK(digest_by(lists_of(issue_list(ca(), {.starts_in = 5, .ends_in = 7000, .number = 77}))) == good);
  CHECK(digest_by(lists_of(issue_list(ca(), {}), issue_list(ca(), {}))) == good);
  CHECK(digest_by(lists_of(issue_list(ca(), {.revoked = {&client()}}))) != good);
  CHECK(digest_by(lists_of(issue_list(ca(), {}), issue_list(Pki::get().ca2, {}))) != good);
  CHECK(digest_by({}) != good);
  const auto one = digest_by(lists_of(issue_list(ca(), {.revoked = {&client()}})));
  CHECK(digest_by(lists_of(issue_list(ca(), {.revoked = {&client(), &client()}, .starts_in = 1}))) == one);
  CHECK(digest_by(lists_of(issue_list(
            ca(), {.revoked = {&client()}, .revoked_in = -9, .entry_extensions = {{NID_crl_reason, "DER:0A0104"}}}))) ==
        one);
  CHECK(digest_by(lists_of(issue_list(ca(), {.revoked = {&other_client()}}))) != one);
  CHECK(digest_by(lists_of(issue_list(ca(), {.revoked = {&client(), &other_client()}}))) ==
        digest_by(lists_of(issue_list(ca(), {.revoked = {&other_client(), &client()}}))));
  const auto scoped = [](const char* scope) {
    return digest_by(lists_of(issue_list(ca(), {.extensions = {{NID_issuing_distribution_point, scope}}})));
  };
  CHECK(scoped("critical,onlyuser:TRUE") != good);
  CHECK(scoped("critical,onlyuser:TRUE") != scoped("critical,onlyCA:TRUE"));
}

TEST_CASE("revocation list: one that is given again is kept once, also where it was decoded again") {
  const X509CrlPtr list = issue_list(ca(), {.revoked = {&client()}});
  const std::string pem = pem_of(*list);
  const auto again = [&pem] { return with(std::move(*parse_crls(pem))); };
  const PolicyPtr first = make_policy(again());
  const PolicyPtr second = make_policy(again());
  CHECK(first->options().crls[0].get() == second->options().crls[0].get());
  // And it is the policy's own: what the host does with its copy changes nothing.
  PolicyOptions options = again();
  X509_CRL* host_copy = options.crls[0].get();
  X509_CRL_up_ref(host_copy);
  const X509CrlPtr owner{host_copy};
  const PolicyPtr third = make_policy(std::move(options));
  CHECK(third->options().crls[0].get() != host_copy);
}

TEST_CASE("revocation list: a refreshed one that revokes the same costs nobody a handshake") {
  const auto server_with = [](Mechanism mechanism, PolicyOptions options) {
    auto server =
        std::make_unique<PolicyServer>(mechanism, make_policies({{"a.test", make_policy(std::move(options))}}));
    std::array<unsigned char, 80> keys{};
    keys.fill(7);
    REQUIRE(SSL_CTX_set_tlsext_ticket_keys(server->ssl_ctx(), keys.data(), keys.size()) == 1);
    return server;
  };
  struct Row {
    const char* name;
    Lists (*lists)();
    const char* outcome;
  };
  const Row rows[] = {
      {"refreshed", [] { return lists_of(issue_list(ca(), {.starts_in = 1, .ends_in = 9999})); }, "resumed"},
      {"one more entry that is not in the chain",
       [] { return lists_of(issue_list(ca(), {.revoked = {&other_client()}, .starts_in = 1})); }, "full, SUCCESS"},
      {"an entry that is in the chain",
       [] { return lists_of(issue_list(ca(), {.revoked = {&client()}, .starts_in = 1})); },
       "full, FAILED:certificate revoked"},
      {"another list", [] { return lists_of(issue_list(ca(), {}), issue_list(Pki::get().ca2, {})); }, "full, SUCCESS"},
      {"no list", [] { return Lists{}; }, "full, SUCCESS"},
  };
  for (const Row& row : rows) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        const ClockRestorer clock;
        const auto server = server_with(mechanism, with(lists_of(issue_list(ca(), {}))));
        const Pair first{*server, client_with(client())};
        REQUIRE(first.verify() == "SUCCESS");
        ClientOptions again = client_with(client());
        const auto session = first.session();
        again = test::offering(std::move(again), session);
        const auto outcome = [](const Pair& pair) {
          return pair.resumed() ? std::string("resumed") : "full, " + pair.verify();
        };
        advance_time(2);
        // In one process, by a reload.
        server->policies->replace(make_table({{"a.test", make_policy(with(row.lists()))}}));
        CHECK(outcome(Pair(*server, again)) == row.outcome);
        // In a fleet of three, in which one has the newer list.
        const auto second = server_with(mechanism, with(lists_of(issue_list(ca(), {.ends_in = 5555}))));
        const auto third = server_with(mechanism, with(row.lists()));
        second->external_cache = third->external_cache = server->external_cache;
        const bool shared = mechanism != Mechanism::id12 && mechanism != Mechanism::stateful13;
        if (!shared) return;
        CHECK(outcome(Pair(*second, again)) == "resumed");
        CHECK(outcome(Pair(*third, again)) == row.outcome);
      }
    }
  }
}

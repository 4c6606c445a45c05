// Whom a policy trusts: anchors that are of use or are refused, chains that end in an intermediate, and help for those
// that are incomplete.
#include <openssl/x509v3.h>

#include "support/checks.hpp"
#include "support/verdicts.hpp"

using namespace client_tls;
using namespace test;

namespace {

using Extensions = std::vector<std::pair<int, std::string>>;

Certificate ca_with(Extensions extensions, const Certificate* issuer = nullptr, const char* name = "CA",
                    Key key = Key::ec_p256) {
  return issue({.common_name = name, .usage = Usage::ca, .key = key, .extensions = std::move(extensions)}, issuer);
}

// Below CA 1 again, and issues nothing here.
Error error_of(PolicyOptions options) {
  auto policy = ClientAuthPolicy::make(std::move(options));
  REQUIRE_FALSE(policy);
  CHECK(policy.error().code == Errc::invalid_argument);
  return policy.error();
}

Error error_of(const Certificate& second, void (*change)(PolicyOptions&) = [](PolicyOptions&) {}) {
  PolicyOptions options = asking(ClientAuth::required, {&Pki::get().ca1, &second});
  change(options);
  return error_of(std::move(options));
}

std::vector<std::string> warnings_of(PolicyOptions options) {
  std::vector<std::string> texts;
  const PolicyPtr policy = make_policy(std::move(options));
  for (const PolicyWarning& warning : policy->warnings()) {
    texts.push_back(std::to_string(warning.position) + " " + std::string(warning.message));
  }
  return texts;
}

// In the handshake; a judgement by the same policy afterwards is the same.
std::string verify_by(PolicyOptions options, const ClientOptions& client) {
  const PolicyPtr policy = make_policy(std::move(options));
  PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", policy}})};
  const Pair pair{server, client};
  REQUIRE(pair.done());
  PolicyServer open{Mechanism::stateless13, make_policies({{"a.test", make_policy(asking())}})};
  const Pair judged{open, client};
  const auto verdict = verdict_by(judged, *policy);
  REQUIRE(verdict);
  CHECK(verdict->success() == (pair.verify() == "SUCCESS"));
  return pair.verify();
}

PolicyOptions partly(std::initializer_list<const Certificate*> anchors) {
  PolicyOptions options = asking(ClientAuth::optional, anchors);
  options.partial_chain = true;
  return options;
}

constexpr const char* critical_ca = "critical,CA:TRUE";

}  // namespace

TEST_CASE("anchors: one that can let in nobody whom it names is an error that says which and why") {
  const Pki& pki = Pki::get();
  const auto expect = [](const Error& error, std::string_view message) {
    CHECK(error.message == message);
    CHECK(error.position == 2);
  };
  expect(error_of(pki.client1), "anchors: it is no CA");
  expect(error_of(pki.intermediate2),
         "anchors: no chain can use it: it is not self-signed, and no anchor issued it (see partial_chain)");
  expect(error_of(ca_with({{NID_basic_constraints, critical_ca}, {NID_key_usage, "critical,cRLSign"}})),
         "anchors: it may not sign certificates (its key usage)");
  const Certificate for_servers = ca_with({{NID_basic_constraints, critical_ca}, {NID_ext_key_usage, "serverAuth"}});
  expect(error_of(for_servers), "anchors: it is not for client certificates (its key usages)");
  PolicyOptions both = asking(ClientAuth::required, {&for_servers});
  both.purpose = Purpose::client_or_server;
  CHECK(ClientAuthPolicy::make(std::move(both)));
  expect(error_of(ca_with({{NID_basic_constraints, critical_ca}, {NID_netscape_comment, "critical,text"}})),
         "anchors: it has a critical extension that is not known, so that OpenSSL verifies nothing by it");
  expect(error_of(ca_with({{NID_basic_constraints, critical_ca}, {NID_key_usage, "DER:0400"}})),
         "anchors: it has an extension that is malformed or stands twice");
  const Certificate weak = ca_with({{NID_basic_constraints, critical_ca}}, nullptr, "weak", Key::rsa_1024);
  expect(error_of(weak), "anchors: its key is too weak for security_level");
  CHECK(error_of(weak, [](auto& o) { o.security_level = 5; }).position == 1);  // none of them is strong enough then
  PolicyOptions lax = asking(ClientAuth::required, {&weak});
  lax.security_level = 1;
  CHECK(ClientAuthPolicy::make(std::move(lax)));
}

TEST_CASE("anchors: one with a wrong signature, or a weak one within a chain, is of no use") {
  const Pki& pki = Pki::get();
  const Certificate damaged = ca_with({{NID_basic_constraints, critical_ca}}, nullptr, "damaged");
  X509_sign(damaged.get(), pki.ca2.key.get(), EVP_sha256());
  CHECK(error_of(damaged).message == "anchors: its own signature is wrong");
  const Certificate sha1 = ca_with({{NID_basic_constraints, critical_ca}}, &pki.ca1, "SHA-1");
  X509_sign(sha1.get(), pki.ca1.key.get(), EVP_sha1());
  CHECK(error_of(sha1).message == "anchors: its signature is too weak for security_level");
  // That of the anchor itself is not looked at.
  const Certificate own_sha1 = ca_with({{NID_basic_constraints, critical_ca}}, nullptr, "SHA-1");
  X509_sign(own_sha1.get(), own_sha1.key.get(), EVP_sha1());
  CHECK(ClientAuthPolicy::make(asking(ClientAuth::required, {&own_sha1})));
  const Certificate impostor = ca_with({{NID_basic_constraints, critical_ca}}, &pki.ca1, "impostor");
  X509_sign(impostor.get(), pki.ca2.key.get(), EVP_sha256());
  CHECK(error_of(impostor).position == 2);
}

TEST_CASE("anchors: trust settings in the certificate itself are refused") {
  for (const bool rejects : {false, true}) {
    for (const int use : {NID_client_auth, NID_server_auth}) {
      const X509Ptr anchor{X509_dup(Pki::get().ca1.get())};
      const OpensslPtr<ASN1_OBJECT, ASN1_OBJECT_free> object{OBJ_dup(OBJ_nid2obj(use))};
      REQUIRE((rejects ? X509_add1_reject_object : X509_add1_trust_object)(anchor.get(), object.get()) == 1);
      PolicyOptions options = asking();
      options.anchors.emplace_back(X509_dup(Pki::get().ca2.get()));
      X509_up_ref(anchor.get());
      options.anchors.emplace_back(anchor.get());
      const Error error = error_of(std::move(options));
      CHECK(error.message == "anchors: it has trust settings of its own, and a policy alone says what is trusted");
      CHECK(error.position == 3);
    }
  }
}

TEST_CASE("anchors: a self-signed certificate that is no CA lets in itself, and nobody else") {
  const Certificate own = issue({.common_name = "own"});
  const Certificate other = issue({.common_name = "own"}, &own);
  CHECK(verify_by(asking(ClientAuth::optional, {&own}), client_with(own)) == "SUCCESS");
  CHECK(verify_by(asking(ClientAuth::optional, {&own}), client_with(other)) != "SUCCESS");
  PolicyOptions options = asking(ClientAuth::optional, {&Pki::get().ca1, &own});
  options.crls.push_back(issue_crl(Pki::get().ca1));
  CHECK(verify_by(std::move(options), client_with(own)) == "SUCCESS");  // it is looked up in no list
}

TEST_CASE("anchors: two CAs of one name without key identifiers are an error that names both") {
  const auto named = [](Extensions more, const char* name = "one name") {
    more.emplace_back(NID_basic_constraints, critical_ca);
    return ca_with(std::move(more), nullptr, name);
  };
  const std::string_view message = "anchors: two have one name and no key identifiers to tell them apart";
  const Extensions with_id = {{NID_subject_key_identifier, "hash"}};
  for (const auto& [first, second, fails] :
       {std::tuple{Extensions{}, Extensions{}, true}, std::tuple{with_id, Extensions{}, true},
        std::tuple{Extensions{}, with_id, true}, std::tuple{with_id, with_id, false}}) {
    const Certificate one = named(first);
    const Certificate between = named({}, "another name");
    const Certificate two = named(second);
    auto policy = ClientAuthPolicy::make(asking(ClientAuth::optional, {&one, &between, &two}));
    CHECK(policy.has_value() == !fails);
    if (!policy) CHECK(policy.error() == Error{Errc::invalid_argument, 3, message, 0, 1});
    if (policy) {
      for (const Certificate* ca : {&one, &two}) {
        const Certificate leaf = issue(
            {.extensions = {{NID_ext_key_usage, "clientAuth"}, {NID_authority_key_identifier, "keyid:always"}}}, ca);
        CHECK(verify_by(asking(ClientAuth::optional, {&one, &between, &two}), client_with(leaf)) == "SUCCESS");
      }
    }
  }
  // The same CA twice, and its certificate renewed with the same key, is one CA.
  const Certificate one = named({});
  Certificate renewed = named({});
  X509_set_pubkey(renewed.get(), one.key.get());
  X509_sign(renewed.get(), one.key.get(), EVP_sha256());
  CHECK(ClientAuthPolicy::make(asking(ClientAuth::optional, {&one, &one, &renewed})));
  PolicyOptions options = asking(ClientAuth::optional, {&one});
  const Certificate other = named({});
  options.intermediates = share({&Pki::get().intermediate1, &other});
  const Error error = error_of(std::move(options));
  CHECK(error.message.starts_with("intermediates: two of them and the anchors have one name"));
  CHECK(error.position == 2);
  CHECK(error.other_position == 1);
}

TEST_CASE("anchors: one that the path length of those above it, or depth, keeps out of every chain is an error") {
  const auto with_length = [](const char* basic, const Certificate* issuer, const char* name) {
    return ca_with({{NID_basic_constraints, basic}, {NID_subject_key_identifier, "hash"}}, issuer, name);
  };
  const auto said = [](PolicyOptions options) {
    const auto policy = ClientAuthPolicy::make(std::move(options));
    return policy ? std::string_view() : policy.error().message;
  };
  const std::string_view by_length = "anchors: no chain can use it: the path length of one above it allows none";
  const std::string_view by_depth = "anchors: no chain can use it: depth allows none that is so long";
  const Certificate none_below = with_length("critical,CA:TRUE,pathlen:0", nullptr, "none below");
  const Certificate one_below = with_length("critical,CA:TRUE,pathlen:1", nullptr, "one below");
  for (const auto& [root, allowed] : {std::pair{&none_below, 0U}, std::pair{&one_below, 1U}}) {
    const Certificate first = with_length(critical_ca, root, "first");
    const Certificate second = with_length(critical_ca, &first, "second");
    const Error error = error_of(asking(ClientAuth::optional, {&second, &first, root}));
    CHECK(error.message == by_length);
    CHECK(error.position == 1);
    CHECK(said(asking(ClientAuth::optional, {root, &first})) == (allowed == 0 ? by_length : ""));
    PolicyOptions partial = asking(ClientAuth::optional, {&second, &first, root});
    partial.partial_chain = true;
    const Certificate leaf = issue({.extensions = {{NID_ext_key_usage, "clientAuth"}}}, &second);
    CHECK(verify_by(std::move(partial), client_with(leaf)) == "SUCCESS");
    // OpenSSL would let in none of its own.
    PolicyOptions helped = asking(ClientAuth::optional, {root});
    helped.intermediates = share({&first, &second});
    CHECK(verify_by(std::move(helped), client_with(leaf)) == "FAILED:path length constraint exceeded");
  }
  // A CA's new certificate, signed with its old key, does not count (RFC 5280, section 6.1).
  const Certificate renewed = ca_with({{NID_basic_constraints, critical_ca},
                                       {NID_subject_key_identifier, "hash"},
                                       {NID_authority_key_identifier, "keyid:always"}},
                                      &none_below, "none below");
  const Certificate leaf = issue(
      {.extensions = {{NID_ext_key_usage, "clientAuth"}, {NID_authority_key_identifier, "keyid:always"}}}, &renewed);
  CHECK(verify_by(asking(ClientAuth::optional, {&none_below, &renewed}), client_with(leaf)) == "SUCCESS");

  const Pki& pki = Pki::get();
  for (const int depth : {0, 1}) {
    PolicyOptions options = asking(ClientAuth::optional, {&pki.ca1, &pki.intermediate1});
    options.depth = depth;
    CHECK(said(std::move(options)) == (depth == 0 ? by_depth : ""));
  }
}

TEST_CASE("anchors: with revocation lists, one that issued none of them is an error that names it") {
  const Pki& pki = Pki::get();
  PolicyOptions options = asking(ClientAuth::optional, {&pki.ca1, &pki.ca2});
  options.crls.push_back(issue_crl(pki.ca1));
  const Error error = error_of(std::move(options));
  CHECK(error.message == "anchors: it issued none of the lists in crls, so that nobody whom it names would get in");
  CHECK(error.position == 2);
  const Certificate unable = ca_with({{NID_basic_constraints, critical_ca}, {NID_key_usage, "keyCertSign"}});
  PolicyOptions signing = asking(ClientAuth::optional, {&unable});
  signing.crls.push_back(issue_crl(unable));
  CHECK(error_of(std::move(signing)).message ==
        "anchors: it may not sign revocation lists (its key usage), and crls has some");
}

TEST_CASE("anchors: with partial_chain a chain ends in any of them") {
  const Pki& pki = Pki::get();
  CHECK(verify_by(partly({&pki.intermediate1}), client1()) == "SUCCESS");
  CHECK(verify_by(partly({&pki.intermediate1}), client_with(pki.client1)) == "SUCCESS");  // the leaf alone was sent
  CHECK(verify_by(partly({&pki.intermediate1}), client2()) != "SUCCESS");
  CHECK(verify_by(partly({&pki.intermediate1, &pki.ca2}), client2()) == "SUCCESS");
  // Only what is an anchor is one: the certificates of the policy that help are not.
  PolicyOptions helping = partly({&pki.ca1});
  helping.intermediates = share({&pki.intermediate2});
  CHECK(verify_by(std::move(helping), client2()) != "SUCCESS");
  PolicyOptions leaf = partly({&pki.ca1, &pki.client2});
  CHECK(error_of(std::move(leaf)).message == "anchors: it is no CA, as each must be with partial_chain");
  const Certificate own = issue({.common_name = "own"});
  CHECK(error_of(partly({&own})).message == "anchors: it is no CA, as each must be with partial_chain");
}

TEST_CASE("anchors: with partial_chain nothing above the anchor is looked at") {
  const Pki& pki = Pki::get();
  const auto with_lists = [&](std::vector<const Certificate*> revoked_by_ca) {
    PolicyOptions options = partly({&pki.intermediate1});
    options.crls.push_back(issue_crl(pki.intermediate1));
    options.crls.push_back(issue_crl(pki.ca1, revoked_by_ca));
    return options;
  };
  CHECK(verify_by(with_lists({}), client1()) == "SUCCESS");
  CHECK(verify_by(with_lists({&pki.intermediate1}), client1()) == "SUCCESS");
  PolicyOptions revoking = partly({&pki.intermediate1});
  revoking.crls.push_back(issue_crl(pki.intermediate1, {&pki.client1}));
  CHECK(verify_by(std::move(revoking), client1()) == "FAILED:certificate revoked");
  // The host's certificate is as it was.
  CHECK(X509_get0_trust_objects(pki.intermediate1.get()) == nullptr);
}

TEST_CASE("anchors: intermediates complete a chain, and are never trusted") {
  const Pki& pki = Pki::get();
  const auto helped = [](std::initializer_list<const Certificate*> intermediates) {
    PolicyOptions options = asking();
    options.intermediates = share(intermediates);
    return options;
  };
  CHECK(verify_by(asking(), client_with(pki.client1)) != "SUCCESS");
  CHECK(verify_by(helped({&pki.intermediate1}), client_with(pki.client1)) == "SUCCESS");
  CHECK(verify_by(helped({&pki.intermediate2}), client_with(pki.client2)) != "SUCCESS");
  CHECK(verify_by(helped({&pki.intermediate2, &pki.ca2}), client_with(pki.client2)) != "SUCCESS");
  CHECK(verify_by(helped({&pki.ca2}), client2()) != "SUCCESS");
  PolicyOptions null = asking();
  null.intermediates.emplace_back();
  CHECK(error_of(std::move(null)).message == "intermediates: one is null");
}

TEST_CASE("anchors: what time alone makes wrong, or helps nobody, is a warning") {
  using Texts = std::vector<std::string>;
  const Pki& pki = Pki::get();
  const auto with_anchor = [&](long starts_in, long ends_in) {
    const Certificate ca =
        issue({.common_name = "timed", .usage = Usage::ca, .starts_in = starts_in, .ends_in = ends_in});
    return warnings_of(asking(ClientAuth::optional, {&pki.ca1, &ca}));
  };
  CHECK(with_anchor(-10, 10).empty());
  CHECK(with_anchor(-20, -10) == Texts{"2 anchors: it has expired"});
  CHECK(with_anchor(10, 20) == Texts{"2 anchors: it is not valid yet"});
  const auto with_intermediate = [&](const Certificate& intermediate) {
    PolicyOptions options = asking();
    options.intermediates = share({&pki.intermediate1, &intermediate});
    return warnings_of(std::move(options));
  };
  CHECK(with_intermediate(pki.intermediate1).empty());
  CHECK(with_intermediate(pki.client1) == Texts{"2 intermediates: it is no CA, so that no chain can use it"});
  CHECK(with_intermediate(pki.ca2) == Texts{"2 intermediates: it is self-signed, and is not trusted here"});
  CHECK(with_intermediate(pki.intermediate2) == Texts{"2 intermediates: none of them and no anchor issued it"});
  const Certificate expired = issue({.common_name = "old", .usage = Usage::ca, .ends_in = -10}, &pki.ca1);
  CHECK(with_intermediate(expired) == Texts{"2 intermediates: it has expired"});
  PolicyOptions listed = asking();
  listed.intermediates = share({&pki.intermediate1});
  listed.crls.push_back(issue_crl(pki.ca1));
  CHECK(warnings_of(std::move(listed)) ==
        Texts{"1 intermediates: it issued none of the lists in crls: no client of its own gets in"});
  PolicyOptions hinting = asking();
  auto& hints = hinting.hints.emplace();
  for (int i = 0; i < 600; ++i) {
    hints.push_back(std::move(issue({.common_name = std::to_string(i) + std::string(50, 'x')}).certificate));
  }
  CHECK(warnings_of(std::move(hinting)) ==
        Texts{"0 hints: the names exceed 32 KiB, and there are clients that fail then (empty hints send none)"});
}

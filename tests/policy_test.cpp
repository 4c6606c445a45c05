// Policies and name tables: what can be built, and what makes two policies the same.
#include "client_tls/install.hpp"

#include "support/checks.hpp"

using namespace client_tls;
using namespace test;
using std::chrono::seconds;

namespace {

ServerName name_of(std::string_view text) {
  return *ServerName::parse(text);
}

PolicyOptions with(void (*change)(PolicyOptions&)) {
  PolicyOptions options = asking();
  change(options);
  return options;
}

std::vector<X509CrlPtr> crl_of(const Certificate& issuer) {
  std::vector<X509CrlPtr> crls;
  crls.push_back(issue_crl(issuer));
  return crls;
}

}  // namespace

TEST_CASE("policy: by default nothing is asked") {
  const PolicyPtr policy = make_policy();
  CHECK(policy->options().request == ClientAuth::none);
  CHECK(policy->get0_store() == nullptr);
  CHECK(policy->get0_hint_names() == nullptr);
}

TEST_CASE("policy: what cannot be meant is an error, not a weaker policy") {
  CHECK(refusal_of(with([](auto& o) { o.anchors.clear(); })) ==
        "anchors: a policy that asks for certificates needs one");
  CHECK(refusal_of(with([](auto& o) { o.anchors.emplace_back(); })) == "anchors: one is null");
  CHECK(refusal_of(with([](auto& o) { o.anchors = share({&Pki::get().intermediate1}); })) ==
        "anchors: no chain can use it: it is not self-signed, and no anchor issued it (see partial_chain)");
  CHECK(refusal_of(with([](auto& o) { o.crls.emplace_back(); })) == "crls: one is null");
  CHECK(refusal_of(with([](auto& o) { o.hints.emplace().emplace_back(); })) == "hints: one is null");
  const std::string_view nothing =
      "anchors, partial_chain, intermediates, hints or crls mean nothing where no certificate is asked for";
  CHECK(refusal_of(with([](auto& o) { o.request = ClientAuth::none; })) == nothing);
  PolicyOptions hinting;
  hinting.hints.emplace();
  CHECK(refusal_of(std::move(hinting)) == nothing);
  PolicyOptions revoking;
  revoking.crls = crl_of(Pki::get().ca1);
  CHECK(refusal_of(std::move(revoking)) == nothing);
  CHECK(refusal_of(with([](auto& o) { o.request = static_cast<ClientAuth>(3); })).starts_with("request:"));
  CHECK(refusal_of(with([](auto& o) { o.refusal = static_cast<Refusal>(2); })).starts_with("refusal:"));
  for (const int depth : {-1, 100}) {
    PolicyOptions options = asking();
    options.depth = depth;
    CHECK(refusal_of(std::move(options)).starts_with("depth:"));
  }
  for (const std::size_t tickets : {std::size_t{0}, std::size_t{17}}) {
    PolicyOptions options = asking();
    options.tickets = tickets;
    CHECK(refusal_of(std::move(options)).starts_with("tickets:"));
  }
  for (const seconds max_age : {seconds{0}, seconds{-1}, seconds{std::int64_t{1} << 31}, seconds::max()}) {
    PolicyOptions options = asking();
    options.max_age = max_age;
    CHECK(refusal_of(std::move(options)).starts_with("max_age:"));
  }
  const auto with_limits = [](const Limits& limits) {
    PolicyOptions options = asking();
    options.limits = limits;
    return refusal_of(std::move(options));
  };
  constexpr std::size_t too_much = Limits::max_limit_bytes + 1;
  for (const std::size_t bytes : {std::size_t{0}, too_much}) {
    CHECK(with_limits({.max_chain_bytes = bytes}) == "max_chain_bytes: it must be 1 to 60,000");
  }
  for (const std::size_t number : {std::size_t{0}, std::size_t{101}}) {
    CHECK(with_limits({.max_chain_certificates = number}) == "max_chain_certificates: it must be 1 to 100");
  }
  CHECK(with_limits({.max_carried_bytes = too_much}) == "max_carried_bytes: it must be 0 to 60,000");
}

TEST_CASE("policy: hints that do not fit into a CertificateRequest are an error") {
  PolicyOptions options = asking();
  options.hints.emplace();
  for (int i = 1000; i < 2000; ++i) {
    options.hints->push_back(issue({.common_name = std::to_string(i) + std::string(60, 'n')}).certificate);
  }
  CHECK(refusal_of(std::move(options)) == "hints: their names exceed 64,000 bytes");
}

TEST_CASE("policy: hints are the anchors' names unless others are given, or none") {
  const auto names = [](PolicyOptions options) {
    return sk_X509_NAME_num(make_policy(std::move(options))->get0_hint_names());
  };
  const Pki& pki = Pki::get();
  CHECK(names(asking()) == 1);
  PolicyOptions twice = asking(ClientAuth::optional, {&pki.ca1, &pki.ca2, &pki.ca1});
  CHECK(names(std::move(twice)) == 2);
  PolicyOptions none = asking();
  none.hints.emplace();
  CHECK(names(std::move(none)) == 0);
  PolicyOptions others = asking();
  others.hints = share({&pki.ca2, &pki.intermediate1, &pki.intermediate2});
  CHECK(names(std::move(others)) == 3);
}

TEST_CASE("policy: the digest changes with each option by itself") {
  const auto options_after = [](const PolicyChange& change) {
    PolicyOptions options = asking();
    change.change(options);
    return options;
  };
  std::vector<ClientAuthPolicy::Digest> digests;
  for (const PolicyChange& change : policy_changes()) {
    CAPTURE(change.option);
    const auto digest = make_policy(options_after(change))->digest();
    CHECK(std::ranges::find(digests, digest) == digests.end());
    CHECK(make_policy(options_after(change))->digest() == digest);
    digests.push_back(digest);
  }
  CHECK(std::ranges::find(digests, make_policy()->digest()) == digests.end());
}

TEST_CASE("policy: the order of sets, and what stands in them twice, make no difference to the digest") {
  const Pki& pki = Pki::get();
  const auto digest = [&](std::initializer_list<const Certificate*> anchors,
                          std::initializer_list<const Certificate*> hints, bool turn_crls) {
    PolicyOptions options = asking(ClientAuth::optional, anchors);
    options.hints = share(hints);
    options.crls = empty_crls();
    if (turn_crls) std::swap(options.crls[0], options.crls[1]);
    return make_policy(std::move(options))->digest();
  };
  const auto first = digest({&pki.ca1, &pki.ca2}, {&pki.ca1, &pki.intermediate1}, false);
  CHECK(digest({&pki.ca2, &pki.ca1}, {&pki.intermediate1, &pki.ca1}, true) == first);
  CHECK(digest({&pki.ca2, &pki.ca1, &pki.ca2}, {&pki.ca1, &pki.intermediate1, &pki.ca1}, false) == first);
  CHECK(digest({&pki.ca2, &pki.ca1}, {&pki.ca1}, false) != first);
}

TEST_CASE("policy: a name has the policy of the exact name, else of the longest wildcard, else the default") {
  const PolicyPtr exact = make_policy();
  const PolicyPtr near = make_policy();
  const PolicyPtr far = make_policy();
  const PolicyPtr other = make_policy();
  const PolicyPtr nameless = make_policy();
  const PolicyTable table =
      make_table({{"a.test", exact}, {"*.a.test", near}, {"*.Test.", far}, {"B.a.TEST.", exact}, {"*.b.a.test", exact}},
                 other, nameless);
  CHECK(table.size() == 5);
  struct Case {
    std::string name;
    const PolicyPtr& policy;
  };
  const Case cases[] = {
      {"a.test", exact},
      {"A.TEST", exact},
      {"a.test.", exact},
      {"b.a.test", exact},
      {"c.a.test", near},
      {"d.c.a.test", near},
      {"d.c.B.a.test", exact},
      {"ba.test", far},
      {"c.test", far},
      {"test", other},
      {"a.testing", other},
      {"xa.test.example", other},
      {std::string(250, 'n') + ".test", far},
      {std::string(255, 'n'), other},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    CHECK(table.find(name_of(one.name)) == one.policy);
  }
  CHECK(table.find(ServerName{}) == nameless);
}

TEST_CASE("policy: wildcards are found at any depth") {
  std::string suffix = "test";
  NamedPolicies names;
  for (int labels = 1; labels < 120; ++labels) {
    suffix.insert(0, "x.");
    if (labels % 7 == 0) names.emplace_back(std::string("*.").append(suffix), make_policy());
  }
  const PolicyTable table = make_table(names);
  for (const auto& [wildcard, policy] : names) {
    CAPTURE(wildcard);
    CHECK(table.find(name_of(std::string("y").append(wildcard.substr(1)))) == policy);
  }
  CHECK(table.find(name_of("y.test")) == nullptr);
}

TEST_CASE("policy: a name that has a policy already, or is none, is an error, and the table is as it was") {
  const PolicyPtr policy = make_policy();
  PolicyTable table = make_table({{"a.test", policy}, {"*.b.test", policy}});
  for (const char* name : {"a.test", "A.Test", "a.test.", "*.b.test", "*.B.TEST."}) {
    CAPTURE(name);
    for (const PolicyPtr& again : {make_policy(), policy, PolicyPtr{}}) {
      const auto added = table.add(name, again);
      REQUIRE_FALSE(added);
      CHECK(added.error().message == "the name has a policy already");
    }
  }
  for (const std::string& name :
       {std::string(), std::string("*"), std::string("*."), std::string("**.test"), std::string("a.*.test"),
        std::string("*a.test"), std::string("*.*.test"), std::string("10.0.0.1"), std::string("*.0.0.1"),
        std::string("a\0b.test", 8), std::string(256, 'n'), std::string("*.").append(256, 'n')}) {
    CAPTURE(name);
    const auto added = table.add(name, policy);
    REQUIRE_FALSE(added);
    CHECK(added.error().code == Errc::invalid_argument);
  }
  CHECK(table.size() == 2);
  CHECK(table.find(name_of("a.test")) == policy);
  CHECK(table.add("*.a.test", policy));  // not the same as a.test
  CHECK(table.add("b.test", nullptr));   // a name that is refused
  CHECK(table.find(name_of("b.test")) == nullptr);
}

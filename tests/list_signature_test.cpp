// Revocation lists under policies: each signature is verified once, and nothing is accepted that OpenSSL would refuse.
//
// How it is seen that a signature is not verified again: a bit of it is changed, in the list that the policy has. Who
// verifies it then, refuses it.
#include <openssl/core_names.h>
#include <openssl/provider.h>
#include <openssl/x509v3.h>

#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "support/checks.hpp"
#include "support/require.hpp"

using namespace client_tls;
using namespace test;

namespace {

using Lists = std::vector<X509CrlPtr>;

X509CrlPtr list_of(const Certificate& issuer, const std::vector<const Certificate*>& revoked = {}) {
  return issue_crl(issuer, revoked);
}

// The issuer's list, changed before it is signed.
X509CrlPtr list_with(const Certificate& issuer, const std::function<void(X509_CRL*)>& change) {
  const X509CrlPtr list = issue_crl(issuer);
  change(list.get());
  REQUIRE(X509_CRL_sign(list.get(), issuer.key.get(), EVP_sha256()) > 0);
  return X509CrlPtr(X509_CRL_dup(list.get()));  // as it is when it comes from a file
}

void add_extension(X509_CRL* list, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, nullptr, nullptr, nullptr, list, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  REQUIRE(X509_CRL_add_ext(list, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

// The list that the policy has of this issuer.
X509_CRL* list_in(const PolicyPtr& policy, const Certificate& issuer) {
  STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(policy->get0_store());
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    X509_CRL* list = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
    const bool is_its =
        list != nullptr && X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(issuer.get())) == 0;
    if (is_its) return list;
  }
  throw std::logic_error("the policy has no list of this issuer");
}

// A second time makes it good again.
void spoil_signature(const PolicyPtr& policy, const Certificate& issuer) {
  const ASN1_BIT_STRING* signature = nullptr;
  X509_CRL_get0_signature(list_in(policy, issuer), &signature, nullptr);
  auto* last = const_cast<unsigned char*>(ASN1_STRING_get0_data(signature)) + ASN1_STRING_length(signature) - 1;
  *last = static_cast<unsigned char>(*last ^ 1U);
}

// Asks, trusts CA 1, and has its list and this one.
PolicyPtr policy_with(X509CrlPtr list, X509CrlPtr of_the_ca = list_of(Pki::get().ca1)) {
  PolicyOptions options = asking();
  options.crls.push_back(std::move(of_the_ca));
  options.crls.push_back(std::move(list));
  return make_policy(std::move(options));
}

// A full handshake under the policy.
Reasons reasons_for(const PolicyPtr& policy, const std::vector<Certificate>& chain = first_chain()) {
  PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", policy}})};
  const Pair pair{server, showing(chain)};
  REQUIRE(pair.done());
  return reasons_of(verdict_of(pair));
}

const Reasons good;
const Reasons forged{{X509_V_ERR_CRL_SIGNATURE_FAILURE, 0}};

// A certificate with an issuer's name, and for a key that may be another's; signed by CA 1, or by nobody.
Certificate named_as(const Certificate& other, EVP_PKEY* key, bool signed_by_ca) {
  const Pki& pki = Pki::get();
  Certificate result{.certificate = X509Ptr(X509_dup(other.get())), .key = std::move(same(other).key)};
  X509_set_pubkey(result.get(), key);
  ASN1_INTEGER_set(X509_get_serialNumber(result.get()), 4711);
  EVP_PKEY* signer = signed_by_ca ? pki.ca1.key.get() : pki.client2.key.get();
  REQUIRE(X509_sign(result.get(), signer, EVP_sha256()) > 0);
  return result;
}

// The same key with its curve written out, in one of the ways in which that can be done.
EvpPkeyPtr written_differently(EVP_PKEY* key, const char* point_format) {
  EvpPkeyPtr copy{EVP_PKEY_dup(key)};
  REQUIRE(EVP_PKEY_set_utf8_string_param(copy.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, point_format) == 1);
  return copy;
}

// A verification of a host's own, with the policy's store.
struct OwnVerification {
  explicit OwnVerification(const PolicyPtr& policy, const std::vector<Certificate>& chain = first_chain())
      : others(sk_X509_new_null()), context(X509_STORE_CTX_new()) {
    for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(others.get(), chain[i].get());
    // Not Catch2's: also threads come here.
    require(X509_STORE_CTX_init(context.get(), policy->get0_store(), chain.front().get(), others.get()) == 1, "init");
    X509_STORE_CTX_set_verify_cb(context.get(), [](int preverified, X509_STORE_CTX* store) {
      auto& self = *static_cast<OwnVerification*>(X509_STORE_CTX_get_app_data(store));
      if (preverified == 1) return 1;
      self.found.emplace_back(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store));
      self.list = X509_STORE_CTX_get0_current_crl(store);
      return self.tolerant ? 1 : 0;
    });
    X509_STORE_CTX_set_app_data(context.get(), this);
  }
  Reasons run() {
    X509_verify_cert(context.get());
    ERR_clear_error();
    return found;
  }
  [[nodiscard]] X509_VERIFY_PARAM* param() const { return X509_STORE_CTX_get0_param(context.get()); }

  static void free_stack(STACK_OF(X509) * stack) { sk_X509_free(stack); }
  static void free_lists(STACK_OF(X509_CRL) * lists) { sk_X509_CRL_free(lists); }
  OpensslPtr<STACK_OF(X509), free_stack> others;
  OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context;
  bool tolerant = true;
  Reasons found;
  const X509_CRL* list = nullptr;
};

}  // namespace

TEST_CASE("list signature: one that was good is not verified again") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  CHECK(reasons_for(policy) == good);
  spoil_signature(policy, pki.intermediate1);
  spoil_signature(policy, pki.ca1);
  CHECK(reasons_for(policy) == good);
  CHECK(OwnVerification(policy).run() == good);
}

TEST_CASE("list signature: one that was never verified is, and one that an anchor signed was with the policy") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  spoil_signature(policy, pki.ca1);
  spoil_signature(policy, pki.intermediate1);
  for (int i = 0; i < 3; ++i) CHECK(reasons_for(policy) == forged);
  spoil_signature(policy, pki.intermediate1);  // it is good again: what was refused is not remembered either
  CHECK(reasons_for(policy) == good);
}

TEST_CASE("list signature: a forged list is refused each time, whatever a verify callback lets pass") {
  const Pki& pki = Pki::get();
  const Certificate forger{.certificate = std::move(same(pki.intermediate1).certificate),
                           .key = std::move(same(pki.ca2).key)};
  const PolicyPtr policy = policy_with(list_of(forger));
  for (int i = 0; i < 3; ++i) {
    CHECK(reasons_for(policy) == forged);
    CHECK(OwnVerification(policy).run() == forged);
    OwnVerification strict{policy};
    strict.tolerant = false;
    CHECK(strict.run() == forged);
  }
}

TEST_CASE("list signature: it revokes whom it revokes, the first time and later") {
  const Pki& pki = Pki::get();
  const Certificate other = issue({.common_name = "other"}, &pki.intermediate1);
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1, {&pki.client1}));
  const Reasons revoked{{X509_V_ERR_CERT_REVOKED, 0}};
  CHECK(reasons_for(policy) == revoked);
  CHECK(reasons_for(policy, chain_of(other, pki.intermediate1)) == good);
  CHECK(reasons_for(policy) == revoked);
  OwnVerification own{policy};
  CHECK(own.run() == revoked);
  CHECK(own.list == list_in(policy, pki.intermediate1));
}

TEST_CASE("list signature: policies that have the same list remember together, until the last is gone") {
  const Pki& pki = Pki::get();
  const X509CrlPtr list = list_of(pki.intermediate1);
  const auto again = [&list] { return X509CrlPtr(X509_CRL_dup(list.get())); };
  {
    PolicyPtr one = policy_with(again());
    const PolicyPtr two = policy_with(again());
    CHECK(list_in(one, pki.intermediate1) == list_in(two, pki.intermediate1));
    CHECK(reasons_for(one) == good);
    one.reset();
    spoil_signature(two, pki.intermediate1);
    CHECK(reasons_for(two) == good);
  }
  const PolicyPtr later = policy_with(again());
  spoil_signature(later, pki.intermediate1);
  CHECK(reasons_for(later) == forged);
}

TEST_CASE("list signature: a list of another key is not the one that is remembered") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  CHECK(reasons_for(policy) == good);
  const Certificate impostor = named_as(pki.intermediate1, pki.client2.key.get(), false);
  const Certificate signer{.certificate = std::move(same(impostor).certificate),
                           .key = std::move(same(pki.client2).key)};
  const Certificate leaf = issue({.common_name = "leaf"}, &signer);
  for (int i = 0; i < 3; ++i) {
    CHECK(reasons_for(policy, chain_of(leaf, impostor)) ==
          Reasons{{X509_V_ERR_CRL_SIGNATURE_FAILURE, 0}, {X509_V_ERR_CERT_SIGNATURE_FAILURE, 1}});
  }
  spoil_signature(policy, Pki::get().intermediate1);
  CHECK(reasons_for(policy) == good);  // what was remembered is still
}

TEST_CASE("list signature: self-made certificates with the CA's own key are refused, and change nothing") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  const Reasons self_made{{X509_V_ERR_CERT_SIGNATURE_FAILURE, 1}};
  const Certificate copy = named_as(pki.intermediate1, pki.intermediate1.key.get(), false);
  for (int i = 0; i < 3; ++i) CHECK(reasons_for(policy, chain_of(pki.client1, copy)) == self_made);
  spoil_signature(policy, Pki::get().intermediate1);  // the list's signature is that of the key, and verified
  CHECK(reasons_for(policy, chain_of(pki.client1, copy)) == self_made);
  CHECK(reasons_for(policy) == good);
}

TEST_CASE("list signature: a key that somebody writes differently does not keep the CA's out") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  const EvpPkeyPtr compressed = written_differently(pki.intermediate1.key.get(), "compressed");
  const Certificate copy = named_as(pki.intermediate1, compressed.get(), false);
  CHECK(reasons_for(policy, chain_of(pki.client1, copy)) == Reasons{{X509_V_ERR_CERT_SIGNATURE_FAILURE, 1}});
  CHECK(reasons_for(policy) == good);
  spoil_signature(policy, Pki::get().intermediate1);
  CHECK(reasons_for(policy) == good);
  const Reasons verified_again{{X509_V_ERR_CRL_SIGNATURE_FAILURE, 0}, {X509_V_ERR_CERT_SIGNATURE_FAILURE, 1}};
  CHECK(reasons_for(policy, chain_of(pki.client1, copy)) == verified_again);
  CHECK(reasons_for(policy) == good);
}

TEST_CASE("list signature: a list that has ended is refused, however often it was good") {
  const ClockRestorer clock;
  const PolicyPtr policy = policy_with(issue_crl(Pki::get().intermediate1, {}, 0, 100));
  CHECK(reasons_for(policy) == good);
  advance_time(99);
  CHECK(OwnVerification(policy).run() == good);
  advance_time(2);
  CHECK(OwnVerification(policy).run() == Reasons{{X509_V_ERR_CRL_HAS_EXPIRED, 0}});
}

TEST_CASE("list signature: at its last second a list is what it is for OpenSSL") {
  const ClockRestorer clock;
  const PolicyPtr policy = policy_with(issue_crl(Pki::get().intermediate1, {}, 0, 100));
  CHECK(reasons_for(policy) == good);
  advance_time(100);
  spoil_signature(policy, Pki::get().intermediate1);
  const Reasons found = OwnVerification(policy).run();
  CHECK(std::ranges::count(found, Reasons::value_type{X509_V_ERR_CRL_SIGNATURE_FAILURE, 0}) == 1);
}

TEST_CASE("list signature: a list of the future is refused until it begins") {
  const ClockRestorer clock;
  const PolicyPtr policy = policy_with(issue_crl(Pki::get().intermediate1, {}, 50, 1000));
  const Reasons early{{X509_V_ERR_CRL_NOT_YET_VALID, 0}};
  CHECK(reasons_for(policy) == early);
  advance_time(50);
  CHECK(reasons_for(policy) == good);
  advance_time(-1);
  CHECK(OwnVerification(policy).run() == early);
}

TEST_CASE("list signature: an issuer that may not sign lists is refused, also with a key that did") {
  const Pki& pki = Pki::get();
  CertificateOptions no_lists{.common_name = "Intermediate 1"};
  no_lists.extensions = {{NID_basic_constraints, "critical,CA:TRUE"}, {NID_key_usage, "critical,keyCertSign"}};
  const Certificate made = issue(no_lists, &pki.ca1);
  X509_set_pubkey(made.get(), pki.intermediate1.key.get());
  REQUIRE(X509_sign(made.get(), pki.ca1.key.get(), EVP_sha256()) > 0);
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  for (int i = 0; i < 2; ++i) {
    CHECK(reasons_for(policy) == good);
    CHECK(reasons_for(policy, chain_of(pki.client1, made)) == Reasons{{X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, 0}});
  }
}

TEST_CASE("list signature: an issuer without key usage may sign lists") {
  const Certificate between =
      issue({.common_name = "free", .extensions = {{NID_basic_constraints, "critical,CA:TRUE"}}}, &Pki::get().ca1);
  const Certificate leaf = issue({.common_name = "leaf"}, &between);
  const PolicyPtr policy = policy_with(list_of(between));
  CHECK(reasons_for(policy, chain_of(leaf, between)) == good);
  spoil_signature(policy, between);
  CHECK(reasons_for(policy, chain_of(leaf, between)) == good);
}

TEST_CASE("list signature: a list that is not plain is verified each time, as OpenSSL does it") {
  struct Row {
    const char* name;
    std::function<void(X509_CRL*)> change;
    Reasons reasons;  // as OpenSSL has them
  };
  const auto with = [](int nid, const char* value) {
    return [nid, value](X509_CRL* list) { add_extension(list, nid, value); };
  };
  // A GeneralizedTime where RFC 5280 has a UTCTime.
  const auto at = [](int (*set)(X509_CRL*, const ASN1_TIME*), const char* text) {
    return [set, text](X509_CRL* list) {
      const OpensslPtr<ASN1_TIME, ASN1_TIME_free> time{ASN1_TIME_new()};
      ASN1_TIME_set_string(time.get(), text);
      set(list, time.get());
    };
  };
  const Reasons scope{{X509_V_ERR_DIFFERENT_CRL_SCOPE, 0}, {X509_V_ERR_UNABLE_TO_GET_CRL, 0}};
  const std::vector<Row> rows{
      {"for a point", with(NID_issuing_distribution_point, "critical,fullname:URI:http://a.test/crl"), scope},
      {"for users", with(NID_issuing_distribution_point, "critical,onlyuser:TRUE"), good},
      {"for CAs", with(NID_issuing_distribution_point, "critical,onlyCA:TRUE"), scope},
      {"for users, not critical", with(NID_issuing_distribution_point, "onlyuser:TRUE"), good},
      {"an odd end", at(X509_CRL_set1_nextUpdate, "20490101000000Z"), good},
      {"an odd beginning", at(X509_CRL_set1_lastUpdate, "20200101000000Z"), good}};
  for (const auto& [name, change, reasons] : rows) {
    CAPTURE(name);
    X509CrlPtr list = list_with(Pki::get().intermediate1, change);
    const PolicyPtr policy = policy_with(std::move(list));
    for (int i = 0; i < 2; ++i) CHECK(reasons_for(policy) == reasons);
    spoil_signature(policy, Pki::get().intermediate1);
    const Reasons found = reasons_for(policy);
    CHECK(std::ranges::count(found, forged.front()) == 1);
  }
}

TEST_CASE("list signature: that of a list without an end is remembered, too") {
  const Certificate& issuer = Pki::get().intermediate1;
  const X509CrlPtr made{X509_CRL_new()};
  X509_CRL_set_version(made.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(made.get(), X509_get_subject_name(issuer.get()));
  X509_CRL_set1_lastUpdate(made.get(), X509_get0_notBefore(issuer.get()));
  REQUIRE(X509_CRL_sign(made.get(), issuer.key.get(), EVP_sha256()) > 0);
  const PolicyPtr policy = policy_with(X509CrlPtr(X509_CRL_dup(made.get())));
  for (int i = 0; i < 2; ++i) CHECK(reasons_for(policy) == good);
  spoil_signature(policy, Pki::get().intermediate1);
  CHECK(reasons_for(policy) == good);
}

TEST_CASE("list signature: a list that is not the policy's is verified each time") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1));
  CHECK(reasons_for(policy) == good);
  const Certificate forger{.certificate = std::move(same(pki.intermediate1).certificate),
                           .key = std::move(same(pki.ca2).key)};
  const OpensslPtr<STACK_OF(X509_CRL), OwnVerification::free_lists> lists{sk_X509_CRL_new_null()};
  std::vector<X509CrlPtr> all;  // at addresses before and after the policy's
  for (int i = 0; i < 20; ++i) {
    all.push_back(list_of(forger));
    sk_X509_CRL_push(lists.get(), all.back().get());
    OwnVerification own{policy};
    X509_STORE_CTX_set0_crls(own.context.get(), lists.get());
    CHECK(own.run() == forged);
    sk_X509_CRL_pop(lists.get());
  }
}

TEST_CASE("list signature: an issuer that is not the next certificate of the chain is OpenSSL's matter") {
  // A CA with a new key, which its old one has certified, and a list that is still the old one's.
  const std::vector<std::pair<int, std::string>> for_a_ca{{NID_basic_constraints, "critical,CA:TRUE"},
                                                          {NID_subject_key_identifier, "hash"}};
  const Certificate before = issue({.common_name = "rolled", .extensions = for_a_ca}, &Pki::get().ca1);
  const std::pair<int, std::string> by_key{NID_authority_key_identifier, "keyid:always"};
  CertificateOptions rolled{.common_name = "rolled", .extensions = for_a_ca};
  rolled.extensions.push_back(by_key);
  const Certificate now = issue(rolled, &before);
  const Certificate leaf = issue({.common_name = "leaf", .extensions = {by_key}}, &now);
  X509CrlPtr list = list_with(before, [&](X509_CRL* changed) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, before.get(), nullptr, nullptr, changed, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always");
    REQUIRE(X509_CRL_add_ext(changed, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  });
  const PolicyPtr policy = policy_with(std::move(list));
  const auto chain = chain_of(leaf, now, before);
  for (int i = 0; i < 2; ++i) CHECK(reasons_for(policy, chain) == good);
  spoil_signature(policy, before);
  CHECK(reasons_for(policy, chain) == forged);  // and the new key's certificate, whose issuer is the next, is good
}

TEST_CASE("list signature: a policy's lists are sorted when it is made") {
  const Pki& pki = Pki::get();
  const PolicyPtr policy = policy_with(list_of(pki.intermediate1, {&pki.client2, &pki.client1}));
  CHECK(sk_X509_REVOKED_is_sorted(X509_CRL_get_REVOKED(list_in(policy, pki.intermediate1))) == 1);
}

TEST_CASE("list signature: under rules that are not the usual ones OpenSSL verifies by itself") {
  const PolicyPtr policy = policy_with(list_of(Pki::get().intermediate1));
  CHECK(reasons_for(policy) == good);
  spoil_signature(policy, Pki::get().intermediate1);
  for (const int flag : {X509_V_FLAG_X509_STRICT, X509_V_FLAG_SUITEB_128_LOS, X509_V_FLAG_NO_CHECK_TIME,
                         X509_V_FLAG_EXTENDED_CRL_SUPPORT, X509_V_FLAG_USE_DELTAS}) {
    CAPTURE(flag);
    OwnVerification own{policy};
    X509_VERIFY_PARAM_set_flags(own.param(), static_cast<unsigned long>(flag));
    const Reasons found = own.run();
    CHECK(std::ranges::count(found, forged.front()) == 1);
  }
  OwnVerification at_another_time{policy};
  X509_VERIFY_PARAM_set_time(at_another_time.param(), std::time(nullptr));
  CHECK(at_another_time.run() == forged);
  CHECK(OwnVerification(policy).run() == good);
}

TEST_CASE("list signature: what one library context has verified, another verifies for itself") {
  const OpensslPtr<OSSL_LIB_CTX, OSSL_LIB_CTX_free> library{OSSL_LIB_CTX_new()};
  const PolicyPtr policy = policy_with(list_of(Pki::get().intermediate1));
  CHECK(reasons_for(policy) == good);
  spoil_signature(policy, Pki::get().intermediate1);
  std::vector<Certificate> chain = chain_of(Pki::get().client1);
  unsigned char* der = nullptr;
  const int size = i2d_X509(Pki::get().intermediate1.get(), &der);
  const unsigned char* in = der;
  X509* elsewhere = X509_new_ex(library.get(), nullptr);
  REQUIRE(d2i_X509(&elsewhere, &in, size) != nullptr);
  OPENSSL_free(der);
  chain.push_back({.certificate = X509Ptr(elsewhere), .key = nullptr});
  CHECK(OwnVerification(policy, chain).run() == forged);
  CHECK(OwnVerification(policy).run() == good);
}

TEST_CASE("list signature: OpenSSL's error queue is left as it was") {
  const PolicyPtr policy = policy_with(list_of(Pki::get().intermediate1));
  for (int i = 0; i < 2; ++i) {
    OwnVerification own{policy};
    CHECK(X509_verify_cert(own.context.get()) == 1);
    CHECK(ERR_peek_error() == 0);
  }
}

TEST_CASE("list signature: threads verify, make policies and drop them at once") {
  constexpr int rounds = 50;
  const Pki& pki = Pki::get();
  const X509CrlPtr list = list_of(pki.intermediate1);
  const PolicyPtr shared = policy_with(X509CrlPtr(X509_CRL_dup(list.get())));
  const EvpPkeyPtr compressed = written_differently(pki.intermediate1.key.get(), "compressed");
  const std::vector<Certificate> differently =
      chain_of(pki.client1, named_as(pki.intermediate1, compressed.get(), true));
  std::mutex mutex;
  std::vector<std::string> bad;
  const auto verify = [&](bool other) {
    PolicyOptions options = asking();
    options.crls.push_back(list_of(pki.ca1));
    options.crls.emplace_back(X509_CRL_dup(list.get()));
    const PolicyPtr mine = make_policy(std::move(options));
    for (const PolicyPtr& policy : {shared, mine}) {
      OwnVerification own{policy, other ? differently : first_chain()};
      if (X509_verify_cert(own.context.get()) != 1) throw std::runtime_error("it does not verify");
    }
  };
  const auto work = [&](bool other) {
    try {
      for (int i = 0; i < rounds; ++i) verify(other);
    } catch (const std::exception& error) {
      const std::scoped_lock lock(mutex);
      bad.emplace_back(error.what());
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) threads.emplace_back(work, i % 2 == 0);
  for (auto& thread : threads) thread.join();
  CHECK(bad == std::vector<std::string>());
}

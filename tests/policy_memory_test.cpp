// Memory runs out while a policy is made, at each allocation in turn: it is the whole policy, or there is none.
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace test;
using client_tls::ClientAuthPolicy;
using client_tls::Errc;
using client_tls::PolicyOptions;
using client_tls::PolicyPtr;

namespace {

std::vector<client_tls::X509CrlPtr> lists() {
  const Pki& pki = Pki::get();
  std::vector<client_tls::X509CrlPtr> all;
  all.push_back(issue_list(pki.ca1, {.revoked = {&pki.client2}, .number = 900}));
  all.push_back(issue_list(pki.ca1, {.starts_in = 1, .number = 901}));
  all.push_back(
      issue_list(pki.intermediate1, {.revoked = {&pki.client1},
                                     .extensions = {{NID_issuing_distribution_point, "critical,onlyuser:TRUE"},
                                                    {NID_authority_key_identifier, "issuer:always"}},
                                     .entry_extensions = {{NID_crl_reason, "DER:0A0101"}}}));
  return all;
}

std::vector<client_tls::X509CrlPtr> share(const std::vector<client_tls::X509CrlPtr>& lists) {
  std::vector<client_tls::X509CrlPtr> more;
  for (const auto& list : lists) {
    X509_CRL_up_ref(list.get());
    more.emplace_back(list.get());
  }
  return more;
}

PolicyOptions options_with(const std::vector<client_tls::X509CrlPtr>& lists, bool partial_chain) {
  const Pki& pki = Pki::get();
  PolicyOptions options = partial_chain ? asking(client_tls::ClientAuth::required, {&pki.intermediate1, &pki.ca1})
                                        : asking(client_tls::ClientAuth::required);
  options.partial_chain = partial_chain;
  options.intermediates = test::share({&pki.intermediate1, &pki.intermediate2});
  options.crls = share(lists);
  return options;
}

}  // namespace

TEST_CASE("out of memory: a policy is made whole or not at all") {
  REQUIRE(counts_openssl());
  const auto all = lists();
  for (const bool partial_chain : {false, true}) {
    const PolicyPtr good = make_policy(options_with(all, partial_chain));
    for (const bool known : {false, true}) {  // whether another policy has the lists
      DYNAMIC_SECTION((partial_chain ? "partial chain" : "whole chains") << (known ? ", lists in use" : "")) {
        const PolicyPtr holder = known ? make_policy(options_with(all, partial_chain)) : nullptr;
        bool first_round = true;  // OpenSSL and the list of known lists keep some memory
        for (const Mode mode : {Mode::once, Mode::once, Mode::from_there_on}) {
          bool failed = true;
          for (std::size_t number = 0; failed; number += first_round ? 53 : allocation_stride()) {
            PolicyOptions options = options_with(all, partial_chain);
            const std::size_t before = blocks_in_use();
            {
              const Failing failing(number, mode);
              PolicyOptions given = std::move(options);
              client_tls::Result<PolicyPtr> policy = nullptr;
              {
                const Failing::Here here;
                policy = ClientAuthPolicy::make(std::move(given));
              }
              failed = Failing::has_failed();
              if (!failed) REQUIRE(policy);
              if (policy) {
                REQUIRE((*policy)->digest() == good->digest());
                REQUIRE((*policy)->warnings().size() == good->warnings().size());
                REQUIRE((*policy)->options().crls.size() == good->options().crls.size());
                REQUIRE((*policy)->lists_end() == good->lists_end());
              } else {
                UNSCOPED_INFO("allocation " << number << ": " << policy.error().message);
                // OpenSSL 3.0 may lay other errors over that of the memory.
                const Errc code = policy.error().code;
                REQUIRE((code == Errc::out_of_memory || code == Errc::openssl));
              }
              REQUIRE(ERR_peek_error() == 0);
            }
            OPENSSL_thread_stop();
            // What was given is gone, too.
            if (!first_round) CHECK(blocks_in_use() <= before);
          }
          first_round = false;
        }
      }
    }
  }
}

TEST_CASE("out of memory: a list's signature is verified or its certificates are refused") {
  const Pki& pki = Pki::get();
  const Certificate forger{.certificate = client_tls::X509Ptr(X509_dup(pki.intermediate1.get())),
                           .key = client_tls::EvpPkeyPtr(EVP_PKEY_dup(pki.ca2.key.get()))};
  const client_tls::OpensslPtr<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }> others{
      sk_X509_new_null()};
  REQUIRE(sk_X509_push(others.get(), pki.intermediate1.get()) > 0);
  const auto verifies = [&](const PolicyPtr& policy) {
    const client_tls::OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context{X509_STORE_CTX_new()};
    return context != nullptr &&
           X509_STORE_CTX_init(context.get(), policy->get0_store(), pki.client1.get(), others.get()) == 1 &&
           X509_verify_cert(context.get()) == 1;
  };
  for (const bool is_forged : {false, true}) {
    for (const Mode mode : {Mode::once, Mode::from_there_on}) {
      bool failed = true;
      for (std::size_t number = 0; failed; ++number) {
        PolicyOptions options = asking();
        options.crls.push_back(issue_crl(pki.ca1));
        options.crls.push_back(issue_crl(is_forged ? forger : pki.intermediate1));  // never verified before
        const PolicyPtr policy = make_policy(std::move(options));
        bool good = false;
        {
          const Failing failing(number, mode);
          const Failing::Here here;
          for (int i = 0; i < 2; ++i) good = verifies(policy);
          failed = Failing::has_failed();
        }
        ERR_clear_error();
        OPENSSL_thread_stop();
        CAPTURE(number, mode == Mode::once);
        if (is_forged) CHECK_FALSE(good);
        if (!failed) CHECK(good != is_forged);
      }
    }
  }
}

// What the library relies on in OpenSSL, fact by fact, without the library: how a client is asked and verified,
// and what a resumed session knows of it.
#include <algorithm>

#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

namespace {

X509NameStackPtr names_of(const std::vector<X509*>& certificates) {
  X509NameStackPtr names{sk_X509_NAME_new_null()};
  for (const X509* certificate : certificates) {
    sk_X509_NAME_push(names.get(), X509_NAME_dup(X509_get_subject_name(certificate)));
  }
  return names;
}
bool are_names_of(const STACK_OF(X509_NAME) * names, const std::vector<X509*>& certificates) {
  if (std::max(sk_X509_NAME_num(names), 0) != static_cast<int>(certificates.size())) return false;
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    const X509_NAME* subject = X509_get_subject_name(certificates[static_cast<std::size_t>(i)]);
    if (X509_NAME_cmp(sk_X509_NAME_value(names, i), subject) != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("openssl: a resumed session knows the leaf; the sent chain only in the server's memory, the verified never") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    const Pair first{server, client1()};
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    const X509* leaf = SSL_get0_peer_certificate(next->server());
    REQUIRE(leaf != nullptr);
    CHECK(X509_cmp(leaf, Pki::get().client1.get()) == 0);
    const bool in_memory = mechanism == Mechanism::id12 || mechanism == Mechanism::stateful13;
    CHECK((SSL_get_peer_cert_chain(next->server()) != nullptr) == in_memory);
    CHECK(SSL_get0_verified_chain(next->server()) == nullptr);
  }
}

TEST_CASE("openssl: a resumed session has the verify result of the full handshake") {
  const Certificate stranger = issue({.common_name = "stranger"});
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_verify = let_through;
    server.on_certificate = ask;
    const Pair first{server, client_with(stranger)};
    const long result = SSL_get_verify_result(first.server());
    CHECK(result != X509_V_OK);
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(SSL_get_verify_result(next->server()) == result);
  }
}

TEST_CASE("openssl: SSL_VERIFY_FAIL_IF_NO_PEER_CERT is enforced on a full handshake, not on a resumed one") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    const Pair first{server};
    server.on_client_hello = [](SSL* ssl) {
      SSL_set_verify(ssl, strict, nullptr);
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    const auto next = offer(server, first);
    CHECK(next->done());
    CHECK(next->resumed());
    CHECK(SSL_get0_peer_certificate(next->server()) == nullptr);
    CHECK(SSL_get_verify_result(next->server()) == X509_V_OK);
    const Pair full{server};
    CHECK_FALSE(full.done());
    CHECK(full.seen.alert == (is_tls13(mechanism) ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE));
  }
}

TEST_CASE("openssl: on a server SSL_get_peer_cert_chain does not have the leaf in it") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    const Pair pair{server, client1()};
    const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(pair.server());
    REQUIRE(sk_X509_num(chain) == 1);
    CHECK(X509_cmp(sk_X509_value(chain, 0), Pki::get().intermediate1.get()) == 0);
  }
}

TEST_CASE("openssl: the verified chain is there at the client's Finished, whole") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    int size = 0;
    server.on_finished = [&](SSL* ssl) { size = sk_X509_num(SSL_get0_verified_chain(ssl)); };
    const Pair pair{server, client1()};
    CHECK(size == 3);
  }
}

TEST_CASE("openssl: the verify callback has the SSL, the store, and all that was sent, leaf included") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().ca1);
  server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
  int sent = 0;
  server.on_verify = [&](int preverified, X509_STORE_CTX* context) {
    sent = sk_X509_num(X509_STORE_CTX_get0_untrusted(context));
    CHECK(X509_STORE_CTX_get0_store(context) == store.get());
    return preverified;
  };
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  CHECK(server.count("verify") > 0);  // and server_of found the SSL behind the context
  CHECK(sent == 2);
}

TEST_CASE("openssl: a verify callback that returns 1 lets the handshake complete, and the last error is the result") {
  const Certificate stranger = issue({.common_name = "stranger", .ends_in = -60}, &Pki::get().intermediate2);
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    std::vector<int> errors;
    server.on_verify = [&](int preverified, X509_STORE_CTX* context) {
      if (preverified == 0) errors.push_back(X509_STORE_CTX_get_error(context));
      return 1;
    };
    const Pair pair{server, client_with(stranger)};
    CHECK(pair.done());
    CHECK(errors == std::vector<int>{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                                     X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_HAS_EXPIRED});
    CHECK(SSL_get_verify_result(pair.server()) == X509_V_ERR_CERT_HAS_EXPIRED);
  }
}

TEST_CASE("openssl: a verify callback that returns 0 ends the handshake with the alert for its error") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    server.on_verify = [](int, X509_STORE_CTX* context) {
      X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_CHAIN_TOO_LONG);
      return 0;
    };
    const Pair pair{server, client1()};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_UNKNOWN_CA);
  }
}

TEST_CASE("openssl: the verify result without a certificate is X509_V_OK") {
  Server server{Mechanism::stateless13};
  server.on_certificate = ask;
  const Pair pair{server};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
  CHECK(SSL_get_verify_result(pair.server()) == X509_V_OK);
  CHECK(server.count("verify") == 0);
}

TEST_CASE("openssl: a client's chain over SSL_set_max_cert_list ends the handshake with illegal_parameter") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = [](SSL* ssl) {
      SSL_set_max_cert_list(ssl, 500);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
      SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);  // from 3.2, else it may be bad_certificate
#endif
      return ask(ssl);
    };
    const Pair pair{server, client1()};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_ILLEGAL_PARAMETER);
    CHECK(pair.server_reason() == SSL_R_EXCESSIVE_MESSAGE_SIZE);
  }
}

TEST_CASE("openssl: with SSL_CTX_set_cert_verify_callback the verify callback is not called") {
  Server server{Mechanism::stateless13};
  SSL_CTX_set_cert_verify_callback(server.ctx(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  server.on_certificate = ask;
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) != nullptr);
  CHECK(server.count("verify") == 0);
}

#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) && !defined(OPENSSL_NO_ZLIB)
TEST_CASE("openssl: a chain over SSL_set_max_cert_list that is small when compressed ends with bad_certificate") {
  const Certificate large = issue({.common_name = "large", .extra_bytes = 4000}, &Pki::get().ca1);  // from 3.2
  for (const bool refused : {false, true}) {
    CAPTURE(refused);
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_max_cert_list(ssl, 2000);
      if (refused) SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
      return ask(ssl);
    };
    const Pair pair{server, client_with(large)};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == (refused ? SSL_AD_ILLEGAL_PARAMETER : SSL_AD_BAD_CERTIFICATE));
  }
}
#endif

TEST_CASE("openssl: SSL_set_verify_depth in the certificate callback holds in this handshake") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) {
    SSL_set_verify_depth(ssl, 0);
    return ask(ssl);
  };
  const Pair pair{server, client1()};
  CHECK_FALSE(pair.done());
}

TEST_CASE("openssl: a verify store set in the certificate callback holds in this handshake; null is the SSL_CTX's") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().ca2);
  X509_STORE* chosen = store.get();
  server.on_certificate = [&](SSL* ssl) {
    if (SSL_set1_verify_cert_store(ssl, store.get()) != 1) return 0;
    return SSL_set1_verify_cert_store(ssl, chosen) == 1 ? ask(ssl) : 0;
  };
  const Pair refused{server, client1()};
  CHECK(refused.seen.alert == SSL_AD_UNKNOWN_CA);
  chosen = nullptr;
  CHECK(Pair{server, client1()}.done());
}

TEST_CASE("openssl: a chain ends in a self-signed anchor: a store with its intermediate alone verifies nothing") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().intermediate1);
  server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
  const Pair pair{server, client1()};
  CHECK(pair.seen.alert == SSL_AD_UNKNOWN_CA);
}

TEST_CASE("openssl: a verify store's revocation lists and flags hold, for each certificate below the anchor") {
  const Pki& pki = Pki::get();
  for (const Certificate* revoked : {static_cast<const Certificate*>(nullptr), &pki.client1, &pki.intermediate1}) {
    Server server{Mechanism::stateless13};
    const X509StorePtr store = store_of(pki.ca1);
    const auto list_of = [&](const Certificate& issuer, const Certificate& subject) {
      return issue_crl(issuer, revoked == &subject ? std::vector{revoked} : std::vector<const Certificate*>{});
    };
    X509_STORE_add_crl(store.get(), list_of(pki.intermediate1, pki.client1).get());
    X509_STORE_add_crl(store.get(), list_of(pki.ca1, pki.intermediate1).get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
    const Pair pair{server, client1()};
    CHECK(pair.done() == (revoked == nullptr));
    if (revoked != nullptr) CHECK(pair.seen.alert == SSL_AD_CERTIFICATE_REVOKED);
  }
}

TEST_CASE("openssl: a store's own check of lists replaces OpenSSL's, which an empty context has") {
  static X509_STORE_CTX_check_crl_fn openssls;
  const OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> empty{X509_STORE_CTX_new()};
  REQUIRE(X509_STORE_CTX_init(empty.get(), nullptr, nullptr, nullptr) == 1);
  openssls = X509_STORE_CTX_get_check_crl(empty.get());
  REQUIRE(openssls != nullptr);
  const Pki& pki = Pki::get();
  const Certificate forger{.certificate = X509Ptr(X509_dup(pki.intermediate1.get())),
                           .key = EvpPkeyPtr(EVP_PKEY_dup(pki.ca2.key.get()))};
  for (const bool replaced : {true, false}) {
    CAPTURE(replaced);
    Server server{Mechanism::stateless13};
    const X509StorePtr store = store_of(pki.ca1);
    X509_STORE_add_crl(store.get(), issue_crl(forger, {&pki.client2}).get());
    X509_STORE_add_crl(store.get(), issue_crl(pki.ca1).get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    if (replaced) X509_STORE_set_check_crl(store.get(), [](X509_STORE_CTX*, X509_CRL*) { return 1; });
    if (!replaced) {
      X509_STORE_set_check_crl(store.get(), [](X509_STORE_CTX* c, X509_CRL* list) { return openssls(c, list); });
    }
    server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
    CHECK(Pair{server, client1()}.done() == replaced);
  }
}

TEST_CASE("openssl: a verify param that overwrites and resets clears what the host's flags allow") {
  using Param = OpensslPtr<X509_VERIFY_PARAM, X509_VERIFY_PARAM_free>;
  const Certificate expired = issue({.common_name = "expired", .ends_in = -60}, &Pki::get().ca1);
  for (const bool own : {false, true}) {
    CAPTURE(own);
    Server server{Mechanism::stateless13};
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(server.ctx()), X509_V_FLAG_NO_CHECK_TIME);
    server.on_certificate = [&](SSL* ssl) {
      const Param param{X509_VERIFY_PARAM_new()};
      X509_VERIFY_PARAM_set_inh_flags(param.get(), X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
      if (own) SSL_set1_param(ssl, param.get());
      return ask(ssl);
    };
    const Pair pair{server, client_with(expired)};
    CHECK(pair.done() == !own);
    if (own) CHECK(pair.seen.alert == SSL_AD_CERTIFICATE_EXPIRED);
  }
}

TEST_CASE("openssl: an SSL's client CA list is what the client sees; if it is empty, SSL_CTX_set0_CA_list's is") {
  const Pki& pki = Pki::get();
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    SSL_CTX_set0_CA_list(server.ctx(), names_of({pki.ca2.get()}).release());
    std::vector<X509*> names;
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_client_CA_list(ssl, names_of(names).release());
      return ask(ssl);
    };
    CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), {pki.ca2.get()}));
    names = {pki.ca1.get(), pki.server.get()};
    CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), names));
  }
}

TEST_CASE("openssl: SSL_set_client_CA_list with null gives the SSL_CTX's list back") {
  const Pki& pki = Pki::get();
  Server server{Mechanism::stateless13};
  SSL_CTX_set_client_CA_list(server.ctx(), names_of({pki.ca2.get()}).release());
  server.on_certificate = [&](SSL* ssl) {
    SSL_set_client_CA_list(ssl, names_of({pki.ca1.get()}).release());
    SSL_set_client_CA_list(ssl, nullptr);
    return ask(ssl);
  };
  CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), {pki.ca2.get()}));
}

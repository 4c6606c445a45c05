// Raw public keys (RFC 7250), which a host can allow from OpenSSL 3.2 on: such a client has proved a key, and presented
// no certificate.
#include "support/catch.hpp"
#include "support/pair.hpp"
#include "support/policies.hpp"

#if OPENSSL_VERSION_NUMBER >= 0x30200000L

using namespace client_tls;
using namespace test;

namespace {

constexpr std::array<unsigned char, 2> raw_key_first{TLSEXT_cert_type_rpk, TLSEXT_cert_type_x509};

void allow_raw_keys(SSL_CTX* ssl_ctx) {
  REQUIRE(SSL_CTX_set1_client_cert_type(ssl_ctx, raw_key_first.data(), raw_key_first.size()) == 1);
}

// A client that prefers its raw key to its certificate.
ClientOptions with_raw_key(SSL_SESSION* session = nullptr) {
  ClientOptions options = client1();
  options.session = session;
  options.adjust_ctx = allow_raw_keys;
  return options;
}

bool presented_raw_key(const Pair& pair) {
  return SSL_get0_peer_rpk(pair.server()) != nullptr;
}

}  // namespace

TEST_CASE("raw public key: it is not success and nothing resumes from it, where a certificate is asked for") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const auto refusal : {Refusal::handshake, Refusal::host}) {
      for (const auto request : {ClientAuth::optional, ClientAuth::required}) {
        DYNAMIC_SECTION(to_string(mechanism)
                        << ", " << to_string(request) << ", refused by the " << to_string(refusal)) {
          PolicyOptions options = asking(request);
          options.refusal = refusal;
          const PolicyServer server{mechanism, make_policies({{"a.test", make_policy(std::move(options))}})};
          allow_raw_keys(server.ssl_ctx());
          const Pair first{server.ssl_ctx(), with_raw_key()};
          const bool refused = request == ClientAuth::required && refusal == Refusal::handshake;
          CHECK(first.done() == !refused);
          if (refused) continue;
          CHECK(presented_raw_key(first));
          CHECK(first.verify() == "NONE");
          CHECK(first.chain() == (request == ClientAuth::required ? Pair::not_authenticated : "none"));
          const auto session = first.session();
          const Pair next{server.ssl_ctx(), with_raw_key(session.get())};
          CHECK(next.done());
          CHECK_FALSE(next.resumed());
          CHECK(next.verify() == "NONE");
        }
      }
    }
  }
}

TEST_CASE("raw public key: a verification that the host bypasses lets nobody in who is refused by the handshake") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      const PolicyServer server{mechanism, make_policies({{"a.test", make_policy(asking(ClientAuth::required))}})};
      allow_raw_keys(server.ssl_ctx());
      SSL_CTX_set_cert_verify_callback(server.ssl_ctx(), +[](X509_STORE_CTX*, void*) { return 1; }, nullptr);
      CHECK_FALSE(Pair(server.ssl_ctx(), with_raw_key()).done());
    }
  }
}

TEST_CASE("raw public key: it is not success either where the host asks by hand") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      allow_raw_keys(server.ssl_ctx());
      const Pair first{server, with_raw_key()};
      REQUIRE(first.done());
      CHECK(presented_raw_key(first));
      CHECK(first.verify() == "NONE");
      const auto session = first.session();
      CHECK_FALSE(Pair(server, with_raw_key(session.get())).resumed());
    }
  }
}

TEST_CASE("raw public key: a client that has none of it is as ever, on an SSL_CTX that allows it") {
  const PolicyServer server{Mechanism::stateless13,
                            make_policies({{"a.test", make_policy(asking(ClientAuth::required))}})};
  allow_raw_keys(server.ssl_ctx());
  const Pair first{server.ssl_ctx(), client1()};
  REQUIRE(first.done());
  CHECK(first.verify() == "SUCCESS");
  ClientOptions offering = client1();
  const auto session = first.session();
  offering.session = session.get();
  CHECK(Pair(server.ssl_ctx(), offering).resumed());
}

#endif

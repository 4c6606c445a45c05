// Pre-shared keys, which take the place of a certificate: with one, OpenSSL sends no CertificateRequest, does not look
// at SSL_VERIFY_FAIL_IF_NO_PEER_CERT, and in TLS 1.3 says that a session was resumed.
#include <cstring>

#include "support/catch.hpp"
#include "support/external_psk.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

// Both sides of TLS 1.2, whose callbacks serve TLS 1.3 as well.
unsigned server_psk(SSL* /*ssl*/, const char* identity, unsigned char* key, unsigned max) {
  if (std::strcmp(identity, "key") != 0 || max < psk.size()) return 0;
  std::ranges::copy(psk, key);
  return psk.size();
}
unsigned client_psk(SSL* /*ssl*/, const char* /*hint*/, char* identity, unsigned max_identity, unsigned char* key,
                    unsigned max) {
  if (max_identity < 4 || max < psk.size()) return 0;
  std::memcpy(identity, "key", 4);
  std::ranges::copy(psk, key);
  return psk.size();
}

// How a client and a server come to share a key, and the client's cipher suites.
struct Kind {
  const char* name;
  bool tls13;
  const char* ciphers;
  void (*client)(SSL*);
};
void with_session(SSL* ssl) {
  SSL_set_psk_use_session_callback(ssl, use_psk);
}
void with_key(SSL* ssl) {
  SSL_set_psk_client_callback(ssl, client_psk);
}
constexpr Kind kinds[] = {
    {"external PSK", true, "TLS_AES_256_GCM_SHA384", with_session},
    {"external PSK, TLS 1.2's callbacks", true, "TLS_AES_128_GCM_SHA256", with_key},
    {"PSK", false, "PSK-AES128-GCM-SHA256", with_key},
    {"DHE-PSK", false, "DHE-PSK-AES128-GCM-SHA256", with_key},
    {"ECDHE-PSK", false, "ECDHE-PSK-CHACHA20-POLY1305:ECDHE-PSK-AES128-CBC-SHA256", with_key},
};

void set_ciphers(SSL* ssl, const Kind& kind) {
  const auto set = kind.tls13 ? SSL_set_ciphersuites : SSL_set_cipher_list;
  if (set(ssl, kind.ciphers) != 1) throw std::runtime_error("ciphers");
}

ClientOptions with_psk(const Kind& kind, ClientOptions options) {
  options.adjust = [kind](SSL* ssl) {
    set_ciphers(ssl, kind);
    kind.client(ssl);
  };
  return options;
}
ClientOptions with_psk(const Kind& kind, std::string name = "a.test") {
  return with_psk(kind, ClientOptions{.server_name = std::move(name)});
}

// The host's PSKs.
void allow_psk(SSL_CTX* ctx) {
  SSL_CTX_set_psk_find_session_callback(ctx, find_psk);
  SSL_CTX_set_psk_server_callback(ctx, server_psk);
  SSL_CTX_set_dh_auto(ctx, 1);
  if (SSL_CTX_set_cipher_list(ctx, "ALL") != 1) throw std::runtime_error("ciphers");
}
void allow_psk(SSL* ssl) {
  SSL_set_psk_find_session_callback(ssl, find_psk);
  SSL_set_psk_server_callback(ssl, server_psk);
}

std::shared_ptr<CurrentPolicies> policies_with(Refusal refusal) {
  return make_policies({{"a.test", make_policy(requiring(refusal))},
                        {"optional.test", make_policy(asking(ClientAuth::optional))},
                        {"open.test", make_policy()}});
}

struct PskServer : PolicyServer {
  PskServer(Mechanism mechanism, Refusal refusal) : PolicyServer(mechanism, policies_with(refusal)) {
    allow_psk(ssl_ctx());
  }
};

// Whether the client has shown the server a key in place of a certificate.
bool by_psk(const Pair& pair) {
  if (!pair.done()) return false;
  if (SSL_version(pair.server()) == TLS1_3_VERSION) return pair.resumed();
  return SSL_CIPHER_get_auth_nid(SSL_get_current_cipher(pair.server())) == NID_auth_psk;
}

void check_nobody(const Pair& pair) {
  if (!pair.done()) return;
  CHECK_FALSE(pair.verify() == "SUCCESS");
  CHECK((pair.chain() == "none" || pair.chain() == Pair::not_authenticated));
}

// A client that offers a session, and has no key any more: in TLS 1.2 it needs one to offer the session's cipher suite.
ClientOptions offering(const Kind& kind, const SslSessionPtr& session, std::string name = "a.test") {
  ClientOptions options{.server_name = std::move(name), .session = session.get()};
  if (!kind.tls13) return with_psk(kind, options);
  options.adjust = [kind](SSL* ssl) { set_ciphers(ssl, kind); };
  return options;
}

// Whatever such a connection left.
void check_never_resumes(Server& server, const Kind& kind, const Pair& pair) {
  const auto session = pair.session();
  if (!session) return;
  const Pair next{server, offering(kind, session)};
  CHECK_FALSE(next.resumed());
  check_nobody(next);
}

template <class Check>
void for_each_kind(Check check) {
  for (const Kind& kind : kinds) {
    for (const Mechanism mechanism : all_mechanisms) {
      if (is_tls13(mechanism) != kind.tls13) continue;
      DYNAMIC_SECTION(kind.name << ", " << to_string(mechanism)) {
        check(kind, mechanism);
      }
    }
  }
}

}  // namespace

TEST_CASE("psk: without the library these clients get in") {  // what the other tests rely on
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    Server server{mechanism};
    allow_psk(server.ssl_ctx());
    const Pair pair{server, with_psk(kind)};
    CHECK(by_psk(pair));
  });
}

TEST_CASE("psk: a key is no certificate under `required`, refused by the handshake") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::handshake};
    const Pair pair{server, with_psk(kind)};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen().alert == (kind.tls13 ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE));
    check_never_resumes(server, kind, pair);
  });
}

TEST_CASE("psk: a key is no certificate under `required`, refused by the host") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::host};
    const Pair pair{server, with_psk(kind)};
    CHECK_FALSE(by_psk(pair));
    check_nobody(pair);
    check_never_resumes(server, kind, pair);
  });
}

TEST_CASE("psk: a client that has a certificate besides is asked for it") {
  for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
    for_each_kind([refusal](const Kind& kind, Mechanism mechanism) {
      PskServer server{mechanism, refusal};
      ClientOptions options = with_psk(kind, client1());
      if (!kind.tls13) {
        options.adjust = [kind](SSL* ssl) {
          SSL_set_cipher_list(ssl, (std::string(kind.ciphers) + ":ECDHE-ECDSA-AES128-GCM-SHA256").c_str());
          kind.client(ssl);
        };
      }
      const Pair pair{server, options};
      REQUIRE(pair.done());
      CHECK(pair.seen().certificate_requests == 1);
      CHECK(pair.verify() == "SUCCESS");
      CHECK_FALSE(pair.resumed());
    });
  }
}

TEST_CASE("psk: our own sessions still resume under `required`") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::handshake};
    // In TLS 1.3 the client offers its key as well.
    ClientOptions options = kind.tls13 ? with_psk(kind, client1()) : client1();
    const Pair first{server, options};
    REQUIRE(first.verify() == "SUCCESS");
    const auto session = first.session();
    options.session = session.get();
    const Pair next{server, options};
    CHECK(next.resumed());
    CHECK(next.verify() == "SUCCESS");
    CHECK(next.chain() == first.chain());
  });
}

TEST_CASE("psk: names that ask for nothing keep it, and what is made there resumes there alone") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::host};
    (void)Pair(server, with_psk(kind));  // on another SSL
    const Pair open{server, with_psk(kind, "open.test")};
    CHECK(by_psk(open));
    check_nobody(open);
    const auto session = open.session();
    REQUIRE(session);
    CHECK_FALSE(Pair(server, offering(kind, session, "a.test")).resumed());
    CHECK_FALSE(Pair(server, offering(kind, session, "optional.test")).resumed());
    CHECK(Pair(server, offering(kind, session, "open.test")).resumed());
  });
}

TEST_CASE("psk: under `optional` such a client is one without a certificate") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::handshake};
    const Pair pair{server, with_psk(kind, "optional.test")};
    CHECK(by_psk(pair));
    CHECK(pair.verify() == "NONE");
    CHECK(pair.chain() == "none");
    const auto session = pair.session();
    REQUIRE(session);
    const Pair next{server, offering(kind, session, "optional.test")};
    CHECK(next.done());
    CHECK(next.verify() == "NONE");
    CHECK(next.chain() == "none");
  });
}

TEST_CASE("psk: an SSL that was under `required` is not weaker when it is used again") {
  for_each_kind([](const Kind& kind, Mechanism mechanism) {
    PskServer server{mechanism, Refusal::handshake};
    Pair pair{server, client1()};
    REQUIRE(pair.done());
    pair.clear(with_psk(kind, "open.test"));
    pair.clear(with_psk(kind));
    CHECK_FALSE(pair.done());
    Pair open_first{server, with_psk(kind, "open.test")};
    REQUIRE(by_psk(open_first));
    open_first.clear(with_psk(kind));
    CHECK_FALSE(open_first.done());
  });
}

TEST_CASE("psk: a hook that switches it on again makes nobody a success, and nothing that resumes") {
  for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
    for (const Phase phase : {Phase::client_hello, Phase::certificate}) {
      for_each_kind([&](const Kind& kind, Mechanism mechanism) {
        CAPTURE(static_cast<int>(refusal), static_cast<int>(phase));
        Server server{mechanism};
        allow_psk(server.ssl_ctx());
        bool on = true;
        const auto switch_on = [&](Handshake& handshake) {
          if (on && handshake.phase() == phase) allow_psk(handshake.ssl());
          return Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(), policies_with(refusal),
                        {.client_hello = switch_on, .certificate = switch_on, .error = {}}));
        const Pair pair{server, with_psk(kind)};
        if (!kind.tls13) CHECK_FALSE(by_psk(pair));  // there the cipher suite itself is refused
        check_nobody(pair);
        check_never_resumes(server, kind, pair);
        on = false;
        check_never_resumes(server, kind, pair);
      });
    }
  }
}

TEST_CASE("psk: a cipher suite without any authentication does not stand in for a certificate either") {
  constexpr Kind anonymous{"anonymous", false, "ADH-AES128-GCM-SHA256:AECDH-AES128-SHA:@SECLEVEL=0", [](SSL*) {}};
  for (const Refusal refusal : {Refusal::handshake, Refusal::host}) {
    for (const Mechanism mechanism : tls12_mechanisms) {
      DYNAMIC_SECTION(to_string(refusal) << ", " << to_string(mechanism)) {
        PskServer server{mechanism, refusal};
        SSL_CTX_set_security_level(server.ssl_ctx(), 0);
        CHECK(Pair(server, with_psk(anonymous, "open.test")).done());
        CHECK_FALSE(Pair(server, with_psk(anonymous)).done());
        CHECK(Pair(server, client1()).verify() == "SUCCESS");
      }
    }
  }
}

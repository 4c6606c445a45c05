// Encrypted client hello (OpenSSL 4.0): the name that counts is the one inside, which only the server can read; the
// public name outside counts for those who send nothing else.
#include <openssl/ssl.h>

#if OPENSSL_VERSION_MAJOR >= 4 && !defined(OPENSSL_NO_ECH)

#include <openssl/ech.h>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

struct EchStoreFree {
  void operator()(OSSL_ECHSTORE* store) const { OSSL_ECHSTORE_free(store); }
};
using EchStorePtr = std::unique_ptr<OSSL_ECHSTORE, EchStoreFree>;

// A key, and the configuration that a client would find in the DNS, under the public name.
EchStorePtr make_config(const char* public_name = "public.test") {
  EchStorePtr store{OSSL_ECHSTORE_new(nullptr, nullptr)};
  const OSSL_HPKE_SUITE suite = OSSL_HPKE_SUITE_DEFAULT;
  REQUIRE(OSSL_ECHSTORE_new_config(store.get(), OSSL_ECH_CURRENT_VERSION, 0, public_name, suite) == 1);
  // Only what was read from a file is sent to clients whose configuration is outdated.
  const BioPtr file{BIO_new(BIO_s_mem())};
  REQUIRE(OSSL_ECHSTORE_write_pem(store.get(), OSSL_ECHSTORE_LAST, file.get()) == 1);
  store.reset(OSSL_ECHSTORE_new(nullptr, nullptr));
  REQUIRE(OSSL_ECHSTORE_read_pem(store.get(), file.get(), OSSL_ECH_FOR_RETRY) == 1);
  return store;
}

ClientOptions encrypting(ClientOptions client, const EchStorePtr& config) {
  client.adjust = [store = config.get()](SSL* ssl) { REQUIRE(SSL_set1_echstore(ssl, store) == 1); };
  return client;
}

// What the server gave a client whose configuration it could not use.
std::vector<unsigned char> retry_config_of(SSL* ssl) {
  unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_ech_get1_retry_config(ssl, &bytes, &size) != 1 || bytes == nullptr) return {};
  std::vector<unsigned char> config(bytes, bytes + size);
  OPENSSL_free(bytes);
  return config;
}

ClientOptions encrypting(ClientOptions client, std::vector<unsigned char> config) {
  client.adjust = [bytes = std::move(config)](SSL* ssl) {
    REQUIRE(SSL_set1_ech_config_list(ssl, bytes.data(), bytes.size()) == 1);
  };
  return client;
}

ClientOptions without_certificate(std::string server_name) {
  return {.server_name = std::move(server_name)};
}

// What the server's side says of the encryption, with the two names.
struct Status {
  int code;
  std::string inner, outer;

  friend bool operator==(const Status&, const Status&) = default;
};

Status status_of(SSL* ssl) {
  char* inner = nullptr;
  char* outer = nullptr;
  const int code = SSL_ech_get1_status(ssl, &inner, &outer);
  Status status{code, inner != nullptr ? inner : "", outer != nullptr ? outer : ""};
  OPENSSL_free(inner);
  OPENSSL_free(outer);
  return status;
}

std::string scope_of(const Pair& pair) {
  unsigned size = 0;
  const unsigned char* context = SSL_SESSION_get0_id_context(SSL_get_session(pair.server()), &size);
  return {reinterpret_cast<const char*>(context), size};
}

// A server with three policies: two inner names, which ask for certificates of one CA each, and the public name, which
// asks for nothing. It notes what each handler was told.
struct EchServer : Server {
  explicit EchServer(Mechanism mechanism)
      : Server(mechanism),
        config(make_config()),
        inner(make_policy(asking(ClientAuth::required))),
        other(make_policy(asking(ClientAuth::required, {&Pki::get().ca1, &Pki::get().ca2}))),
        open(make_policy()) {
    Hooks hooks;
    hooks.client_hello = [this](Handshake& handshake) { return note("client_hello: ", handshake); };
    hooks.certificate = [this](Handshake& handshake) { return note("certificate: ", handshake); };
    hooks.error = [this](const HandshakeError& ended) {
      calls.push_back("error: " + std::string(ended.error.message));
    };
    const auto policies = make_policies({{"inner.test", inner}, {"other.test", other}, {"public.test", open}});
    REQUIRE(install(ssl_ctx(), policies, std::move(hooks)));
    REQUIRE(SSL_CTX_set1_echstore(ssl_ctx(), config.get()) == 1);
  }

  EchStorePtr config;
  PolicyPtr inner, other, open;
  std::vector<std::string> calls;

 private:
  Decision note(const char* phase, const Handshake& handshake) {
    calls.push_back(phase + std::string(handshake.server_name()));
    return Decision::proceed;
  }
};

using Calls = std::vector<std::string>;

}  // namespace

TEST_CASE("ech: the policy, the scope and the name are those of the inner name") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      EchServer server{mechanism};
      const Pair pair{server, encrypting(client1("inner.test"), server.config)};
      REQUIRE(pair.done());
      CHECK(status_of(pair.server()) == Status{SSL_ECH_STATUS_SUCCESS, "inner.test", "public.test"});
      CHECK(server.calls == Calls{"client_hello: inner.test", "certificate: inner.test"});
      CHECK(get0_policy(pair.server()) == server.inner.get());
      CHECK(pair.verify() == "SUCCESS");
      CHECK(pair.seen().certificate_requests == 1);
      const Pair in_the_clear{server, client1("inner.test")};
      CHECK(scope_of(pair) == scope_of(in_the_clear));
      const Pair other{server, encrypting(client1("other.test"), server.config)};
      CHECK(get0_policy(other.server()) == server.other.get());
      CHECK(scope_of(pair) != scope_of(other));
    }
  }
}

TEST_CASE("ech: what the inner name's policy refuses is refused") {
  EchServer server{Mechanism::stateless13};
  const Pair without{server, encrypting(without_certificate("inner.test"), server.config)};
  CHECK_FALSE(without.done());
  const Pair of_another_ca{server, encrypting(client2("inner.test"), server.config)};
  CHECK_FALSE(of_another_ca.done());
  CHECK(Pair(server, encrypting(client2("other.test"), server.config)).verify() == "SUCCESS");
  server.calls.clear();
  const Pair unknown{server, encrypting(client1("unknown.test"), server.config)};
  CHECK(unknown.seen().alert == SSL_AD_UNRECOGNIZED_NAME);
  CHECK(server.calls == Calls{"error: there is no policy for the server name"});
}

// The public name would do; but it is not what the client asked for.
TEST_CASE("ech: a client with no name inside has the policy of clients without a name") {
  EchServer server{Mechanism::stateless13};
  const Pair pair{server, encrypting(client1(""), server.config)};
  CHECK_FALSE(pair.done());
  CHECK(pair.seen().alert == SSL_AD_UNRECOGNIZED_NAME);
  CHECK(server.calls == Calls{"error: there is no policy for the server name"});
}

TEST_CASE("ech: a client that sends the public name alone has that name's policy") {
  EchServer server{Mechanism::stateless13};
  const Pair pair{server, client1("public.test")};
  REQUIRE(pair.done());
  CHECK(server.calls == Calls{"client_hello: public.test", "certificate: public.test"});
  CHECK(get0_policy(pair.server()) == server.open.get());
  CHECK(pair.seen().certificate_requests == 0);
}

TEST_CASE("ech: a client that only pretends to encrypt has the policy of the name that it sends") {
  EchServer server{Mechanism::stateless13};
  ClientOptions pretending = client1("inner.test");
  pretending.adjust = [](SSL* ssl) { SSL_set_options(ssl, SSL_OP_ECH_GREASE); };
  const Pair pair{server, pretending};
  REQUIRE(pair.done());
  CHECK(server.calls == Calls{"client_hello: inner.test", "certificate: inner.test"});
  CHECK(get0_policy(pair.server()) == server.inner.get());
}

TEST_CASE("ech: a session resumes under its inner name, encrypted or not, and under no other name") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      EchServer server{mechanism};
      const ClientOptions encrypted = encrypting(client1("inner.test"), server.config);
      const auto session = [&] { return Pair(server, encrypted).session(); };
      const auto offer = [&](ClientOptions client, const SslSessionPtr& offered) {
        return std::make_unique<Pair>(server, offering(std::move(client), offered));
      };
      for (const ClientOptions& same : {encrypted, without_certificate("inner.test")}) {
        const auto resumed = offer(same, session());
        CHECK(resumed->resumed());
        CHECK(resumed->verify() == "SUCCESS");
      }
      const auto in_the_clear = Pair(server, client1("inner.test")).session();
      CHECK(offer(encrypted, in_the_clear)->resumed());

      const auto in_public = offer(without_certificate("public.test"), session());
      REQUIRE(in_public->done());
      CHECK_FALSE(in_public->resumed());
      CHECK(in_public->chain() == "none");
      const auto in_other = offer(encrypting(client2("other.test"), server.config), session());
      REQUIRE(in_other->done());
      CHECK_FALSE(in_other->resumed());
      CHECK(in_other->chain() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
      const auto of_public = Pair(server, client1("public.test")).session();
      const auto in_inner = offer(encrypting(without_certificate("inner.test"), server.config), of_public);
      CHECK_FALSE(in_inner->resumed());
      CHECK_FALSE(in_inner->done());
    }
  }
}

// OpenSSL compares names by itself; a scope of the test's own shows that the binding does, too.
TEST_CASE("ech: bound by hand, a session made under the inner name resumes in its own scope alone") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      const EchStorePtr config = make_config();
      REQUIRE(SSL_CTX_set1_echstore(server.ssl_ctx(), config.get()) == 1);
      std::string scope = "one";
      server.on_client_hello = [&](SSL* ssl) {
        const auto name = ServerName::from_client_hello(ssl);
        CHECK((name && name->view() == "inner.test"));
        return bind_to(ssl, scope);
      };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      const ClientOptions encrypted = encrypting(client1("inner.test"), config);
      Pair first{server, encrypted};
      REQUIRE(first.verify() == "SUCCESS");
      Pair same{server, offering(encrypted, first.session())};
      CHECK(same.resumed());
      scope = "two";
      Pair other{server, offering(encrypting(without_certificate("inner.test"), config), same.session())};
      REQUIRE(other.done());
      CHECK_FALSE(other.resumed());
      CHECK(other.chain() == "none");
    }
  }
}

TEST_CASE("ech: after a HelloRetryRequest the name is still the inner one") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      EchServer server{mechanism};
      SSL_CTX_set1_groups_list(server.ssl_ctx(), "P-384");  // no client sends a share of it at first
      const Pair pair{server, encrypting(client1("inner.test"), server.config)};
      REQUIRE(pair.done());
      CHECK(status_of(pair.server()).code == SSL_ECH_STATUS_SUCCESS);
      // OpenSSL comes to the certificate callback before it asks for another share.
      const Calls twice{"client_hello: inner.test", "certificate: inner.test", "client_hello: inner.test",
                        "certificate: inner.test"};
      CHECK(server.calls == twice);
      CHECK(get0_policy(pair.server()) == server.inner.get());
      CHECK(pair.verify() == "SUCCESS");
      const Pair again{server, offering(encrypting(client1("inner.test"), server.config), pair.session())};
      CHECK(again.resumed());
      CHECK(again.verify() == "SUCCESS");
    }
  }
}

// The server cannot read what is inside, and goes on with what is outside; the client then ends the connection, and
// tries again with the configuration that it got.
TEST_CASE("ech: a client with a wrong configuration has the public name's policy, never the inner name's") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      EchServer server{mechanism};
      const EchStorePtr outdated = make_config();
      const auto session = Pair(server, encrypting(client1("inner.test"), server.config)).session();
      server.calls.clear();
      const Pair pair{server, offering(encrypting(client1("inner.test"), outdated), session)};
      CHECK(server.calls == Calls{"client_hello: public.test", "certificate: public.test"});
      CHECK(get0_policy(pair.server()) == server.open.get());
      CHECK_FALSE(pair.resumed());
      CHECK(pair.seen().certificate_requests == 0);
      CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
      const auto retry = retry_config_of(pair.client());
      REQUIRE_FALSE(retry.empty());
      const Pair next{server, encrypting(client1("inner.test"), retry)};
      CHECK(get0_policy(next.server()) == server.inner.get());
      CHECK(next.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("ech: a wrong configuration with a public name that has no policy is refused") {
  EchServer server{Mechanism::stateless13};
  const EchStorePtr outdated = make_config("unknown.test");
  const Pair pair{server, encrypting(client1("inner.test"), outdated)};
  CHECK_FALSE(pair.done());
  CHECK(pair.seen().alert == SSL_AD_UNRECOGNIZED_NAME);
  CHECK(server.calls == Calls{"error: there is no policy for the server name"});
}

#endif

// The verify parameters of a host's SSL_CTX under a policy: what would let more clients in is dropped, what lets fewer
// in is kept and divides the sessions, and after the handshake everything is the host's again.
#include <openssl/rsa.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr std::array mechanisms{Mechanism::ticket12, Mechanism::stateless13, Mechanism::external12,
                                Mechanism::external13};

// A change that a host makes. Its parameters reach each SSL of the SSL_CTX.
struct Change {
  const char* name;
  void (*make)(SSL_CTX*);
};

X509_VERIFY_PARAM* param_of(SSL_CTX* ctx) {
  return SSL_CTX_get0_param(ctx);
}
void set_flags(SSL_CTX* ctx, unsigned long flags) {
  X509_VERIFY_PARAM_set_flags(param_of(ctx), flags);
}

// By a parameter object of the host's own, as a configuration does it.
void set1_partial_chain(SSL_CTX* ctx) {
  const OpensslPtr<X509_VERIFY_PARAM, X509_VERIFY_PARAM_free> param{X509_VERIFY_PARAM_new()};
  X509_VERIFY_PARAM_set_flags(param.get(), X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_depth(param.get(), 3);
  X509_VERIFY_PARAM_set_purpose(param.get(), X509_PURPOSE_ANY);
  SSL_CTX_set1_param(ctx, param.get());
}

constexpr Change dropped[] = {
    {"nothing", [](SSL_CTX*) {}},
    {"partial chain", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_PARTIAL_CHAIN); }},
    {"partial chain, by SSL_CTX_set1_param", set1_partial_chain},
    {"no check of times", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_NO_CHECK_TIME); }},
    {"an old time", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_time(param_of(c), std::time(nullptr) - 30 * 24 * 3600); }},
    {"purpose: any", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_purpose(param_of(c), X509_PURPOSE_ANY); }},
    {"purpose: server", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_purpose(param_of(c), X509_PURPOSE_SSL_SERVER); }},
    {"trust: server", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_trust(param_of(c), X509_TRUST_SSL_SERVER); }},
    {"a host name", [](SSL_CTX* c) { X509_VERIFY_PARAM_set1_host(param_of(c), "other.test", 0); }},
    {"an e-mail address", [](SSL_CTX* c) { X509_VERIFY_PARAM_set1_email(param_of(c), "a@other.test", 0); }},
    {"an IP address", [](SSL_CTX* c) { X509_VERIFY_PARAM_set1_ip_asc(param_of(c), "192.0.2.1"); }},
    {"revocation lists", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL); }},
    {"depth 0", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_depth(param_of(c), 0); }},
    {"security level 0", [](SSL_CTX* c) { SSL_CTX_set_security_level(c, 0); }},
    {"security level 0 of the parameters", [](SSL_CTX* c) { X509_VERIFY_PARAM_set_auth_level(param_of(c), 0); }},
};

// What makes a host stricter; each refuses a client that is good without it.
struct Strictness {
  const char* name;
  void (*make)(SSL_CTX*);
  ClientOptions (*client)();
};

// Of CA 1, each good in some respect and bad in another.
ClientOptions good() {
  return client1();
}
ClientOptions long_expired() {
  static const Certificate leaf =
      issue({.starts_in = -60L * 24 * 3600, .ends_in = -20L * 24 * 3600}, &Pki::get().intermediate1);
  return client_with(leaf, Pki::get().intermediate1);
}
ClientOptions for_servers() {
  static const Certificate leaf = issue({.usage = Usage::server}, &Pki::get().intermediate1);
  return client_with(leaf, Pki::get().intermediate1);
}
ClientOptions of_intermediate2() {  // which the policy has, but as no anchor
  return client2();
}
ClientOptions rsa() {
  static const Certificate leaf = issue({.key = Key::rsa_2048}, &Pki::get().intermediate1);
  return client_with(leaf, Pki::get().intermediate1);
}
// 80 bits of security, which only the level 0 or 1 takes.
ClientOptions weak() {
  static const EvpPkeyPtr key{EVP_RSA_gen(1024)};
  static const Certificate leaf = [] {
    Certificate made = issue({.key = Key::rsa_2048}, &Pki::get().intermediate1);
    X509_set_pubkey(made.get(), key.get());
    X509_sign(made.get(), Pki::get().intermediate1.key.get(), EVP_sha256());
    return made;
  }();
  ClientOptions options;
  options.adjust_ctx = [](SSL_CTX* ctx) {
    SSL_CTX_set_security_level(ctx, 0);
    if (SSL_CTX_use_certificate(ctx, leaf.get()) != 1 || SSL_CTX_use_PrivateKey(ctx, key.get()) != 1 ||
        SSL_CTX_add1_chain_cert(ctx, Pki::get().intermediate1.get()) != 1) {
      throw std::runtime_error("weak");
    }
  };
  return options;
}

struct Client {
  const char* name;
  ClientOptions (*make)();
  const char* verdict;  // under the policy alone
};
constexpr Client clients[] = {
    {"good", good, "SUCCESS"},
    {"expired", expired_client, "FAILED:certificate has expired"},
    {"long expired", long_expired, "FAILED:certificate has expired"},
    {"for servers", for_servers, nullptr},  // whose text changed with OpenSSL's version
    {"of an intermediate", of_intermediate2, "FAILED:unable to get issuer certificate"},
    {"weak", weak, "FAILED:EE certificate key too weak"},
};

constexpr Strictness kept[] = {
    {"X509_STRICT", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_X509_STRICT); }, good},  // lacks key identifiers
    {"Suite B, 128 bits only", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_SUITEB_128_LOS_ONLY); }, rsa},
    {"Suite B, 128 bits", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_SUITEB_128_LOS); }, rsa},
    {"Suite B, 192 bits", [](SSL_CTX* c) { set_flags(c, X509_V_FLAG_SUITEB_192_LOS); }, good},
    {"cipher suites: SUITEB128", [](SSL_CTX* c) { SSL_CTX_set_cipher_list(c, "SUITEB128"); }, rsa},
    {"security level 3", [](SSL_CTX* c) { SSL_CTX_set_security_level(c, 3); }, rsa},
};

std::shared_ptr<CurrentPolicies> policies() {
  const auto asking_for = [](ClientAuth request) {
    PolicyOptions options = asking(request);
    options.intermediates = share({&Pki::get().intermediate2});
    return make_policy(std::move(options));
  };
  static const PolicyPtr optional = asking_for(ClientAuth::optional);
  static const PolicyPtr required = asking_for(ClientAuth::required);
  return make_policies({{"a.test", optional}, {"required.test", required}, {"open.test", make_policy()}});
}

// A server of a process of its own, which shares its ticket keys, or its external cache, with others.
std::unique_ptr<PolicyServer> make_server(Mechanism mechanism, void (*change)(SSL_CTX*)) {
  auto server = std::make_unique<PolicyServer>(mechanism, policies());
  std::array<unsigned char, 80> keys{};
  keys.fill(7);
  REQUIRE(SSL_CTX_set_tlsext_ticket_keys(server->ssl_ctx(), keys.data(), keys.size()) == 1);
  change(server->ssl_ctx());
  return server;
}

ClientOptions offering(ClientOptions options, const std::string& name, const SslSessionPtr& session = nullptr) {
  options.server_name = name;
  return test::offering(std::move(options), session);
}

// A cipher suite of TLS 1.2 that Suite B allows, too.
ClientOptions with_suite_b(ClientOptions options) {
  options.adjust = [](SSL* ssl) { SSL_set_cipher_list(ssl, "ECDHE-ECDSA-AES128-GCM-SHA256"); };
  return options;
}

}  // namespace

TEST_CASE("verify param: what would loosen or bend a policy is dropped") {
  for (const Change& change : dropped) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(change.name << ", " << to_string(mechanism)) {
        const auto server = make_server(mechanism, change.make);
        for (const Client& client : clients) {
          CAPTURE(client.name);
          const Pair pair{*server, offering(client.make(), "a.test")};
          const bool success = client.make == good;
          if (client.verdict != nullptr) CHECK(pair.verify() == client.verdict);
          CHECK((pair.verify() == "SUCCESS") == success);
          CHECK((SSL_get_verify_result(pair.server()) == X509_V_OK) == success);
          CHECK(Pair(*server, offering(client.make(), "required.test")).done() == success);
        }
      }
    }
  }
}

// X509_VP_FLAG_LOCKED keeps an SSL's parameters from being replaced by others; in an SSL_CTX it has no effect.
TEST_CASE("verify param: what a hook sets on the SSL is dropped as well, also where it is locked") {
  constexpr std::uint32_t locked = X509_VP_FLAG_LOCKED;
  for (const std::uint32_t flags : {0U, locked, locked | std::uint32_t{X509_VP_FLAG_ONCE}}) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION("flags " << flags << ", " << to_string(mechanism)) {
        Server server{mechanism};
        Hooks hooks;
        hooks.client_hello = [flags](Handshake& handshake) {
          X509_VERIFY_PARAM* param = SSL_get0_param(handshake.ssl());
          X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
          X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
          X509_VERIFY_PARAM_set_inh_flags(param, flags);
          return Decision::proceed;
        };
        REQUIRE(install(server.ssl_ctx(), policies(), std::move(hooks)));
        for (const Client& client : clients) {
          CAPTURE(client.name);
          CHECK(Pair(server, offering(client.make(), "required.test")).done() == (client.make == good));
        }
      }
    }
  }
}

TEST_CASE("verify param: a session of one SSL_CTX resumes on another from which something was dropped") {
  for (const Change& change : dropped) {
    for (const Mechanism mechanism : mechanisms) {
      for (const bool made_on_changed : {false, true}) {
        DYNAMIC_SECTION(change.name << ", " << to_string(mechanism)
                                    << (made_on_changed ? ", made on the changed one" : ", made on the plain one")) {
          const auto plain = make_server(mechanism, dropped[0].make);
          const auto changed = make_server(mechanism, change.make);
          PolicyServer& from = made_on_changed ? *changed : *plain;
          PolicyServer& to = made_on_changed ? *plain : *changed;
          for (const Client& client : clients) {
            CAPTURE(client.name);
            const Pair first{from, offering(client.make(), "a.test")};
            const auto session = first.session();
            to.external_cache = from.external_cache;
            const Pair next{to, offering(client.make(), "a.test", session)};
            CHECK(next.verify() == first.verify());
            if (client.make == good) CHECK(next.resumed());
          }
        }
      }
    }
  }
}

TEST_CASE("verify param: what makes the host stricter is kept") {
  for (const Strictness& strictness : kept) {
    for (const Mechanism mechanism : both_versions) {
      DYNAMIC_SECTION(strictness.name << ", " << to_string(mechanism)) {
        const auto lax = make_server(mechanism, dropped[0].make);
        const auto strict = make_server(mechanism, strictness.make);
        const ClientOptions client = with_suite_b(strictness.client());
        CHECK(Pair(*lax, offering(client, "a.test")).verify() == "SUCCESS");
        CHECK(Pair(*lax, offering(client, "required.test")).done());
        CHECK_FALSE(Pair(*strict, offering(client, "a.test")).verify() == "SUCCESS");
        CHECK_FALSE(Pair(*strict, offering(client, "required.test")).done());
      }
    }
  }
}

TEST_CASE("verify param: a session of a laxer SSL_CTX does not resume on a stricter one, nor the other way") {
  for (const Strictness& strictness : kept) {
    for (const Mechanism mechanism : mechanisms) {
      for (const char* name : {"a.test", "required.test"}) {
        DYNAMIC_SECTION(strictness.name << ", " << to_string(mechanism) << ", " << name) {
          const auto lax = make_server(mechanism, dropped[0].make);
          const auto lax_too = make_server(mechanism, dropped[0].make);
          const auto strict = make_server(mechanism, strictness.make);
          const ClientOptions client = with_suite_b(strictness.client());
          const Pair first{*lax, offering(client, name)};
          REQUIRE(first.verify() == "SUCCESS");
          const auto session = first.session();
          strict->external_cache = lax_too->external_cache = lax->external_cache;
          CHECK(Pair(*lax_too, offering(client, name, session)).resumed());
          const Pair next{*strict, offering(client, name, session)};
          CHECK_FALSE(next.resumed());
          CHECK_FALSE(next.verify() == "SUCCESS");
        }
      }
    }
  }
}

namespace {

int host_security(const SSL* /*ssl*/, const SSL_CTX* /*ctx*/, int, int, int, void*, void*) {
  return 1;
}

void free_text(char* text) {
  OPENSSL_free(text);
}

// Whether these parameters, as a verification takes them over, accept a certificate for servers: they have no getter
// for the purpose before 3.5.
bool accept_servers(X509_VERIFY_PARAM* param) {
  static const Certificate leaf = issue({.usage = Usage::server}, &Pki::get().ca1);
  const X509StorePtr store{X509_STORE_new()};
  X509_STORE_add_cert(store.get(), Pki::get().ca1.get());
  const OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context{X509_STORE_CTX_new()};
  X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), nullptr);
  X509_STORE_CTX_set_default(context.get(), "ssl_client");
  const auto inherit_flags = X509_VERIFY_PARAM_get_inh_flags(param);
  X509_VERIFY_PARAM_set_inh_flags(param, 0);  // locked ones are not taken over
  X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(context.get()), param);
  X509_VERIFY_PARAM_set_inh_flags(param, inherit_flags);
  return X509_verify_cert(context.get()) == 1;
}

// A host's settings, each other than OpenSSL's and other than the policy's.
struct HostSettings {
  X509StorePtr store{X509_STORE_new()};
  static constexpr unsigned long flags = X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_POLICY_CHECK;
  static constexpr std::uint32_t inherit_flags = X509_VP_FLAG_LOCKED;
  static constexpr int depth = 7;

  void set(SSL* ssl, bool with_host) const {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_flags(param, flags);
    X509_VERIFY_PARAM_set_depth(param, depth);
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_auth_level(param, 1);
    if (with_host) {
      X509_VERIFY_PARAM_set1_host(param, "other.test", 0);
      X509_VERIFY_PARAM_set1_email(param, "a@other.test", 0);
      X509_VERIFY_PARAM_set1_ip_asc(param, "192.0.2.1");
    }
    X509_VERIFY_PARAM_set_inh_flags(param, inherit_flags);
    SSL_set1_verify_cert_store(ssl, store.get());
    SSL_set_security_callback(ssl, host_security);
  }

  void check(SSL* ssl, bool with_host) const {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    CHECK((X509_VERIFY_PARAM_get_flags(param) & flags) == flags);
    CHECK(X509_VERIFY_PARAM_get_depth(param) == depth);
    CHECK(X509_VERIFY_PARAM_get_auth_level(param) == 1);
    CHECK(X509_VERIFY_PARAM_get_inh_flags(param) == inherit_flags);
    if (!with_host) CHECK(accept_servers(param));
    const char* host = X509_VERIFY_PARAM_get0_host(param, 0);
    CHECK(std::string(host != nullptr ? host : "") == (with_host ? "other.test" : ""));
    // OpenSSL 4.0 copies it without the NUL at its end, so that it cannot be read as a text there.
    const char* email = OPENSSL_VERSION_MAJOR < 4 ? X509_VERIFY_PARAM_get0_email(param) : nullptr;
    if (OPENSSL_VERSION_MAJOR < 4)
      CHECK(std::string(email != nullptr ? email : "") == (with_host ? "a@other.test" : ""));
    const OpensslPtr<char, free_text> ip{X509_VERIFY_PARAM_get1_ip_asc(param)};
    CHECK(std::string(ip ? ip.get() : "") == (with_host ? "192.0.2.1" : ""));
    X509_STORE* now = nullptr;
    SSL_get0_verify_cert_store(ssl, &now);
    CHECK(now == store.get());
    CHECK(SSL_get_security_callback(ssl) == host_security);
  }
};

}  // namespace

TEST_CASE("verify param: after the handshake everything is the host's again, also on an SSL used again") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool with_host : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (with_host ? ", with a host name" : "")) {
        const HostSettings settings;
        PolicyServer server{mechanism, policies()};
        const auto connect = [&](ClientOptions options) {
          auto pair = std::make_unique<Pair>(server, options, false);
          settings.set(pair->server(), with_host);
          pair->run();
          return pair;
        };
        for (const char* name : {"a.test", "required.test", "open.test"}) {
          CAPTURE(name);
          const auto pair = connect(offering(good(), name));
          REQUIRE(pair->done());
          settings.check(pair->server(), with_host);
          const auto session = pair->session();
          const auto resumed = connect(offering(good(), name, session));
          REQUIRE(resumed->resumed());
          settings.check(resumed->server(), with_host);
          pair->clear(offering(good(), "required.test"));
          REQUIRE(pair->verify() == "SUCCESS");
          settings.check(pair->server(), with_host);
          pair->clear(offering(client2(), "required.test"));
          REQUIRE_FALSE(pair->done());
          pair->clear(offering(good(), "open.test"));  // after a handshake that was broken off
          REQUIRE(pair->done());
          settings.check(pair->server(), with_host);
        }
      }
    }
  }
}

TEST_CASE("verify param: a host that has set nothing has nothing set afterwards") {
  PolicyServer server{Mechanism::stateless13, policies()};
  const SslPtr untouched{SSL_new(server.ssl_ctx())};
  X509_VERIFY_PARAM* expected = SSL_get0_param(untouched.get());
  for (const char* name : {"a.test", "required.test", "open.test"}) {
    const Pair pair{server, offering(good(), name)};
    REQUIRE(pair.done());
    X509_STORE* store = nullptr;
    SSL_get0_verify_cert_store(pair.server(), &store);
    CHECK(store == nullptr);
    CHECK(SSL_get_security_callback(pair.server()) == SSL_get_security_callback(untouched.get()));
    X509_VERIFY_PARAM* param = SSL_get0_param(pair.server());
    CHECK(X509_VERIFY_PARAM_get_flags(param) == X509_VERIFY_PARAM_get_flags(expected));
    CHECK(X509_VERIFY_PARAM_get_depth(param) == X509_VERIFY_PARAM_get_depth(expected));
    CHECK(X509_VERIFY_PARAM_get_auth_level(param) == X509_VERIFY_PARAM_get_auth_level(expected));
    CHECK(X509_VERIFY_PARAM_get_inh_flags(param) == X509_VERIFY_PARAM_get_inh_flags(expected));
  }
}

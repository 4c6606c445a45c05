// What a client may send: a chain over its limits ends its handshake with a clean alert.
#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;
using client_tls::Limits;

namespace {

struct Chain {
  Certificate leaf;
  std::vector<Certificate> others;

  Chain(std::size_t certificates, std::size_t extra_in_leaf, std::size_t extra_in_each = 0)
      : leaf(issue({.extra_bytes = extra_in_leaf}, &Pki::get().ca1)) {
    for (std::size_t i = 1; i < certificates; ++i) {
      others.push_back(issue({.common_name = "stranger", .usage = Usage::ca, .extra_bytes = extra_in_each}));
    }
  }
  [[nodiscard]] ClientOptions options() const {
    ClientOptions options{.chain = {leaf.get()}, .key = leaf.key.get()};
    for (const Certificate& other : others) options.chain.push_back(other.get());
    return options;
  }
};

}  // namespace

TEST_CASE("limits: too many certificates, too many bytes or a huge leaf end the handshake with an alert") {
  struct Case {
    const char* name;
    Chain chain;
    std::optional<int> alert;
  };
  const std::array cases{
      Case{"10 certificates", Chain{10, 0}, std::nullopt},
      Case{"11 certificates", Chain{11, 0}, SSL_AD_UNKNOWN_CA},
      Case{"31 KiB", Chain{2, 0, std::size_t{31} * 1024 - 1000}, std::nullopt},
      Case{"33 KiB", Chain{4, 0, std::size_t{11} * 1024}, SSL_AD_ILLEGAL_PARAMETER},
      Case{"a leaf of 66 KB", Chain{1, 66'000}, SSL_AD_ILLEGAL_PARAMETER},
  };
  for (const Mechanism mechanism : both_versions) {
    for (const Case& expected : cases) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << expected.name) {
        Server server{mechanism};
        server.on_certificate = [](SSL* ssl) { return ask(ssl); };
        Pair pair{server, expected.chain.options()};
        CHECK(pair.done() == !expected.alert.has_value());
        CHECK(pair.seen().alert == expected.alert);
        if (!expected.alert) CHECK(pair.verify() == "SUCCESS");
        if (expected.alert) CHECK(pair.verify().starts_with("error: "));
      }
    }
  }
}

TEST_CASE("limits: they hold where the host asks by itself, and only binds") {
  struct Case {
    Chain chain;
    bool good;
  };
  const std::array cases{Case{Chain{10, 0}, true}, Case{Chain{11, 0}, false}, Case{Chain{4, 0, 11'264}, false}};
  for (const Mechanism mechanism : both_versions) {
    for (const Case& expected : cases) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair pair{server, expected.chain.options()};
      CHECK(pair.done() == expected.good);
      if (expected.good) CHECK(SSL_get_max_cert_list(pair.server()) == SSL_CTX_get_max_cert_list(server.ssl_ctx()));
    }
  }
}

TEST_CASE("limits: one that is out of its range is an error, and nothing is bound") {
  const std::array bad{Limits{.max_chain_bytes = 0}, Limits{.max_chain_bytes = Limits::max_limit_bytes + 1},
                       Limits{.max_chain_certificates = 0}, Limits{.max_chain_certificates = 101},
                       Limits{.max_carried_bytes = Limits::max_limit_bytes + 1}};
  for (const Limits& limits : bad) {
    Server server{Mechanism::stateless13};
    server.on_client_hello = [&](SSL* ssl) { return bind_with_limits(ssl, limits); };
    CHECK_FALSE(Pair(server, {}).done());
  }
}

TEST_CASE("limits: they can be set") {
  const Chain chain{3, 2000, 2000};
  const auto size = [&] {
    std::size_t total = 0;
    for (X509* certificate : chain.options().chain) total += static_cast<std::size_t>(i2d_X509(certificate, nullptr));
    return total;
  }();
  for (const Mechanism mechanism : both_versions) {
    for (const auto& [set, good] : {std::pair{Limits{.max_chain_certificates = 3}, true},
                                    {Limits{.max_chain_certificates = 2}, false},
                                    {Limits{.max_chain_bytes = size + 100}, true},
                                    {Limits{.max_chain_bytes = size}, false}}) {
      Server server{mechanism};
      server.on_client_hello = [limits = set](SSL* ssl) { return bind_with_limits(ssl, limits); };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair pair{server, chain.options()};
      CHECK(pair.done() == good);
    }
  }
}

// A session over 0xFF00 bytes ends the handshake: what we add to one must not be what breaks it.
TEST_CASE("limits: a leaf that fills a session leaves no room for its chain, and breaks no handshake") {
  const Chain chain{2, 63'900, 1'000};
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);  // the host asks, with its own limit
      server.on_certificate = [](SSL* ssl) { return SSL_set_max_cert_list(ssl, 100'000), 1; };
      Pair pair{server, chain.options()};
      CHECK(pair.done());
      CHECK(pair.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("limits: the largest chain and budget that can be set break no handshake") {
  const Chain chain{1, 58'000};
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL* ssl) {
        return bind_with_limits(
            ssl, {.max_chain_bytes = Limits::max_limit_bytes, .max_carried_bytes = Limits::max_limit_bytes});
      };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair pair{server, chain.options()};
      CHECK(pair.done());
      CHECK(pair.verify() == "SUCCESS");
    }
  }
}

// How much memory a client can make a server use before it is refused: all allocations, counted.
#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/pair.hpp"
#include "support/policies.hpp"

using namespace test;
using client_tls::SslSessionPtr;

TEST_CASE("memory: a chain over the limits costs at most 16 MiB before its handshake ends") {
  REQUIRE(counts_openssl());
  constexpr std::size_t most = std::size_t{16} * 1024 * 1024;
  const auto chain_of = [](std::size_t certificates, std::size_t extra_bytes) {
    std::vector<Certificate> chain;
    chain.push_back(issue({.extra_bytes = extra_bytes}, &Pki::get().ca1));
    while (chain.size() < certificates) {
      chain.push_back(issue({.common_name = "stranger", .usage = Usage::ca, .extra_bytes = extra_bytes}));
    }
    return chain;
  };
  struct Case {
    const char* name;
    std::vector<Certificate> chain;
  };
  const std::array cases{
      Case{"11 certificates", chain_of(11, 0)},
      Case{"as many as fit into 32 KiB", chain_of(90, 0)},
      Case{"33 KiB", chain_of(3, 11'000)},
      Case{"a leaf of 66 KB", chain_of(1, 66'000)},
  };
  for (const Mechanism mechanism : both_versions) {
    for (const auto& [name, chain] : cases) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << name) {
        ClientOptions options{.chain = {}, .key = chain.front().key.get()};
        for (const Certificate& certificate : chain) options.chain.push_back(certificate.get());
        Server server{mechanism};
        server.on_certificate = [](SSL* ssl) { return ask(ssl); };
        forget_peak();
        const std::size_t before = bytes_in_use();
        Pair pair{server, options};  // both sides, and the wire between them
        CHECK_FALSE(pair.done());
        CHECK(pair.seen().alert);
        CHECK(peak_bytes() - before <= most);
      }
    }
  }
}

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t many_sessions = 20'000;
#else
constexpr std::size_t many_sessions = 100'000;
#endif
constexpr std::size_t tickets_per_handshake = 50;

// Two connections resume one session at once, and one of them fails: OpenSSL then marks the session, which the other
// one still copies into its ticket, as not resumable. Its caches grew without end after that (CVE-2024-2511).
void fail_beside_another(Server& server, SSL_SESSION* session) {
  ClientOptions options = client1();
  options.session = session;
  Pair failing{server, options, false};
  Pair other{server, options, false};
  for (const Pair* pair : {&failing, &other}) {
    SSL_do_handshake(pair->client());
    SSL_do_handshake(pair->server());
    REQUIRE(pair->resumed());
  }
  static constexpr std::array<unsigned char, 5 + 32> no_record{SSL3_RT_APPLICATION_DATA, 3, 3, 0, 32};
  BIO_write(SSL_get_wbio(failing.client()), no_record.data(), no_record.size());
  REQUIRE_FALSE(failing.run());
  REQUIRE(other.run());
}

}  // namespace

TEST_CASE("memory: a hundred thousand stateful TLS 1.3 sessions leave the cache at its size and nothing behind") {
  constexpr long cache_size = 1000;
  constexpr std::size_t slack = std::size_t{64} * 1024;
  Server server{Mechanism::stateful13};
  SSL_CTX* ctx = server.ssl_ctx();
  SSL_CTX_sess_set_new_cb(ctx, nullptr);  // no copy elsewhere
  SSL_CTX_sess_set_remove_cb(ctx, nullptr);
  SSL_CTX_sess_set_cache_size(ctx, cache_size);
  server.on_certificate = [](SSL* ssl) {
    SSL_set_num_tickets(ssl, tickets_per_handshake);
    return ask(ssl);
  };
  std::size_t bytes = 0;
  for (std::size_t made = 0; made < many_sessions; made += tickets_per_handshake) {
    SslSessionPtr session;
    {
      const Pair pair{server, client1()};
      REQUIRE(pair.seen().tickets == tickets_per_handshake);
      session = pair.session();
    }
    fail_beside_another(server, session.get());
    REQUIRE(SSL_CTX_sess_number(ctx) <= cache_size);
    if (made == many_sessions / 10) bytes = bytes_in_use();
    if (made > many_sessions / 10) REQUIRE(bytes_in_use() <= bytes + slack);
  }
  CHECK(SSL_CTX_sess_number(ctx) >= cache_size - 1);  // OpenSSL keeps one place free
  CHECK(SSL_CTX_sess_cache_full(ctx) >= static_cast<long>(many_sessions) - cache_size);
}

TEST_CASE("memory: what is remembered of revocation lists goes with their last policy") {
  const auto make_and_drop = [] {
    for (int i = 0; i < 100; ++i) {
      auto options = asking();
      options.crls.push_back(issue_crl(Pki::get().ca1));  // another one each time
      make_policy(std::move(options));
    }
  };
  make_and_drop();
  const std::size_t before = blocks_in_use();
  make_and_drop();
  CHECK(blocks_in_use() == before);
}

TEST_CASE(
    "memory: a verdict that is asked for again allocates nothing, and nor does one by a policy that is remembered") {
  REQUIRE(counts_openssl());
  for (const Mechanism mechanism : all_mechanisms) {
    for (const ClientOptions& client : {client1(), client2(), ClientOptions{}}) {
      const client_tls::PolicyPtr policy = make_policy(asking());
      const PolicyServer server{mechanism, make_policies({{"a.test", policy}})};
      const Pair first{server.ssl_ctx(), client};
      const SslSessionPtr session = first.session();
      ClientOptions again = client;
      again.session = session.get();
      const Pair next{server.ssl_ctx(), again};
      REQUIRE(next.resumed());
      for (const Pair* pair : {&first, &next}) {
        client_tls::PhaseContext context{client_tls::Phase::access};
        const client_tls::ClientTls tls{pair->server(), context};
        bool good = tls.verdict().has_value() && tls.verdict(*policy).has_value();
        const std::size_t before = allocations_made();
        for (int i = 0; i < 100; ++i) good = good && tls.verdict() && tls.verdict(*policy);
        const std::size_t made = allocations_made() - before;
        CHECK(good);
        CHECK(made == 0);
      }
    }
  }
}

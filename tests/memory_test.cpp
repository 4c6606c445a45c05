// How much memory a client can make a server use before it is refused: all allocations, counted.
#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;

// V9
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
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
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

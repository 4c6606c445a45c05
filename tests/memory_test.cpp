// How much memory a client can make a server use before it is refused: OpenSSL's own allocations, counted. A program of
// its own, because OpenSSL takes its memory functions only before it has allocated anything.
#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>

#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;

namespace {

constinit std::atomic<std::size_t> in_use{0};
constinit std::atomic<std::size_t> peak{0};

void count(void* block) {
  if (block == nullptr) return;
  const std::size_t now = in_use += malloc_usable_size(block);
  std::size_t highest = peak;
  while (now > highest && !peak.compare_exchange_weak(highest, now)) {
  }
}

void uncount(void* block) {
  if (block != nullptr) in_use -= malloc_usable_size(block);
}

void* counted_malloc(std::size_t size, const char*, int) {
  void* block = std::malloc(size);
  count(block);
  return block;
}

void* counted_realloc(void* old, std::size_t size, const char*, int) {
  uncount(old);
  void* block = std::realloc(old, size);
  count(block != nullptr ? block : old);
  return block;
}

void counted_free(void* block, const char*, int) {
  uncount(block);
  std::free(block);
}

const int counting = CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free);

}  // namespace

// V9
TEST_CASE("memory: a chain over the limits costs at most 16 MiB before its handshake ends") {
  REQUIRE(counting == 1);
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
        const std::size_t before = in_use;
        peak = before;
        Pair pair{server, options};  // both sides, and the wire between them
        CHECK_FALSE(pair.done());
        CHECK(pair.seen().alert);
        CHECK(peak - before <= most);
      }
    }
  }
}

// Many threads on one SSL_CTX: each with connections of its own, all with the same sessions. What is asserted here is
// what they got; that nothing raced is what ThreadSanitizer says (preset tsan).
#include <atomic>
#include <latch>
#include <thread>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace test;
using client_tls::ClientTls;
using client_tls::Decision;
using client_tls::Handshake;
using client_tls::Hooks;
using client_tls::Phase;
using client_tls::PhaseContext;
using client_tls::SslSessionPtr;

namespace {

constexpr int handshake_threads = 16;
constexpr int reading_threads = 8;
constexpr int connections_per_thread = 4;

// Runs the function on so many threads, all of them at once.
template <class Function>
void on_threads(int count, const Function& function) {
  std::latch all_there{count};
  std::vector<std::jthread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      all_there.arrive_and_wait();
      function();
    });
  }
}

void install_asking(Server& server, std::atomic<int>& calls) {
  SSL_CTX* ctx = server.ssl_ctx();
  SSL_CTX_sess_set_new_cb(ctx, nullptr);  // the support's own cache is for one thread
  SSL_CTX_sess_set_remove_cb(ctx, nullptr);
  Hooks hooks;
  hooks.client_hello = [&calls](Handshake&) {
    ++calls;
    return Decision::proceed;
  };
  hooks.certificate = [&calls](Handshake&) {
    ++calls;
    return Decision::proceed;
  };
  REQUIRE(client_tls::install(ctx, make_policies({{"a.test", make_policy(asking())}}), std::move(hooks)));
}

// What went wrong on the connection; Catch2's assertions are for one thread.
bool good(Pair& pair, const std::string& expected) {
  if (!pair.done() || pair.verify() != "SUCCESS") return false;
  std::atomic<int> wrong{pair.chain() == expected ? 0 : 1};  // made here,
  on_threads(reading_threads, [&] {                          // and read everywhere
    if (pair.chain() != expected) ++wrong;
  });
  return wrong == 0;
}

}  // namespace

TEST_CASE("threads: 16 of them make and resume sessions on one SSL_CTX, and 8 read each chain") {
  const std::string expected = chain_of_client1();
  for (const Mechanism mechanism : all_mechanisms) {
    if (is_external(mechanism)) continue;
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      std::atomic<int> calls{0};
      install_asking(server, calls);
      Pair first{server, client1()};
      const SslSessionPtr shared = first.session();
      REQUIRE(shared);
      std::atomic<int> wrong{0};
      std::atomic<int> resumed{0};
      on_threads(handshake_threads, [&] {
        SslSessionPtr own;
        for (int i = 0; i < connections_per_thread; ++i) {
          ClientOptions options = client1();
          options.session = i % 2 == 0 ? shared.get() : own.get();
          Pair pair{server, options};
          if (!good(pair, expected)) ++wrong;
          if (pair.resumed()) ++resumed;
          own = pair.session();
        }
      });
      CHECK(wrong == 0);
      CHECK(resumed >= handshake_threads);
      CHECK(calls >= handshake_threads * connections_per_thread);
    }
  }
}

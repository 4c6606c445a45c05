// What a table had goes when nobody has it any more, in the thread that reloads: none that serves connections frees it.
#include <openssl/x509_vfy.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

// Where the stores of policies were freed.
class Freed {
 public:
  // Has the policy's store tell when it is freed. The policy is to be gone before this object.
  void watch(const PolicyPtr& policy) { X509_STORE_set_ex_data(policy->get0_store(), index(), this); }

  [[nodiscard]] std::size_t count() const {
    const std::scoped_lock lock(mutex_);
    return threads_.size();
  }
  [[nodiscard]] std::size_t count_in(std::thread::id thread) const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count(threads_, thread));
  }

 private:
  static int index() {
    static const int index = X509_STORE_get_ex_new_index(0, nullptr, nullptr, nullptr, on_free);
    return index;
  }
  static void on_free(void* /*store*/, void* freed, CRYPTO_EX_DATA* /*data*/, int /*index*/, long, void*) {
    if (freed == nullptr) return;
    auto& self = *static_cast<Freed*>(freed);
    const std::scoped_lock lock(self.mutex_);
    self.threads_.push_back(std::this_thread::get_id());
  }

  mutable std::mutex mutex_;
  std::vector<std::thread::id> threads_;
};

PolicyPtr watched(Freed& freed, ClientAuth request = ClientAuth::optional) {
  PolicyOptions options = asking(request);
  options.crls = empty_crls();
  options.anchors = share({&Pki::get().ca1, &Pki::get().ca2});
  PolicyPtr policy = make_policy(std::move(options));
  freed.watch(policy);
  return policy;
}

PolicyTable table_of(PolicyPtr policy) {
  return make_table({{"a.test", std::move(policy)}});
}

}  // namespace

TEST_CASE("current policies: what nobody has is freed when it is replaced") {
  Freed freed;
  CurrentPolicies policies{table_of(watched(freed))};
  for (std::size_t i = 0; i < 100; ++i) {
    CHECK(freed.count() == i);
    policies.replace(table_of(watched(freed)));
  }
  CHECK(policies.collect() == 0);
  CHECK(freed.count() == 100);
}

TEST_CASE("current policies: each place of a table is kept and freed") {
  Freed freed;
  CurrentPolicies policies{make_table({{"a.test", watched(freed)}, {"*.test", watched(freed)}, {"b.test", nullptr}},
                                      watched(freed), watched(freed))};
  std::vector<PolicyPtr> held;
  held.push_back(policies.find(ServerName{}));
  for (const char* name : {"a.test", "x.test", "other"}) held.push_back(policies.find(*ServerName::parse(name)));
  policies.replace(PolicyTable{nullptr, nullptr});
  for (std::size_t left = held.size(); left > 0; --left) {
    CHECK(policies.collect() == left);
    CHECK(freed.count() == 4 - left);
    held.pop_back();
  }
  CHECK(policies.collect() == 0);
  CHECK(freed.count() == 4);
}

TEST_CASE("current policies: a connection keeps its policy, and the thread that drops the connection frees nothing") {
  Freed freed;
  PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", watched(freed)}})};
  auto first = std::make_unique<Pair>(server, client1());
  auto second = std::make_unique<Pair>(server, client1());
  REQUIRE(second->done());
  server.policies->replace(table_of(watched(freed)));
  CHECK(server.policies->collect() == 1);
  std::thread([&first] { first.reset(); }).join();
  CHECK(server.policies->collect() == 1);
  std::thread([&second] { second.reset(); }).join();
  CHECK(freed.count() == 0);
  CHECK(server.policies->collect() == 0);
  CHECK(freed.count_in(std::this_thread::get_id()) == 1);
}

TEST_CASE("current policies: a policy that is in force again is not freed, and is kept once") {
  Freed freed;
  const auto other = make_policy();
  PolicyPtr policy = watched(freed);
  CurrentPolicies policies{table_of(policy)};
  for (int i = 0; i < 5; ++i) {
    policies.replace(table_of(other));
    policies.replace(make_table({{"a.test", policy}, {"b.test", policy}}));
  }
  policy.reset();
  CHECK(policies.collect() == 2);
  CHECK(freed.count() == 0);
  CHECK(policies.find(*ServerName::parse("b.test")) != nullptr);
  policies.replace(table_of(other));
  CHECK(freed.count() == 1);
}

// OpenSSL 3.0 frees an SSL's ex_data, and the connection's policy with it, before the SSL's store.
TEST_CASE("current policies: a handshake that is abandoned keeps nothing of its policy's") {
  static CurrentPolicies* reloading = nullptr;
  static Freed* seen = nullptr;
  static std::size_t seen_freed = 0;
  PolicyServer first{Mechanism::ticket12, make_policies({{"a.test", make_policy(asking())}})};
  REQUIRE(Pair{first, ClientOptions{}}.done());  // the library's own index is the lower one, and is freed first
  // Another thread reloads, just after the library's own data has been freed.
  static const int index =
      SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, [](void*, void*, CRYPTO_EX_DATA*, int, long, void*) {
        if (reloading == nullptr) return;
        reloading->collect();
        seen_freed = seen->count();
      });
  REQUIRE(index > 0);
  Freed freed;
  PolicyServer server{Mechanism::ticket12, make_policies({{"a.test", watched(freed)}})};
  {
    SslPtr ssl{SSL_new(server.ssl_ctx())};
    const SslCtxPtr client_ctx{SSL_CTX_new(TLS_client_method())};
    const SslPtr client{SSL_new(client_ctx.get())};
    SSL_set_tlsext_host_name(client.get(), "a.test");
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(ssl.get());
    BIO* of_server = nullptr;
    BIO* of_client = nullptr;
    REQUIRE(BIO_new_bio_pair(&of_server, 0, &of_client, 0) == 1);
    SSL_set_bio(ssl.get(), of_server, of_server);
    SSL_set_bio(client.get(), of_client, of_client);
    SSL_do_handshake(client.get());
    SSL_do_handshake(ssl.get());  // asks for a certificate
    server.policies->replace(PolicyTable{nullptr, nullptr});
    CHECK(server.policies->collect() == 1);
    reloading = server.policies.get();
    seen = &freed;
    std::thread([&ssl] { ssl.reset(); }).join();
    reloading = nullptr;
  }
  CHECK(seen_freed == 1);
  CHECK(freed.count() == 1);
}

TEST_CASE("current policies: no thread that serves frees a policy, whatever is replaced and collected meanwhile") {
  Freed freed;
  const auto policies = make_policies({{"a.test", watched(freed)}});
  const Server server{Mechanism::stateless13};
  REQUIRE(install(server.ssl_ctx(), policies));
  SSL_CTX_sess_set_new_cb(server.ssl_ctx(), nullptr);  // the support's own cache is for one thread
  SSL_CTX_sess_set_remove_cb(server.ssl_ctx(), nullptr);
  std::atomic<bool> stop{false};
  std::thread::id reloader;
  std::size_t made = 1;
  {
    std::jthread replacer([&] {
      reloader = std::this_thread::get_id();
      for (; !stop; ++made) {
        policies->replace(table_of(watched(freed)));
        policies->collect();
      }
    });
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
      clients.emplace_back([&, i] {
        for (int n = 0; n < 25; ++n) const Pair pair{server.ssl_ctx(), i % 2 == 0 ? client1() : ClientOptions{}};
      });
    }
    clients.clear();
    stop = true;
  }
  CHECK(freed.count_in(reloader) == freed.count());
  CHECK(policies->collect() == 0);
  CHECK(freed.count() == made - 1);
}

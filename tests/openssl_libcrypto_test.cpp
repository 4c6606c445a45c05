// What the library relies on in OpenSSL, fact by fact, without the library: ex_data and the error queue.
#include <openssl/err.h>

#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

namespace {

struct Slot {
  int made = 0, copied = 0, freed = 0;
  void* last_freed = nullptr;
};
Slot slot;

int index_with_functions() {
  static const int index = SSL_get_ex_new_index(
      0, nullptr, [](void*, void*, CRYPTO_EX_DATA*, int, long, void*) { ++slot.made; },
      [](CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, void** data, int, long, void*) {
        ++slot.copied;
        if (*data != nullptr) *data = &slot;
        return 1;
      },
      [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
        ++slot.freed;
        slot.last_freed = data;
      });
  return index;
}

}  // namespace

TEST_CASE("openssl: an ex_data slot is made in SSL_new, unless the SSL is older, and freed in SSL_free, always") {
  Server server{Mechanism::stateless13};
  SslPtr older{SSL_new(server.ctx())};
  const int index = index_with_functions();
  slot = {};
  int data = 0;
  CHECK(SSL_get_ex_data(older.get(), index) == nullptr);
  CHECK(SSL_set_ex_data(older.get(), index, &data) == 1);
  CHECK(slot.made == 0);
  older.reset();
  CHECK(slot.freed == 1);
  CHECK(slot.last_freed == &data);
  SslPtr newer{SSL_new(server.ctx())};
  CHECK(slot.made == 1);
  newer.reset();
  CHECK(slot.freed == 2);
  CHECK(slot.last_freed == nullptr);
}

TEST_CASE("openssl: an SSL_CTX's ex_data is freed with it, by a function that has the argument of the index") {
  static int argument;
  static void* freed;
  freed = nullptr;
  const int index = SSL_CTX_get_ex_new_index(
      0, &argument, nullptr, nullptr,
      [](void*, void* data, CRYPTO_EX_DATA*, int, long, void* given) { freed = given == &argument ? data : nullptr; });
  int data = 0;
  {
    const Server server{Mechanism::stateless13};
    CHECK(SSL_CTX_set_ex_data(server.ctx(), index, &data) == 1);
    CHECK(freed == nullptr);
  }
  CHECK(freed == &data);
}

TEST_CASE("openssl: SSL_dup copies what an ex_data slot's dup function says, and the pointer itself without one") {
  Server server{Mechanism::stateless13};
  const int index = index_with_functions();
  static const int plain = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  slot = {};
  int data = 0;
  const SslPtr original{SSL_new(server.ctx())};
  SSL_set_accept_state(original.get());
  SSL_set_ex_data(original.get(), index, &data);
  SSL_set_ex_data(original.get(), plain, &data);
  SSL_set_verify(original.get(), strict, verify);
  SSL_set_num_tickets(original.get(), 7);
  const SslPtr copy{SSL_dup(original.get())};
  REQUIRE(copy);
  REQUIRE(copy != original);
  CHECK(slot.copied == 1);
  CHECK(SSL_get_ex_data(copy.get(), index) == &slot);
  CHECK(SSL_get_ex_data(copy.get(), plain) == &data);
  CHECK(SSL_get_verify_callback(copy.get()) == verify);
}

// OpenSSL 4.0 no longer looks at the queue for that.
TEST_CASE("openssl: an entry on the error queue turns a read that would wait into a fatal error, before 4.0") {
  Server server{Mechanism::stateless13};
  const Pair pair{server};
  char byte = 0;
  ERR_clear_error();
  const int result = SSL_read(pair.server(), &byte, 1);
  CHECK(SSL_get_error(pair.server(), result) == SSL_ERROR_WANT_READ);
  ERR_raise(ERR_LIB_USER, 1);
  CHECK(SSL_get_error(pair.server(), result) == (OPENSSL_VERSION_MAJOR < 4 ? SSL_ERROR_SSL : SSL_ERROR_WANT_READ));
  ERR_clear_error();
}

TEST_CASE("openssl: ERR_pop_to_mark takes away what was added since ERR_set_mark, and nothing else") {
  ERR_clear_error();
  for (const int before : {0, 1}) {
    CAPTURE(before);
    if (before == 1) ERR_raise(ERR_LIB_USER, 1);
    const unsigned long last = ERR_peek_last_error();
    ERR_set_mark();
    for (int i = 0; i < 5; ++i) ERR_raise(ERR_LIB_USER, 2);
    ERR_pop_to_mark();
    CHECK(ERR_peek_last_error() == last);
  }
  ERR_clear_error();
}

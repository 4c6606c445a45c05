// A session that is bound ends when its client's chain does.
#include <algorithm>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/pair.hpp"

using namespace test;
using std::chrono::milliseconds;

// From 3.3 on OpenSSL dates sessions with fractions of a second, and in those that are encoded they get lost.
TEST_CASE("binding: a session is not resumed in the second in which its certificate ends, nor after it") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const int made : {0, 400, 999}) {
      for (const int renewals : {0, 1}) {
        for (const int offered : {0, 1, 400, 999, 1000}) {
          CAPTURE(to_string(mechanism), made, renewals, offered);
          const ClockRestorer clock;
          Server server{mechanism};
          ask_unless_open(server);
          const Certificate leaf = issue({.ends_in = 100}, &Pki::get().intermediate1);
          const ClientOptions options{.chain = {leaf.get(), Pki::get().intermediate1.get()}, .key = leaf.key.get()};
          advance_time(milliseconds{made});
          auto session = Pair(server, options).session();
          REQUIRE(session);
          for (int i = 0; i < renewals; ++i) {
            advance_time(50);
            const Pair next{server, offering(options, session)};
            REQUIRE(next.resumed());
            session = next.session();
          }
          advance_time(milliseconds{100'000 - 50'000 * renewals - made + offered});
          CHECK_FALSE(Pair(server, offering(options, session)).resumed());
        }
      }
    }
  }
}

TEST_CASE("binding: a session ends with the first certificate of its chain, however often it was renewed") {
  constexpr long lifetime = 1000;
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      const ClockRestorer clock;
      const Pki& pki = Pki::get();
      Server server{mechanism};
      ask_unless_open(server);
      Certificate intermediate;
      Certificate leaf;
      const Certificate stranger = issue({.common_name = "stranger", .usage = Usage::ca, .ends_in = lifetime});
      ClientOptions options;
      SECTION("the leaf") {
        leaf = issue({.ends_in = lifetime}, &pki.intermediate1);
        options.chain = {leaf.get(), pki.intermediate1.get()};
      }
      SECTION("the intermediate") {
        intermediate = issue({.common_name = "short", .usage = Usage::ca, .ends_in = lifetime}, &pki.ca1);
        leaf = issue({}, &intermediate);
        options.chain = {leaf.get(), intermediate.get()};
      }
      SECTION("one that the verification did not need") {
        leaf = issue({}, &pki.intermediate1);
        options.chain = {leaf.get(), pki.intermediate1.get(), stranger.get()};
      }
      SECTION("one that the client did not send: the server's own anchor") {
        const Certificate anchor = issue({.common_name = "anchor", .usage = Usage::ca, .ends_in = lifetime});
        X509_STORE_add_cert(SSL_CTX_get_cert_store(server.ssl_ctx()), anchor.get());
        leaf = issue({}, &anchor);
        options.chain = {leaf.get()};
      }
      options.key = leaf.key.get();
      Pair first{server, options};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      auto session = first.session();
      for (int i = 0; i < 4; ++i) {  // renewed just before each of its ends
        advance_time(lifetime / 4 - 1);
        Pair next{server, offering(options, session)};
        CHECK(next.resumed());
        CHECK(next.verify() == "SUCCESS");
        session = next.session();
        REQUIRE(session);
      }
      advance_time(6);
      Pair late{server, offering(options, session)};
      CHECK(late.done());
      CHECK_FALSE(late.resumed());
    }
  }
}

TEST_CASE("binding: a chain with an expired certificate is never resumed") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      const Certificate leaf = issue({.ends_in = -10}, &Pki::get().intermediate1);
      ClientOptions options{.chain = {leaf.get(), Pki::get().intermediate1.get()}, .key = leaf.key.get()};
      Pair first{server, options};
      REQUIRE(first.done());
      CHECK(first.verify() == "FAILED:certificate has expired");
      Pair next{server, offering(options, first.session())};
      REQUIRE(next.done());
      CHECK_FALSE(next.resumed());
      CHECK(next.verify() == "FAILED:certificate has expired");
    }
  }
}

TEST_CASE("binding: a chain with a certificate whose end cannot be read is never resumed") {
  const Pki& pki = Pki::get();
  const Certificate leaf = issue({.common_name = "no such month"}, &pki.intermediate1);
  REQUIRE(ASN1_STRING_set(X509_getm_notAfter(leaf.get()), "309901000000Z", -1) == 1);
  REQUIRE(X509_sign(leaf.get(), pki.intermediate1.key.get(), EVP_sha256()) > 0);
  const ClientOptions options{.chain = {leaf.get(), pki.intermediate1.get()}, .key = leaf.key.get()};
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, options};
      REQUIRE(first.done());
      const std::string verdict = first.verify();
      CHECK(verdict == "FAILED:format error in certificate's notAfter field");
      Pair next{server, offering(options, first.session())};
      REQUIRE(next.done());
      CHECK_FALSE(next.resumed());
      CHECK(next.verify() == verdict);
    }
  }
}

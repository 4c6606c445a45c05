// What costs a session the identity of its client, or its life.
#include <algorithm>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/pair.hpp"

using namespace test;
using std::chrono::milliseconds;

TEST_CASE("binding: a session whose envelope is not ours, whole and of this version tells nobody's identity") {
  for (const Mechanism mechanism : {Mechanism::external12, Mechanism::external13}) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1()};
      const auto session = first.session();
      REQUIRE(server.external_cache.size() >= 1);
      const auto good = server.external_cache;
      // Puts other appdata into every stored session, as another program that shares the cache could.
      const auto replace = [&](const std::function<std::vector<unsigned char>(std::vector<unsigned char>)>& change) {
        server.external_cache = good;
        for (auto& [id, bytes] : server.external_cache) {
          const client_tls::SslSessionPtr stored = session_of(bytes);
          void* data = nullptr;
          std::size_t size = 0;
          SSL_SESSION_get0_ticket_appdata(stored.get(), &data, &size);
          const auto* appdata = static_cast<unsigned char*>(data);
          const auto changed = change({appdata, appdata + size});
          SSL_SESSION_set1_ticket_appdata(stored.get(), changed.data(), changed.size());
          bytes = bytes_of(stored.get());
        }
      };
      const auto is_refused = [&] {
        Pair next{server, offering(client1(), session)};
        REQUIRE(next.done());
        if (!next.resumed()) return next.verify() == "SUCCESS" && next.chain() == chain_of_client1();
        // Nothing weaker follows from it either: what a renewed ticket holds is dead.
        Pair after{server, offering(client1(), next.session())};
        const bool renewed_is_full = !is_tls13(mechanism) || !after.resumed();
        return renewed_is_full && next.chain() == "error: the resumed session does not carry its client's chain" &&
               next.verify() == "FAILED:the resumed session does not carry its client's chain";
      };
      std::size_t size = 0;
      replace([&](auto data) { return size = data.size(), data; });
      Pair untouched{server, offering(client1(), session)};
      REQUIRE(untouched.resumed());
      REQUIRE(untouched.chain() == chain_of_client1());
      for (std::size_t length = 0; length < size; ++length) {  // cut off at any length
        replace([&](auto data) { return data.resize(length), data; });
        INFO("cut off at " << length);
        CHECK(is_refused());
      }
      for (std::size_t i = 0; i < 5; ++i) {  // another tag or version
        replace([&](auto data) { return ++data[i], data; });
        CHECK(is_refused());
      }
      replace([](auto data) { return data.push_back(0), data; });
      CHECK(is_refused());
      replace([](auto) { return std::vector<unsigned char>(3000, 'x'); });
      CHECK(is_refused());
      replace([](auto data) { return ++data[21], data; });  // about another leaf
      CHECK(is_refused());
      for (const int change : {-1, 1}) {  // the first certificate's length, in a list of the length that is stated
        replace([change](auto data) { return data[58] = static_cast<unsigned char>(data[58] + change), data; });
        CHECK(is_refused());
      }
    }
  }
}

// A documented conflict: the host's own ticket callback replaces what we carry.
TEST_CASE("binding: a host's ticket callback that sets appdata costs its sessions their identity") {
  for (const Mechanism mechanism : both_versions) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      SSL_CTX_set_session_ticket_cb(
          server.ssl_ctx(),
          [](SSL* ssl, void*) { return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), "host", 4); },
          [](SSL*, SSL_SESSION*, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
             void*) -> SSL_TICKET_RETURN {
            if (status == SSL_TICKET_SUCCESS) return SSL_TICKET_RETURN_USE;
            return status == SSL_TICKET_SUCCESS_RENEW ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_IGNORE;
          },
          nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.done());
      // On 1.2 OpenSSL 3.0 calls it before the client's certificate is there, and ours is written later.
      const bool whole = next.chain() == chain_of_client1() && next.verify() == "SUCCESS";
      const bool refused = next.resumed() &&
                           next.chain() == "error: the resumed session does not carry its client's chain" &&
                           next.verify() == "FAILED:the resumed session does not carry its client's chain";
      CHECK((whole || refused));
      if (mechanism == Mechanism::stateless13) CHECK(refused);
    }
  }
}

TEST_CASE("binding: a chain over its budget makes its session not resumable, never shorter") {
  const Pki& pki = Pki::get();
  const Certificate large = issue({.common_name = "large", .usage = Usage::ca, .extra_bytes = 3000}, &pki.ca1);
  const Certificate leaf = issue({}, &large);
  const ClientOptions options{.chain = {leaf.get(), large.get()}, .key = leaf.key.get()};
  const auto size = static_cast<std::size_t>(i2d_X509(large.get(), nullptr)) + 3;
  for (const Mechanism mechanism : all_mechanisms) {
    for (const std::size_t budget : {std::size_t{2048}, size - 1, size}) {
      DYNAMIC_SECTION(to_string(mechanism) << ", budget " << budget) {
        Server server{mechanism};
        server.on_client_hello = [&](SSL* ssl) { return bind_with_limits(ssl, {.max_carried_bytes = budget}); };
        server.on_certificate = [](SSL* ssl) { return ask(ssl); };
        Pair first{server, options};
        REQUIRE(first.done());
        CHECK(first.verify() == "SUCCESS");
        Pair next{server, offering(options, first.session())};
        REQUIRE(next.done());
        CHECK(next.resumed() == (budget >= size));
        CHECK(next.chain() == pem_of({leaf.get(), large.get()}));
      }
    }
  }
}

TEST_CASE("binding: a certificate verification of the host's own that bypasses ours is FAILED and not resumable") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      SSL_CTX_set_cert_verify_callback(server.ssl_ctx(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify().starts_with("FAILED:"));
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.done());
      CHECK_FALSE(next.resumed());
    }
  }
}

// A host that takes the info callback away loses resumption, and nothing else.
TEST_CASE("binding: without our info callback a session stays dead") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) {
        const int asked = ask(ssl);
        SSL_set_info_callback(ssl, [](const SSL*, int, int) {});
        return asked;
      };
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.done());
      CHECK_FALSE(next.resumed());
    }
  }
}

// What may resume, and what a resumed connection still knows: on each of OpenSSL's six mechanisms.
#include <algorithm>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/pair.hpp"

using namespace test;
using std::chrono::milliseconds;

namespace {

// Asks for a certificate under every name, except those that begin with "open".
void ask_unless_open(Server& server) {
  server.on_certificate = [](SSL* ssl) {
    const std::string_view name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return name.starts_with("open") ? 1 : ask(ssl);
  };
}

std::string whole_chain1() {
  return pem_of({Pki::get().client1.get(), Pki::get().intermediate1.get()});
}

ClientOptions offering(ClientOptions options, const client_tls::SslSessionPtr& session) {
  options.session = session.get();
  return options;
}

}  // namespace

// R1, H4
TEST_CASE("binding: a session resumes in its own scope with its whole chain, ten times in a row") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1()};
      REQUIRE(first.done());
      REQUIRE_FALSE(first.resumed());
      REQUIRE(first.chain() == whole_chain1());
      REQUIRE(first.verify() == "SUCCESS");
      auto session = first.session();
      for (int i = 0; i < 10; ++i) {
        REQUIRE(session);
        Pair next{server, offering(client1(), session)};
        REQUIRE(next.done());
        CHECK(next.resumed());
        CHECK(next.chain() == whole_chain1());
        CHECK(next.verify() == "SUCCESS");
        CHECK(X509_cmp(SSL_get0_peer_certificate(next.server()), Pki::get().client1.get()) == 0);
        session = next.session();
      }
      CHECK(server.certificate_calls == 1);
    }
  }
}

// R2
TEST_CASE("binding: a session made on an open name does not get into a name that asks") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair open{server, client1("open.test")};
      REQUIRE(open.done());
      REQUIRE(open.session());
      Pair again{server, offering(client1("open.test"), open.session())};
      CHECK(again.resumed());
      CHECK(again.verify() == "NONE");
      Pair asked{server, offering(client1("a.test"), open.session())};
      REQUIRE(asked.done());
      CHECK_FALSE(asked.resumed());
      CHECK(asked.seen().certificate_requests == 1);
      CHECK(asked.verify() == "SUCCESS");
    }
  }
}

// R3
TEST_CASE("binding: a session does not get into another scope") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1("a.test")};
      REQUIRE(first.session());
      SECTION("one that asks") {
        Pair other{server, offering(client2("b.test"), first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
        CHECK(other.seen().certificate_requests == 1);
        CHECK(other.chain() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
      }
      SECTION("one that asks nothing") {
        Pair other{server, offering({.server_name = "open.test"}, first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
        CHECK(other.chain() == "none");
        CHECK(other.verify() == "NONE");
      }
      SECTION("the longest scope and one that differs in its last byte") {
        std::string scope(client_tls::max_scope_size, 's');
        server.on_client_hello = [&](SSL* ssl) { return bind_to(ssl, scope); };
        Pair longest{server, client1()};
        REQUIRE(longest.session());
        Pair same{server, offering(client1(), longest.session())};
        CHECK(same.resumed());
        scope.back() = 't';
        Pair other{server, offering(client1(), longest.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
      }
      SECTION("a connection that nobody bound") {
        server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
        Pair other{server, offering(client1(), first.session())};
        REQUIRE(other.done());
        CHECK_FALSE(other.resumed());
      }
    }
  }
}

TEST_CASE("binding: a connection that asks without being bound makes nothing resumable") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      CHECK(first.chain() == whole_chain1());
      CHECK(first.seen().tickets == 0);
      CHECK(server.new_session_calls == 0);
      CHECK(SSL_CTX_sess_number(server.ssl_ctx()) == 0);
      Pair again{server, offering(client1(), first.session())};
      REQUIRE(again.done());
      CHECK_FALSE(again.resumed());
      CHECK(again.verify() == "SUCCESS");
    }
  }
}

// What a host without this library's client_hello phase gets: its own SSL_VERIFY_PEER, its own session id context.
TEST_CASE("binding: an unbound connection that was resumed is never taken for an authenticated one") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
      SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(first.verify() == "SUCCESS");
      CHECK(first.chain() == whole_chain1());
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.chain() == "error: the resumed session does not carry its client's chain");
      CHECK(next.verify() == "FAILED:the resumed session does not carry its client's chain");
      Pair without{server, {}};
      Pair resumed_without{server, offering({}, without.session())};
      REQUIRE(resumed_without.resumed());
      CHECK(resumed_without.chain() == "none");
      CHECK(resumed_without.verify() == "NONE");
    }
  }
}

// A bound connection on which the host asks by its own means carries the chain all the same.
TEST_CASE("binding: a chain that the host asked for itself is carried") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.chain() == whole_chain1());
      CHECK(next.verify() == "SUCCESS");
    }
  }
}

// R7
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

// R11
TEST_CASE("binding: NONE and FAILED are resumed as what they were") {
  const Certificate stranger = issue({.common_name = "nobody knows me"});
  const std::array<std::pair<ClientOptions, std::string_view>, 2> clients{
      std::pair{ClientOptions{}, "NONE"}, std::pair{ClientOptions{.chain = {stranger.get()}, .key = stranger.key.get()},
                                                    "FAILED:unable to verify the first certificate"}};
  for (const Mechanism mechanism : all_mechanisms) {
    for (const auto& [options, verdict] : clients) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << verdict) {
        Server server{mechanism};
        ask_unless_open(server);
        Pair first{server, options};
        REQUIRE(first.done());
        CHECK(first.seen().certificate_requests == 1);
        const std::string verdict_then = first.verify();
        CHECK(verdict_then.substr(0, 6) == verdict.substr(0, 6));
        Pair next{server, offering(options, first.session())};
        REQUIRE(next.resumed());
        CHECK(next.verify() == verdict_then);
        CHECK(next.chain() == first.chain());
      }
    }
  }
}

// R12
TEST_CASE("binding: a ticket with any byte changed is a full handshake and no alert") {
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      ask_unless_open(server);
      Pair first{server, client1()};
      const auto session = first.session();
      REQUIRE(session);
      const unsigned char* ticket = nullptr;
      std::size_t size = 0;
      SSL_SESSION_get0_ticket(session.get(), &ticket, &size);
      std::vector<unsigned char> encoded(static_cast<std::size_t>(i2d_SSL_SESSION(session.get(), nullptr)));
      unsigned char* out = encoded.data();
      i2d_SSL_SESSION(session.get(), &out);
      const auto begin = std::search(encoded.begin(), encoded.end(), ticket, ticket + size);
      REQUIRE(begin != encoded.end());
      for (std::size_t i = 0; i < size; ++i) {
        auto changed = encoded;
        changed[static_cast<std::size_t>(begin - encoded.begin()) + i] ^= 0x20;
        const unsigned char* in = changed.data();
        const client_tls::SslSessionPtr bad{d2i_SSL_SESSION(nullptr, &in, static_cast<long>(changed.size()))};
        REQUIRE(bad);
        Pair next{server, offering(client1(), bad)};
        REQUIRE(next.done());
        CHECK_FALSE(next.resumed());
        CHECK_FALSE(next.seen().alert);
        CHECK(next.verify() == "SUCCESS");
      }
    }
  }
}

// R14
TEST_CASE("binding: VERIFY_PEER without a session id context, and a session offered, is no broken handshake") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      Pair first{server, client1()};
      REQUIRE(first.done());
      Pair next{server, offering(client1(), first.session())};
      CHECK(next.done());
      CHECK(next.resumed());
    }
  }
}

// R15
TEST_CASE("binding: a HelloRetryRequest changes nothing") {
  for (const Mechanism mechanism : {Mechanism::stateless13, Mechanism::stateful13, Mechanism::external13}) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      SSL_CTX_set1_groups_list(server.ssl_ctx(), "P-384");
      server.on_certificate = [](SSL* ssl) {
        const std::array hints{Pki::get().ca1.get(), Pki::get().ca2.get()};
        return ask(ssl, hints);
      };
      ClientOptions options = client1();
      options.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "P-256:P-384"); };
      Pair first{server, options};
      REQUIRE(first.done());
      CHECK(server.client_hello_calls == 2);
      CHECK(first.seen().ca_names == std::vector<std::string>{"/CN=CA 1", "/CN=CA 2"});
      CHECK(first.verify() == "SUCCESS");
      Pair next{server, offering(options, first.session())};
      REQUIRE(next.done());
      CHECK(next.resumed());
      CHECK(next.chain() == whole_chain1());
      options.server_name = "b.test";
      Pair other{server, offering(options, next.session())};
      REQUIRE(other.done());
      CHECK_FALSE(other.resumed());
    }
  }
}

// R18
TEST_CASE("binding: an SSL used again after SSL_clear carries nothing over") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) {
        const std::string_view name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        const std::array hints{Pki::get().ca1.get()};
        if (name == "a.test") return ask(ssl, hints);
        return name == "b.test" ? ask(ssl) : 1;
      };
      Pair pair{server, client1("a.test")};
      REQUIRE(pair.verify() == "SUCCESS");
      REQUIRE(pair.chain() == whole_chain1());
      const std::size_t tickets = is_tls13(mechanism) ? 2 : 0;
      pair.clear({.server_name = "open.test"});
      REQUIRE(pair.done());
      CHECK(pair.seen().certificate_requests == 0);
      CHECK(pair.chain() == "none");
      CHECK(pair.verify() == "NONE");
      CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_NONE);
      const auto open_session = pair.session();
      pair.clear(client2("b.test"));
      REQUIRE(pair.done());
      CHECK(pair.seen().ca_names.empty());
      CHECK(pair.verify() == "SUCCESS");
      CHECK(pair.chain() == pem_of({Pki::get().client2.get(), Pki::get().intermediate2.get()}));
      if (is_tls13(mechanism)) CHECK(pair.seen().tickets == static_cast<int>(tickets));
      pair.clear(offering(client2("b.test"), open_session));
      REQUIRE(pair.done());
      CHECK_FALSE(pair.resumed());
      CHECK(pair.seen().certificate_requests == 1);
    }
  }
}

TEST_CASE("binding: an error on an SSL used again leaves what the last handshake left") {
  Server server{Mechanism::ticket12};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  const Pair first{server, client1()};
  const auto session = first.session();
  server.on_certificate = disable_reuse;
  Pair pair{server, client1()};
  server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  pair.clear(offering(client1(), session));  // SSL_clear leaves it in its scope
  REQUIRE(pair.resumed());
  REQUIRE(SSL_get_num_tickets(pair.server()) == 0);
  CHECK(pair.chain() == "error: the resumed session does not carry its client's chain");
  CHECK(SSL_get_num_tickets(pair.server()) == 0);
}

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
          const unsigned char* in = bytes.data();
          const client_tls::SslSessionPtr stored{d2i_SSL_SESSION(nullptr, &in, static_cast<long>(bytes.size()))};
          void* data = nullptr;
          std::size_t size = 0;
          SSL_SESSION_get0_ticket_appdata(stored.get(), &data, &size);
          const auto* appdata = static_cast<unsigned char*>(data);
          const auto changed = change({appdata, appdata + size});
          SSL_SESSION_set1_ticket_appdata(stored.get(), changed.data(), changed.size());
          bytes.resize(static_cast<std::size_t>(i2d_SSL_SESSION(stored.get(), nullptr)));
          unsigned char* out = bytes.data();
          i2d_SSL_SESSION(stored.get(), &out);
        }
      };
      const auto is_refused = [&] {
        Pair next{server, offering(client1(), session)};
        REQUIRE(next.done());
        if (!next.resumed()) return next.verify() == "SUCCESS" && next.chain() == whole_chain1();
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
      REQUIRE(untouched.chain() == whole_chain1());
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
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
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
      const bool whole = next.chain() == whole_chain1() && next.verify() == "SUCCESS";
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

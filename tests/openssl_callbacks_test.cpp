// What the library relies on in OpenSSL, fact by fact, without the library: when it calls back, and what it
// says of a ClientHello then.
#include <algorithm>
#include <array>
#include <string_view>

#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

namespace {

using Random = std::array<unsigned char, SSL3_RANDOM_SIZE>;

Random random_of(const SSL* ssl) {
  Random random{};
  SSL_get_client_random(ssl, random.data(), random.size());
  return random;
}
Random random_of_hello(SSL* ssl) {
  Random random{};
  const unsigned char* bytes = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(ssl, &bytes);
  if (size == random.size()) std::copy_n(bytes, size, random.begin());
  return random;
}

}  // namespace

// ---- The order of the callbacks -------------------------------------------------------------------------------------

TEST_CASE("openssl: the callbacks are client_hello, session lookup, servername, certificate, not_resumable") {
  for (const Mechanism mechanism : {Mechanism::external12, Mechanism::external13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    const Pair first{server};
    REQUIRE(first.session());
    server.external_cache.clear();  // it is looked for, and not found
    server.calls.clear();
    const auto next = offer(server, first);
    REQUIRE(next->done());
    Calls calls = server.calls;
    calls.erase(std::remove(calls.begin(), calls.end(), "session_id"), calls.end());
    calls.resize(5);
    CHECK(calls == Calls{"client_hello", "lookup", "server_name", "certificate", "not_resumable"});
  }
}

TEST_CASE("openssl: a resumption calls client_hello and servername, not the certificate or the verify callback") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_client_hello = ask;
    const Pair first{server, client1()};
    REQUIRE(server.count("verify") > 0);
    server.calls.clear();
    const auto next = offer(server, first, client1());
    REQUIRE(next->resumed());
    CHECK(server.count("client_hello") == 1);
    CHECK(server.count("server_name") == 1);
    CHECK(server.count("certificate") == 0);
    CHECK(server.count("verify") == 0);
    CHECK(server.count("not_resumable") == 0);
    CHECK(next->seen.certificate_requests == 0);
  }
}

TEST_CASE("openssl: after a HelloRetryRequest client_hello, servername and certificate are called again") {
  Server server{Mechanism::stateless13};
  const ClientOptions client = retrying(server.ctx(), {});
  std::vector<std::uint64_t> written;
  server.on_client_hello = [&](SSL* ssl) {
    written.push_back(BIO_number_written(SSL_get_wbio(ssl)));
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  const Pair pair{server, client};
  REQUIRE(pair.done());
  CHECK(server.count("client_hello") == 2);
  CHECK(server.count("server_name") == 2);
  CHECK(server.count("certificate") == 2);
  REQUIRE(written.size() == 2);
  CHECK(written[0] == 0);  // how the library tells the two apart
  CHECK(written[1] > 0);
}

TEST_CASE("openssl: the client's key is there before a ServerHello, and not before a HelloRetryRequest") {
  for (const Mechanism mechanism : {Mechanism::stateless13, Mechanism::stateful13}) {
    for (const bool retries : {false, true}) {
      CAPTURE(to_string(mechanism), retries);
      Server server{mechanism};
      const Pair first{server};
      const ClientOptions client = retries ? retrying(server.ctx(), {}) : ClientOptions{};
      std::vector<bool> keys;  // before each answer to a ClientHello that resumes
      server.on_info = [&](SSL* ssl, int where) {
        const bool answers = where == SSL_CB_ACCEPT_LOOP && SSL_get_state(ssl) == TLS_ST_SR_CLNT_HELLO;
        if (!answers || SSL_session_reused(ssl) != 1) return;
        EVP_PKEY* key = nullptr;
        keys.push_back(SSL_get_peer_tmp_key(ssl, &key) == 1);
        EVP_PKEY_free(key);
      };
      REQUIRE(offer(server, first, client)->resumed());
      CHECK(keys == (retries ? std::vector{false, true} : std::vector{true}));
    }
  }
}

TEST_CASE("openssl: an answer of the client_hello callback suspends the handshake or ends it with the alert given") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    int answer = SSL_CLIENT_HELLO_RETRY;
    server.on_client_hello = [&](SSL*) { return answer; };
    Pair pair{server};
    CHECK(pair.server_error() == SSL_ERROR_WANT_CLIENT_HELLO_CB);
    answer = SSL_CLIENT_HELLO_SUCCESS;
    CHECK(pair.run());
    answer = SSL_CLIENT_HELLO_ERROR;
    const Pair refused{server};
    CHECK_FALSE(refused.done());
    CHECK(refused.seen.alert == SSL_AD_ACCESS_DENIED);
  }
}

TEST_CASE("openssl: a certificate callback that returns -1 suspends the handshake, and is called again") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    int answer = -1;
    server.on_certificate = [&](SSL*) { return answer; };
    Pair pair{server};
    CHECK(pair.server_error() == SSL_ERROR_WANT_X509_LOOKUP);
    const int calls = server.count("certificate");
    answer = 1;
    CHECK(pair.run());
    CHECK(server.count("certificate") == calls + 1);
    CHECK(server.count("client_hello") == 1);
  }
}

TEST_CASE("openssl: a certificate callback that returns 0 ends the handshake with internal_error") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = [](SSL*) { return 0; };
    const Pair pair{server};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_INTERNAL_ERROR);
  }
}

TEST_CASE("openssl: the certificate callback is called on the client's side, too") {
  Server server{Mechanism::stateless13};
  server.on_certificate = ask;
  static int calls;
  calls = 0;
  ClientOptions client = client1();
  client.adjust = [](SSL* ssl) {
    SSL_set_cert_cb(ssl, [](SSL* self, void*) { return calls += 1 - SSL_is_server(self); }, nullptr);
  };
  const Pair pair{server, client};
  CHECK(pair.done());
  CHECK(calls == 1);
}

TEST_CASE("openssl: an info callback set in the client_hello callback is told of the client's Finished at once") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    static int with_finished;
    with_finished = 0;
    Server server{mechanism};
    server.on_client_hello = [](SSL* ssl) {
      SSL_set_info_callback(ssl, [](const SSL* self, int, int) { with_finished += finished_size(self) != 0 ? 1 : 0; });
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    const Pair first{server};
    CHECK(std::exchange(with_finished, 0) > 1);
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(with_finished > 1);
  }
}

TEST_CASE("openssl: an SSL's info callback displaces the SSL_CTX's") {
  Server server{Mechanism::stateless13};
  int ctx_calls = 0;
  static int ssl_calls;
  ssl_calls = 0;
  server.on_info = [&](SSL*, int) { ++ctx_calls; };
  Pair pair{server, {}, false};
  CHECK(SSL_get_info_callback(pair.server()) == nullptr);
  SSL_set_info_callback(pair.server(), [](const SSL*, int, int) { ++ssl_calls; });
  REQUIRE(pair.run());
  CHECK(ctx_calls == 0);
  CHECK(ssl_calls > 0);
}

TEST_CASE("openssl: an info callback that is replaced may still be called in the same SSL_do_handshake") {
  static int calls_after;
  calls_after = 0;
  Server server{Mechanism::id12};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_info_callback(ssl, [](const SSL* self, int, int) {
      calls_after += SSL_get_info_callback(self) == nullptr ? 1 : 0;
      if (finished_size(self) != 0) SSL_set_info_callback(const_cast<SSL*>(self), nullptr);
    });
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  const Pair pair{server};
  CHECK(calls_after > 0);
}

TEST_CASE("openssl: SSL_CB_HANDSHAKE_DONE comes once, after the client's Finished; in TLS 1.3 the tickets follow it") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    std::vector<int> tickets;
    server.on_info = [&](SSL* ssl, int where) {
      if (where != SSL_CB_HANDSHAKE_DONE) return;
      CHECK(finished_size(ssl) != 0);
      tickets.push_back(server.count("ticket"));
    };
    const Pair first{server};
    REQUIRE(first.done());
    CHECK(tickets == std::vector<int>{is_tls13(mechanism) ? 0 : server.count("ticket")});
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(tickets.size() == 2);
  }
}

TEST_CASE("openssl: a failed handshake has the state SSLERR in one exit of the info callback, a good one in none") {
  for (const bool tampered : {false, true}) {
    for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
      CAPTURE(tampered, to_string(mechanism));
      Server server{mechanism};
      int errors = 0;
      server.on_info = [&](SSL* ssl, int where) {
        errors += where == SSL_CB_ACCEPT_EXIT && std::string_view{SSL_state_string(ssl)} == "SSLERR" ? 1 : 0;
      };
      if (tampered) server.on_certificate = [](SSL*) { return 0; };
      const Pair pair{server};
      CHECK(errors == (tampered ? 1 : 0));
    }
  }
}

// ---- The ClientHello ------------------------------------------------------------------------------------------------

TEST_CASE("openssl: a first ClientHello's random is taken over when the client_hello callback has returned") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    Random sent{};
    server.on_client_hello = [&](SSL* ssl) {
      CHECK(random_of(ssl) == Random{});
      CHECK(SSL_get_session(ssl) == nullptr);
      sent = random_of_hello(ssl);
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    server.on_server_name = [&](SSL* ssl) {
      CHECK(random_of(ssl) == sent);
      CHECK(random_of_hello(ssl) == sent);  // it is there still
      CHECK(SSL_get_session(ssl) != nullptr);
    };
    server.on_certificate = [&](SSL* ssl) {
      CHECK(random_of_hello(ssl) == Random{});  // and no longer
      return 1;
    };
    const Pair pair{server};
    REQUIRE(pair.done());
    CHECK(random_of(pair.server()) == sent);
    CHECK(sent != Random{});
    close_in_order(pair.server());
    SSL_clear(pair.server());
    CHECK(random_of(pair.server()) == Random{});
  }
}

TEST_CASE("openssl: in the client_hello callback after a HelloRetryRequest the random is there already") {
  Server server{Mechanism::stateless13};
  const ClientOptions client = retrying(server.ctx(), {});
  std::vector<bool> same;
  server.on_client_hello = [&](SSL* ssl) {
    same.push_back(random_of(ssl) == random_of_hello(ssl));
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  const Pair pair{server, client};
  REQUIRE(pair.done());
  CHECK(same == std::vector<bool>{false, true});
}

TEST_CASE("openssl: on a resumed TLS 1.2 connection SSL_get_servername is the original's, the extension the client's") {
  for (const Mechanism mechanism : tls12_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    const Pair first{server};
    std::string extension;
    server.on_client_hello = [&](SSL* ssl) {
      const unsigned char* data = nullptr;
      std::size_t size = 0;
      CHECK(SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) == 1);
      extension.assign(reinterpret_cast<const char*>(data), size);
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    ClientOptions other;
    other.server_name = "b.test";
    const auto next = offer(server, first, other);
    REQUIRE(next->resumed());
    CHECK(std::string(SSL_get_servername(next->server(), TLSEXT_NAMETYPE_host_name)) == "a.test");
    CHECK(extension == std::string("\0\x9\0\0\x6", 5) + "b.test");
  }
}

TEST_CASE("openssl: SSL_session_reused says so in the servername callback of a resumed connection") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    const Pair first{server};
    int reused = -1;
    server.on_server_name = [&](SSL* ssl) { reused = SSL_session_reused(ssl); };
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(reused == 1);
  }
}

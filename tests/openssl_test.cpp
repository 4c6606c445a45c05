// What the library relies on in OpenSSL, fact by fact, without the library: when an OpenSSL behaves differently, the
// name of the test that fails is what has changed. Where versions are known to differ, the test says how.
#include <openssl/err.h>

#include <algorithm>
#include <string_view>

#include "support/bare_pair.hpp"
#include "support/catch.hpp"

using namespace bare;
using namespace client_tls;
using test::Certificate;
using test::issue;
using test::Pki;

namespace {

using Calls = std::vector<std::string>;
using Random = std::array<unsigned char, SSL3_RANDOM_SIZE>;

constexpr int strict = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;

// Sessions' times, without what newer versions deprecate.
std::int64_t time_of(const SSL_SESSION* session) {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  return SSL_SESSION_get_time_ex(session);
#else
  return SSL_SESSION_get_time(session);
#endif
}
void set_time(SSL_SESSION* session, std::int64_t time) {
#if OPENSSL_VERSION_NUMBER >= 0x30300000L
  SSL_SESSION_set_time_ex(session, time);
#else
  SSL_SESSION_set_time(session, static_cast<long>(time));
#endif
}

// What callbacks do in many tests.
int ask(SSL* ssl) {
  SSL_set_verify(ssl, SSL_VERIFY_PEER, verify);
  return 1;
}
int let_through(int, X509_STORE_CTX*) {
  return 1;
}
int present(SSL* ssl, std::string_view context) {
  return SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(context.data()),
                                    static_cast<unsigned>(context.size()));
}
void put_context(SSL_SESSION* session, std::string_view context) {
  SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>(context.data()),
                              static_cast<unsigned>(context.size()));
}
std::string appdata_of(SSL* ssl) {
  void* data = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &size);
  return {static_cast<const char*>(data), data != nullptr ? size : 0};
}

std::size_t finished_size(const SSL* ssl) {
  unsigned char unused = 0;
  return SSL_get_peer_finished(ssl, &unused, 0);
}
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

// The mechanisms by which a session that was made under these callbacks is resumed by a connection without them.
Calls resumed_after(const std::function<void(Server&)>& make, const ClientOptions& client = {}) {
  Calls result;
  for (const Mechanism mechanism : all_mechanisms) {
    Server server{mechanism};
    make(server);
    const Pair first{server, client};
    CAPTURE(name_of(mechanism));
    REQUIRE(first.done());
    server.on_certificate = [](SSL*) { return 1; };
    server.on_finished = [](SSL*) {};
    const auto next = offer(server, first);
    REQUIRE(next->done());
    if (next->resumed()) result.push_back(name_of(mechanism));
  }
  return result;
}
Calls all_names() {
  Calls names;
  for (const Mechanism mechanism : all_mechanisms) names.push_back(name_of(mechanism));
  return names;
}

// A client and a server that do not agree on a group at once.
void retry(Server& server, ClientOptions& client) {
  SSL_CTX_set1_groups_list(server.ctx(), "P-384");
  client.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "X25519:P-384"); };
}

bool authenticate_again(Pair& pair) {
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER, verify);
  REQUIRE(SSL_verify_client_post_handshake(pair.server()) == 1);
  SSL_do_handshake(pair.server());
  return pair.run();
}

X509NameStackPtr names_of(const std::vector<X509*>& certificates) {
  X509NameStackPtr names{sk_X509_NAME_new_null()};
  for (const X509* certificate : certificates) {
    sk_X509_NAME_push(names.get(), X509_NAME_dup(X509_get_subject_name(certificate)));
  }
  return names;
}
bool are_names_of(const STACK_OF(X509_NAME) * names, const std::vector<X509*>& certificates) {
  if (std::max(sk_X509_NAME_num(names), 0) != static_cast<int>(certificates.size())) return false;
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    const X509_NAME* subject = X509_get_subject_name(certificates[static_cast<std::size_t>(i)]);
    if (X509_NAME_cmp(sk_X509_NAME_value(names, i), subject) != 0) return false;
  }
  return true;
}

X509StorePtr store_of(const Certificate& anchor) {
  X509StorePtr store{X509_STORE_new()};
  X509_STORE_add_cert(store.get(), anchor.get());
  return store;
}

}  // namespace

// ---- The order of the callbacks -------------------------------------------------------------------------------------

TEST_CASE("openssl: the callbacks are client_hello, session lookup, servername, certificate, not_resumable") {
  for (const Mechanism mechanism : {Mechanism::external12, Mechanism::external13}) {
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
  ClientOptions client;
  retry(server, client);
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
      CAPTURE(name_of(mechanism), retries);
      Server server{mechanism};
      const Pair first{server};
      ClientOptions client;
      if (retries) retry(server, client);
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
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
      CAPTURE(tampered, name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
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
    SSL_set_shutdown(pair.server(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_clear(pair.server());
    CHECK(random_of(pair.server()) == Random{});
  }
}

TEST_CASE("openssl: in the client_hello callback after a HelloRetryRequest the random is there already") {
  Server server{Mechanism::stateless13};
  ClientOptions client;
  retry(server, client);
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
    CAPTURE(name_of(mechanism));
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
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    const Pair first{server};
    int reused = -1;
    server.on_server_name = [&](SSL* ssl) { reused = SSL_session_reused(ssl); };
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(reused == 1);
  }
}

// ---- The session id context -----------------------------------------------------------------------------------------

TEST_CASE("openssl: a session id context set in client_hello decides on resumption; another is a full handshake") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    std::string context = "one";
    server.on_client_hello = [&](SSL* ssl) { return present(ssl, context); };
    const Pair first{server};
    context = "two";
    const auto other = offer(server, first);
    CHECK(other->done());
    CHECK_FALSE(other->resumed());
    context = "one";
    CHECK(offer(server, first)->resumed());
  }
}

TEST_CASE("openssl: a session id context set in the servername or the certificate callback is too late") {
  for (const bool in_server_name : {true, false}) {
    for (const Mechanism mechanism : all_mechanisms) {
      CAPTURE(in_server_name, name_of(mechanism));
      Server server{mechanism};
      const Pair first{server};
      const auto change = [](SSL* ssl) { return present(ssl, "other"); };
      if (in_server_name) server.on_server_name = change;
      if (!in_server_name) server.on_certificate = change;
      CHECK(offer(server, first)->resumed());
    }
  }
}

TEST_CASE("openssl: without any session id context, offering a session to a connection that asks is an error") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    SSL_CTX_set_session_id_context(server.ctx(), nullptr, 0);
    const Pair first{server};
    REQUIRE(first.done());
    server.on_client_hello = ask;
    const auto next = offer(server, first);
    CHECK_FALSE(next->done());
    CHECK(next->server_reason() == SSL_R_SESSION_ID_CONTEXT_UNINITIALIZED);
  }
}

TEST_CASE("openssl: a session with a context that nobody presents, put there in the certificate callback, is dead") {
  const auto make_dead = [](SSL* ssl) {
    put_context(SSL_get_session(ssl), "nobody's");
    return 1;
  };
  CHECK(resumed_after([&](Server& server) { server.on_certificate = make_dead; }) == Calls{});
}

TEST_CASE("openssl: a dead session is alive again with the context that is put there at the client's Finished") {
  const auto make = [](Server& server) {
    server.on_certificate = [](SSL* ssl) {
      put_context(SSL_get_session(ssl), "nobody's");
      return 1;
    };
    server.on_finished = [](SSL* ssl) { put_context(SSL_get_session(ssl), "bare"); };
  };
  CHECK(resumed_after(make) == all_names());
}

TEST_CASE("openssl: a session with a context that nobody presents, put there at the client's Finished, is dead") {
  const auto make_dead = [](SSL* ssl) { put_context(SSL_get_session(ssl), "nobody's"); };
  CHECK(resumed_after([&](Server& server) { server.on_finished = make_dead; }) == Calls{});
}

// ---- What travels in a session --------------------------------------------------------------------------------------

TEST_CASE("openssl: the info callback sees the client's Finished before a ticket is made and the cache filled") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    bool seen = false;
    server.on_finished = [&](SSL*) {
      seen = true;
      CHECK(server.count("ticket") == 0);
      CHECK(server.count("new_session") == 0);
      CHECK(SSL_CTX_sess_number(server.ctx()) == 0);
    };
    server.on_certificate = [](SSL* ssl) {
      CHECK(finished_size(ssl) == 0);
      return 1;
    };
    const Pair pair{server};
    REQUIRE(pair.done());
    CHECK(seen);
    CHECK(server.count("ticket") + server.count("new_session") > 0);
  }
}

TEST_CASE("openssl: appdata set at the client's Finished travels by each mechanism, also through renewed tickets") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_finished = [](SSL* ssl) {
      if (SSL_session_reused(ssl) == 0) SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), "carried", 7);
    };
    auto pair = std::make_unique<Pair>(server);
    for (int resumption = 1; resumption <= 3; ++resumption) {
      CAPTURE(resumption);
      pair = offer(server, *pair);
      REQUIRE(pair->resumed());
      CHECK(appdata_of(pair->server()) == "carried");
    }
  }
}

TEST_CASE("openssl: a timeout set at the client's Finished is the session's, by each mechanism") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_finished = [](SSL* ssl) { SSL_SESSION_set_timeout(SSL_get_session(ssl), 77); };
    const Pair first{server};
    long timeout = 0;
    server.on_finished = [&](SSL* ssl) { timeout = SSL_SESSION_get_timeout(SSL_get_session(ssl)); };
    REQUIRE(offer(server, first)->resumed());
    CHECK(timeout == 77);
  }
}

TEST_CASE("openssl: a session whose time is over is a full handshake, by each mechanism") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    const auto make_old = [](SSL* ssl) {
      SSL_SESSION* session = SSL_get_session(ssl);
      SSL_SESSION_set_timeout(session, 10);
      set_time(session, time_of(session) - 1000);
    };
    server.on_finished = server.on_ticket = make_old;  // a ticket of TLS 1.3 is dated before it is encoded
    const Pair first{server};
    REQUIRE(first.session());
    const auto next = offer(server, first);
    CHECK(next->done());
    CHECK_FALSE(next->resumed());
  }
}

TEST_CASE("openssl: SSL_get_peer_finished has a length also at the alert for a bad Finished") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_message = [](SSL*, unsigned char* message, std::size_t size) {
      if (message[0] == SSL3_MT_FINISHED) message[size - 1] ^= 1;
    };
    std::size_t length = 0;
    server.on_info = [&](SSL* ssl, int where) {
      if (where == SSL_CB_WRITE_ALERT) length = finished_size(ssl);
    };
    const Pair pair{server};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_DECRYPT_ERROR);
    CHECK(length > 0);
  }
}

TEST_CASE("openssl: the id callback is called for each TLS 1.3 ticket, on a session of the ticket's own") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    std::vector<SslSessionPtr> sessions;
    std::vector<SSL_SESSION*> at_finished;
    server.on_finished = [&](SSL* ssl) { at_finished.push_back(SSL_get_session(ssl)); };
    server.on_session_id = [&](SSL* ssl) {
      CHECK(finished_size(ssl) != 0);
      sessions.emplace_back(SSL_get1_session(ssl));
    };
    Pair first{server, {}, false};
    SSL_set_num_tickets(first.server(), 3);
    REQUIRE(first.run());
    CHECK(first.seen.tickets == 3);
    CHECK(sessions.size() == 3);
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(next->seen.tickets == 1);  // on a resumption it is one, however many were asked for
    REQUIRE(sessions.size() == 4);
    CHECK(sessions[0].get() == at_finished.at(0));  // a full handshake's first ticket has the connection's,
    CHECK(sessions[3].get() != at_finished.at(1));  // a resumption's a copy, for the cache shares what was resumed
    std::sort(sessions.begin(), sessions.end());
    CHECK(std::adjacent_find(sessions.begin(), sessions.end()) == sessions.end());
  }
}

TEST_CASE("openssl: a ticket's own session has the certificate as the same object") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool resumed : {false, true}) {
      CAPTURE(name_of(mechanism), resumed);
      Server server{mechanism};
      server.on_certificate = ask;
      const Pair first{server, client1()};
      const X509* leaf = nullptr;
      server.on_finished = [&](SSL* ssl) { leaf = SSL_get0_peer_certificate(ssl); };
      server.on_session_id = [&](SSL* ssl) { CHECK(SSL_get0_peer_certificate(ssl) == leaf); };
      const auto next = resumed ? offer(server, first) : std::make_unique<Pair>(server, client1());
      REQUIRE(next->resumed() == resumed);
      CHECK(leaf != nullptr);
      CHECK(SSL_get0_peer_certificate(next->server()) == leaf);
    }
  }
}

TEST_CASE("openssl: a timeout set in the id callback is the TLS 1.3 ticket's, and no other's; it is dated afterwards") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    const Pair first{server};
    long timeout = 0;
    std::int64_t time = 0;
    server.on_finished = [&](SSL* ssl) {
      timeout = SSL_SESSION_get_timeout(SSL_get_session(ssl));
      time = time_of(SSL_get_session(ssl));
    };
    server.on_session_id = [](SSL* ssl) {
      SSL_SESSION_set_timeout(SSL_get_session(ssl), 77);
      set_time(SSL_get_session(ssl), 1000);
    };
    const auto second = offer(server, first);
    REQUIRE(second->resumed());
    CHECK(timeout == 24L * 3600);
    REQUIRE(offer(server, *second)->resumed());
    CHECK(timeout == 77);
    CHECK(time > 1000);
    REQUIRE(offer(server, first)->resumed());
    CHECK(timeout == 24L * 3600);
  }
}

TEST_CASE("openssl: a context that nobody presents, set in the id callback, makes the TLS 1.3 ticket dead") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_session_id = [](SSL* ssl) { put_context(SSL_get_session(ssl), "nobody's"); };
    const Pair first{server};
    REQUIRE(first.session());
    CHECK_FALSE(offer(server, first)->resumed());
  }
}

TEST_CASE("openssl: in TLS 1.2 the id callback is called at a full handshake's start, where there is no ticket") {
  for (const Mechanism mechanism : tls12_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_session_id = [](SSL* ssl) { CHECK(finished_size(ssl) == 0); };
    const Pair first{server};
    CHECK(server.count("session_id") == (mechanism == Mechanism::ticket12 ? 0 : 1));
    server.calls.clear();
    REQUIRE(offer(server, first)->resumed());
    CHECK(server.count("session_id") == 0);
  }
}

TEST_CASE("openssl: an id callback that returns -1 has succeeded") {
  Server server{Mechanism::id12};
  Pair pair{server, {}, false};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_generate_session_id(ssl, [](SSL*, unsigned char*, unsigned*) { return -1; });
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  CHECK(pair.run());
}

TEST_CASE("openssl: a timeout of 0 with a stateless ticket ends the handshake") {
  Server server{Mechanism::stateless13};
  server.on_session_id = [](SSL* ssl) { SSL_SESSION_set_timeout(SSL_get_session(ssl), 0); };
  const Pair pair{server};
  CHECK(pair.server_error() == SSL_ERROR_SSL);
  CHECK(pair.seen.alert == SSL_AD_INTERNAL_ERROR);
}

TEST_CASE("openssl: a session over 0xFF00 bytes in a ticket ends the handshake") {
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    for (const std::size_t size : {std::size_t{0xFB00}, std::size_t{0xFF00}}) {
      CAPTURE(name_of(mechanism), size);
      Server server{mechanism};
      const std::string data(size, 'x');
      server.on_finished = [&](SSL* ssl) {
        CHECK(SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), data.data(), data.size()) == 1);
      };
      const Pair pair{server};
      CHECK((pair.server_error() == SSL_ERROR_SSL) == (size == 0xFF00));
    }
  }
}

// ---- No reuse -------------------------------------------------------------------------------------------------------

TEST_CASE("openssl: SSL_set_num_tickets(0) in the certificate callback is for TLS 1.3 only") {
  const auto no_tickets = [](SSL* ssl) { return SSL_set_num_tickets(ssl, 0); };
  CHECK(resumed_after([&](Server& server) { server.on_certificate = no_tickets; }) ==
        Calls{"1.2 session id", "1.2 ticket", "1.2 external cache"});
}

TEST_CASE("openssl: SSL_OP_NO_TICKET in the certificate callback leaves caches and stateful tickets") {
  const auto no_ticket = [](SSL* ssl) {
    SSL_set_options(ssl, SSL_OP_NO_TICKET);
    return 1;
  };
  CHECK(resumed_after([&](Server& server) { server.on_certificate = no_ticket; }) ==
        Calls{"1.2 session id", "1.3 stateful ticket", "1.2 external cache", "1.3 external cache"});
}

TEST_CASE("openssl: a not_resumable callback set in the certificate callback leaves nothing to resume") {
  const auto not_resumable = [](SSL* ssl) {
    SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 1; });
    return 1;
  };
  CHECK(resumed_after([&](Server& server) { server.on_certificate = not_resumable; }) == Calls{});
}

TEST_CASE("openssl: what makes a session not resumable may be set in the client_hello callback") {
  const auto forbid = [](SSL* ssl) {
    SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 1; });
    return SSL_set_num_tickets(ssl, 0);
  };
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_client_hello = forbid;
    const Pair first{server};
    REQUIRE(first.done());
    CHECK(first.seen.tickets == 0);
    CHECK(server.external_cache.empty());
    server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
    CHECK_FALSE(offer(server, first)->resumed());
  }
}

TEST_CASE("openssl: post-handshake authentication sends tickets whatever the not_resumable callback said") {
  for (const bool no_tickets : {false, true}) {
    CAPTURE(no_tickets);
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 1; });
      if (no_tickets) SSL_set_num_tickets(ssl, 0);
      return 1;
    };
    Pair pair{server, able_to_authenticate_later(client1())};
    REQUIRE(pair.done());
    CHECK(pair.seen.tickets == 0);
    REQUIRE(authenticate_again(pair));
    CHECK(pair.seen.tickets == (no_tickets ? 0 : 2));
  }
}

TEST_CASE("openssl: a dead session stays dead in the tickets of post-handshake authentication and of the host") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = [](SSL* ssl) {
      put_context(SSL_get_session(ssl), "nobody's");
      return 1;
    };
    Pair pair{server, able_to_authenticate_later(client1())};
    REQUIRE(authenticate_again(pair));
    CHECK(pair.seen.tickets > 2);
    CHECK_FALSE(offer(server, pair)->resumed());
    REQUIRE(SSL_new_session_ticket(pair.server()) == 1);
    SSL_do_handshake(pair.server());
    REQUIRE(pair.run());
    CHECK_FALSE(offer(server, pair)->resumed());
  }
}

TEST_CASE("openssl: an empty id, set on the session in the certificate callback, is the TLS 1.2 ServerHello's") {
  for (const bool emptied : {false, true}) {
    CAPTURE(emptied);
    Server server{Mechanism::id12};
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_not_resumable_session_callback(ssl, [](SSL*, int) { return 1; });
      const unsigned char nothing = 0;
      if (emptied) SSL_SESSION_set1_id(SSL_get_session(ssl), &nothing, 0);
      return 1;
    };
    const Pair pair{server};
    REQUIRE(pair.done());
    CHECK(pair.seen.session_id_size == (emptied ? 0 : SSL_MAX_SSL_SESSION_ID_LENGTH));
  }
}

TEST_CASE("openssl: SSL_set_num_tickets(0) at the client's Finished sends none in TLS 1.3; in 1.2 it is promised") {
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13, Mechanism::stateful13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_finished = [](SSL* ssl) { SSL_set_num_tickets(ssl, 0); };
    const Pair pair{server};
    REQUIRE(pair.done());
    CHECK(pair.seen.tickets == (is_tls13(mechanism) ? 0 : 1));
  }
}

TEST_CASE("openssl: SSL_set_num_tickets(0) in the client_hello callback of a resumption sends no new one") {
  Server server{Mechanism::stateless13};
  const Pair first{server};
  server.on_client_hello = [](SSL* ssl) { return SSL_set_num_tickets(ssl, 0); };
  const auto next = offer(server, first);
  REQUIRE(next->resumed());
  CHECK(next->seen.tickets == 0);
}

// ---- Who the client is ----------------------------------------------------------------------------------------------

TEST_CASE("openssl: a resumed session knows the leaf; the sent chain only in the server's memory, the verified never") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    const Pair first{server, client1()};
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    const X509* leaf = SSL_get0_peer_certificate(next->server());
    REQUIRE(leaf != nullptr);
    CHECK(X509_cmp(leaf, Pki::get().client1.get()) == 0);
    const bool in_memory = mechanism == Mechanism::id12 || mechanism == Mechanism::stateful13;
    CHECK((SSL_get_peer_cert_chain(next->server()) != nullptr) == in_memory);
    CHECK(SSL_get0_verified_chain(next->server()) == nullptr);
  }
}

TEST_CASE("openssl: a resumed session has the verify result of the full handshake") {
  const Certificate stranger = issue({.common_name = "stranger"});
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_verify = let_through;
    server.on_certificate = ask;
    const Pair first{server, client_with(stranger)};
    const long result = SSL_get_verify_result(first.server());
    CHECK(result != X509_V_OK);
    const auto next = offer(server, first);
    REQUIRE(next->resumed());
    CHECK(SSL_get_verify_result(next->server()) == result);
  }
}

TEST_CASE("openssl: SSL_VERIFY_FAIL_IF_NO_PEER_CERT is enforced on a full handshake, not on a resumed one") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    const Pair first{server};
    server.on_client_hello = [](SSL* ssl) {
      SSL_set_verify(ssl, strict, nullptr);
      return SSL_CLIENT_HELLO_SUCCESS;
    };
    const auto next = offer(server, first);
    CHECK(next->done());
    CHECK(next->resumed());
    CHECK(SSL_get0_peer_certificate(next->server()) == nullptr);
    CHECK(SSL_get_verify_result(next->server()) == X509_V_OK);
    const Pair full{server};
    CHECK_FALSE(full.done());
    CHECK(full.seen.alert == (is_tls13(mechanism) ? SSL_AD_CERTIFICATE_REQUIRED : SSL_AD_HANDSHAKE_FAILURE));
  }
}

TEST_CASE("openssl: on a server SSL_get_peer_cert_chain does not have the leaf in it") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    const Pair pair{server, client1()};
    const STACK_OF(X509)* chain = SSL_get_peer_cert_chain(pair.server());
    REQUIRE(sk_X509_num(chain) == 1);
    CHECK(X509_cmp(sk_X509_value(chain, 0), Pki::get().intermediate1.get()) == 0);
  }
}

TEST_CASE("openssl: the verified chain is there at the client's Finished, whole") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    int size = 0;
    server.on_finished = [&](SSL* ssl) { size = sk_X509_num(SSL_get0_verified_chain(ssl)); };
    const Pair pair{server, client1()};
    CHECK(size == 3);
  }
}

TEST_CASE("openssl: the verify callback has the SSL, the store, and all that was sent, leaf included") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().ca1);
  server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
  int sent = 0;
  server.on_verify = [&](int preverified, X509_STORE_CTX* context) {
    sent = sk_X509_num(X509_STORE_CTX_get0_untrusted(context));
    CHECK(X509_STORE_CTX_get0_store(context) == store.get());
    return preverified;
  };
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  CHECK(server.count("verify") > 0);  // and server_of found the SSL behind the context
  CHECK(sent == 2);
}

TEST_CASE("openssl: a verify callback that returns 1 lets the handshake complete, and the last error is the result") {
  const Certificate stranger = issue({.common_name = "stranger", .ends_in = -60}, &Pki::get().intermediate2);
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    std::vector<int> errors;
    server.on_verify = [&](int preverified, X509_STORE_CTX* context) {
      if (preverified == 0) errors.push_back(X509_STORE_CTX_get_error(context));
      return 1;
    };
    const Pair pair{server, client_with(stranger)};
    CHECK(pair.done());
    CHECK(errors == std::vector<int>{X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                                     X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_CERT_HAS_EXPIRED});
    CHECK(SSL_get_verify_result(pair.server()) == X509_V_ERR_CERT_HAS_EXPIRED);
  }
}

TEST_CASE("openssl: a verify callback that returns 0 ends the handshake with the alert for its error") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    server.on_verify = [](int, X509_STORE_CTX* context) {
      X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_CHAIN_TOO_LONG);
      return 0;
    };
    const Pair pair{server, client1()};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_UNKNOWN_CA);
  }
}

TEST_CASE("openssl: the verify result without a certificate is X509_V_OK") {
  Server server{Mechanism::stateless13};
  server.on_certificate = ask;
  const Pair pair{server};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
  CHECK(SSL_get_verify_result(pair.server()) == X509_V_OK);
  CHECK(server.count("verify") == 0);
}

TEST_CASE("openssl: a client's chain over SSL_set_max_cert_list ends the handshake with illegal_parameter") {
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = [](SSL* ssl) {
      SSL_set_max_cert_list(ssl, 500);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
      SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);  // from 3.2, else it may be bad_certificate
#endif
      return ask(ssl);
    };
    const Pair pair{server, client1()};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == SSL_AD_ILLEGAL_PARAMETER);
    CHECK(pair.server_reason() == SSL_R_EXCESSIVE_MESSAGE_SIZE);
  }
}

TEST_CASE("openssl: with SSL_CTX_set_cert_verify_callback the verify callback is not called") {
  Server server{Mechanism::stateless13};
  SSL_CTX_set_cert_verify_callback(server.ctx(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  server.on_certificate = ask;
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) != nullptr);
  CHECK(server.count("verify") == 0);
}

#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) && !defined(OPENSSL_NO_ZLIB)
TEST_CASE("openssl: a chain over SSL_set_max_cert_list that is small when compressed ends with bad_certificate") {
  const Certificate large = issue({.common_name = "large", .extra_bytes = 4000}, &Pki::get().ca1);  // from 3.2
  for (const bool refused : {false, true}) {
    CAPTURE(refused);
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_max_cert_list(ssl, 2000);
      if (refused) SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
      return ask(ssl);
    };
    const Pair pair{server, client_with(large)};
    CHECK_FALSE(pair.done());
    CHECK(pair.seen.alert == (refused ? SSL_AD_ILLEGAL_PARAMETER : SSL_AD_BAD_CERTIFICATE));
  }
}
#endif

TEST_CASE("openssl: SSL_set_verify_depth in the certificate callback holds in this handshake") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) {
    SSL_set_verify_depth(ssl, 0);
    return ask(ssl);
  };
  const Pair pair{server, client1()};
  CHECK_FALSE(pair.done());
}

TEST_CASE("openssl: a verify store set in the certificate callback holds in this handshake; null is the SSL_CTX's") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().ca2);
  X509_STORE* chosen = store.get();
  server.on_certificate = [&](SSL* ssl) {
    if (SSL_set1_verify_cert_store(ssl, store.get()) != 1) return 0;
    return SSL_set1_verify_cert_store(ssl, chosen) == 1 ? ask(ssl) : 0;
  };
  const Pair refused{server, client1()};
  CHECK(refused.seen.alert == SSL_AD_UNKNOWN_CA);
  chosen = nullptr;
  CHECK(Pair{server, client1()}.done());
}

TEST_CASE("openssl: a chain ends in a self-signed anchor: a store with its intermediate alone verifies nothing") {
  Server server{Mechanism::stateless13};
  const X509StorePtr store = store_of(Pki::get().intermediate1);
  server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
  const Pair pair{server, client1()};
  CHECK(pair.seen.alert == SSL_AD_UNKNOWN_CA);
}

TEST_CASE("openssl: a verify store's revocation lists and flags hold, for each certificate below the anchor") {
  const Pki& pki = Pki::get();
  for (const Certificate* revoked : {static_cast<const Certificate*>(nullptr), &pki.client1, &pki.intermediate1}) {
    Server server{Mechanism::stateless13};
    const X509StorePtr store = store_of(pki.ca1);
    const auto list_of = [&](const Certificate& issuer, const Certificate& subject) {
      return issue_crl(issuer, revoked == &subject ? std::vector{revoked} : std::vector<const Certificate*>{});
    };
    X509_STORE_add_crl(store.get(), list_of(pki.intermediate1, pki.client1).get());
    X509_STORE_add_crl(store.get(), list_of(pki.ca1, pki.intermediate1).get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    server.on_certificate = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()) == 1 ? ask(ssl) : 0; };
    const Pair pair{server, client1()};
    CHECK(pair.done() == (revoked == nullptr));
    if (revoked != nullptr) CHECK(pair.seen.alert == SSL_AD_CERTIFICATE_REVOKED);
  }
}

TEST_CASE("openssl: a verify param that overwrites and resets clears what the host's flags allow") {
  using Param = OpensslPtr<X509_VERIFY_PARAM, X509_VERIFY_PARAM_free>;
  const Certificate expired = issue({.common_name = "expired", .ends_in = -60}, &Pki::get().ca1);
  for (const bool own : {false, true}) {
    CAPTURE(own);
    Server server{Mechanism::stateless13};
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(server.ctx()), X509_V_FLAG_NO_CHECK_TIME);
    server.on_certificate = [&](SSL* ssl) {
      const Param param{X509_VERIFY_PARAM_new()};
      X509_VERIFY_PARAM_set_inh_flags(param.get(), X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
      if (own) SSL_set1_param(ssl, param.get());
      return ask(ssl);
    };
    const Pair pair{server, client_with(expired)};
    CHECK(pair.done() == !own);
    if (own) CHECK(pair.seen.alert == SSL_AD_CERTIFICATE_EXPIRED);
  }
}

TEST_CASE("openssl: an SSL's client CA list is what the client sees; if it is empty, SSL_CTX_set0_CA_list's is") {
  const Pki& pki = Pki::get();
  for (const Mechanism mechanism : {Mechanism::id12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    SSL_CTX_set0_CA_list(server.ctx(), names_of({pki.ca2.get()}).release());
    std::vector<X509*> names;
    server.on_certificate = [&](SSL* ssl) {
      SSL_set_client_CA_list(ssl, names_of(names).release());
      return ask(ssl);
    };
    CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), {pki.ca2.get()}));
    names = {pki.ca1.get(), pki.server.get()};
    CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), names));
  }
}

TEST_CASE("openssl: SSL_set_client_CA_list with null gives the SSL_CTX's list back") {
  const Pki& pki = Pki::get();
  Server server{Mechanism::stateless13};
  SSL_CTX_set_client_CA_list(server.ctx(), names_of({pki.ca2.get()}).release());
  server.on_certificate = [&](SSL* ssl) {
    SSL_set_client_CA_list(ssl, names_of({pki.ca1.get()}).release());
    SSL_set_client_CA_list(ssl, nullptr);
    return ask(ssl);
  };
  CHECK(are_names_of(SSL_get0_peer_CA_list(Pair{server}.client()), {pki.ca2.get()}));
}

// ---- After the handshake --------------------------------------------------------------------------------------------

TEST_CASE("openssl: in post-handshake authentication the certificate is the peer's before it is proved to be") {
  Server server{Mechanism::stateless13};
  Pair pair{server, able_to_authenticate_later(client1())};
  REQUIRE(pair.done());
  int messages = 0;
  server.on_message = [&](SSL* ssl, const unsigned char* message, std::size_t) {
    if (message[0] != SSL3_MT_CERTIFICATE_VERIFY) return;
    ++messages;
    CHECK(SSL_get0_peer_certificate(ssl) != nullptr);
    CHECK(sk_X509_num(SSL_get_peer_cert_chain(ssl)) == 1);
    CHECK(SSL_get_verify_result(ssl) == X509_V_OK);
    CHECK(SSL_get0_verified_chain(ssl) != nullptr);
    CHECK(SSL_is_init_finished(ssl) == 0);  // what the library goes by
    CHECK(finished_size(ssl) != 0);         // of the handshake
  };
  REQUIRE(authenticate_again(pair));
  CHECK(messages == 1);
}

TEST_CASE("openssl: after post-handshake authentication the leaf is another object") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    Pair pair{server, able_to_authenticate_later(client1())};
    REQUIRE(pair.done());
    X509Ptr before{SSL_get1_peer_certificate(pair.server())};  // held: the address is not used again
    REQUIRE(authenticate_again(pair));
    CHECK(SSL_get0_peer_certificate(pair.server()) != before.get());
  }
}

TEST_CASE("openssl: renegotiation is refused under SSL_OP_NO_RENEGOTIATION, and the connection stays") {
  Server server{Mechanism::ticket12};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_options(ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_RENEGOTIATION);
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  Pair pair{server};
  REQUIRE(SSL_renegotiate(pair.client()) == 1);
  SSL_do_handshake(pair.client());
  char byte = 0;
  const int result = SSL_read(pair.server(), &byte, 1);
  CHECK(SSL_get_error(pair.server(), result) == SSL_ERROR_WANT_READ);
  CHECK(SSL_is_init_finished(pair.server()) == 1);
  CHECK(server.count("client_hello") == 1);
  pair.run();  // OpenSSL's client gives up
  CHECK(pair.seen.alert == SSL_AD_NO_RENEGOTIATION);
}

TEST_CASE("openssl: SSL_clear keeps the settings and the last client's certificate, and forgets its Finished") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) {
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    return SSL_set_num_tickets(ssl, 7) == 1 ? ask(ssl) : 0;
  };
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  SSL_set_shutdown(pair.server(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  REQUIRE(SSL_clear(pair.server()) == 1);
  CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_PEER);
  CHECK(SSL_get_verify_callback(pair.server()) == verify);
  CHECK((SSL_get_options(pair.server()) & SSL_OP_NO_RENEGOTIATION) != 0);
  CHECK(SSL_get_num_tickets(pair.server()) == 7);
  CHECK(finished_size(pair.server()) == 0);
  CHECK(SSL_get0_peer_certificate(pair.server()) != nullptr);  // the last client's
  CHECK(SSL_is_init_finished(pair.server()) == 0);
}

TEST_CASE("openssl: SSL_set_verify without a callback keeps the one that is there") {
  Server server{Mechanism::stateless13};
  const SslPtr ssl{SSL_new(server.ctx())};
  SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, verify);
  SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, nullptr);
  CHECK(SSL_get_verify_callback(ssl.get()) == verify);
  CHECK(SSL_get_verify_mode(ssl.get()) == SSL_VERIFY_NONE);
}

TEST_CASE("openssl: SSL_set_SSL_CTX in the servername callback takes the certificate callback and the verify store") {
  Server server{Mechanism::stateless13};
  Server other{Mechanism::stateless13};
  SSL_CTX_set_verify(other.ctx(), strict, nullptr);
  SSL_CTX_set_num_tickets(other.ctx(), 7);
  SSL_CTX_set_options(other.ctx(), SSL_OP_PRIORITIZE_CHACHA);
  const X509StorePtr store = store_of(Pki::get().ca1);
  server.on_client_hello = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()); };
  server.on_server_name = [&](SSL* ssl) {
    REQUIRE(SSL_set_SSL_CTX(ssl, other.ctx()) == other.ctx());
    X509_STORE* now = nullptr;
    SSL_get0_verify_cert_store(ssl, &now);
    CHECK(now == nullptr);
  };
  const Pair pair{server};
  REQUIRE(pair.done());
  CHECK(server.count("certificate") == 0);
  CHECK(other.count("certificate") == 1);
}

TEST_CASE("openssl: SSL_set_SSL_CTX in the servername callback leaves verify mode, options and tickets") {
  Server server{Mechanism::stateless13};
  Server other{Mechanism::stateless13};
  SSL_CTX_set_verify(other.ctx(), strict, nullptr);
  SSL_CTX_set_num_tickets(other.ctx(), 7);
  SSL_CTX_set_options(other.ctx(), SSL_OP_PRIORITIZE_CHACHA);
  server.on_client_hello = ask;
  server.on_server_name = [&](SSL* ssl) { SSL_set_SSL_CTX(ssl, other.ctx()); };
  const Pair first{server};
  REQUIRE(first.done());  // not strict
  CHECK(SSL_get_verify_mode(first.server()) == SSL_VERIFY_PEER);
  CHECK(SSL_get_verify_callback(first.server()) == verify);
  CHECK((SSL_get_options(first.server()) & SSL_OP_PRIORITIZE_CHACHA) == 0);
  CHECK(first.seen.tickets == 2);
  CHECK(offer(server, first)->resumed());  // keys and cache are the first's, too
}

// ---- What bypasses a certificate ------------------------------------------------------------------------------------

namespace {

SslSessionPtr external_psk(SSL* ssl) {
  static constexpr std::array<unsigned char, 32> key{1, 2, 3};
  static constexpr std::array<unsigned char, 2> first_choice{0x13, 0x02};
  SslSessionPtr session{SSL_SESSION_new()};
  SSL_SESSION_set1_master_key(session.get(), key.data(), key.size());
  SSL_SESSION_set_cipher(session.get(), SSL_CIPHER_find(ssl, first_choice.data()));
  SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION);
  return session;
}
int find_psk(SSL* ssl, const unsigned char* identity, std::size_t size, SSL_SESSION** session) {
  const bool ours = std::string_view{reinterpret_cast<const char*>(identity), size} == "psk";
  *session = ours ? external_psk(ssl).release() : nullptr;
  return 1;
}
int use_psk(SSL* ssl, const EVP_MD* /*digest*/, const unsigned char** identity, std::size_t* size,
            SSL_SESSION** session) {
  *identity = reinterpret_cast<const unsigned char*>("psk");
  *size = 3;
  *session = external_psk(ssl).release();
  return 1;
}
ClientOptions client_with_psk() {
  ClientOptions client;
  client.adjust = [](SSL* ssl) { SSL_set_psk_use_session_callback(ssl, use_psk); };
  return client;
}

}  // namespace

TEST_CASE("openssl: an external PSK counts as resumed, whatever the context, and is asked for no certificate") {
  Server server{Mechanism::stateless13};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_verify(ssl, strict, nullptr);
    SSL_set_psk_find_session_callback(ssl, find_psk);
    return present(ssl, "the connection's own");
  };
  const Pair pair{server, client_with_psk()};
  REQUIRE(pair.done());
  CHECK(pair.resumed());
  CHECK(pair.seen.certificate_requests == 0);
  CHECK(server.count("certificate") == 0);
  CHECK(offer(server, pair)->resumed());  // and its ticket, without the PSK
}

TEST_CASE("openssl: PSK callbacks that are null in client_hello switch an external PSK off, and no ticket") {
  Server server{Mechanism::stateless13};
  SSL_CTX_set_psk_find_session_callback(server.ctx(), find_psk);
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_psk_server_callback(ssl, nullptr);
    SSL_set_psk_find_session_callback(ssl, nullptr);
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  const Pair pair{server, client_with_psk()};
  REQUIRE(pair.done());
  CHECK_FALSE(pair.resumed());
  CHECK(offer(server, pair)->resumed());
}

namespace {

// A resumption with early data, as far as the server has read it: what SSL_read_early_data returned.
int read_early_data(Server& server, std::unique_ptr<Pair>& pair) {
  SSL_CTX_set_max_early_data(server.ctx(), 1000);
  const Pair first{server};
  const auto session = first.session();
  ClientOptions client;
  client.session = session.get();
  pair = std::make_unique<Pair>(server, client, false);
  std::size_t size = 0;
  REQUIRE(SSL_write_early_data(pair->client(), "early", 5, &size) == 1);
  std::array<char, 16> data{};
  return SSL_read_early_data(pair->server(), data.data(), data.size(), &size);
}

}  // namespace

TEST_CASE("openssl: early data is read before the client's Finished, when the handshake is said to be done") {
  Server server{Mechanism::stateless13};
  std::unique_ptr<Pair> pair;
  int done = 0;
  server.on_info = [&](SSL* ssl, int where) { done += where == SSL_CB_HANDSHAKE_DONE && finished_size(ssl) == 0; };
  CHECK(read_early_data(server, pair) == SSL_READ_EARLY_DATA_SUCCESS);
  CHECK(done == 1);
  CHECK(finished_size(pair->server()) == 0);
}

TEST_CASE("openssl: SSL_set_max_early_data(0) in client_hello rejects early data") {
  Server server{Mechanism::stateless13};
  std::unique_ptr<Pair> pair;
  int connections = 0;
  server.on_client_hello = [&](SSL* ssl) {
    return ++connections == 1 ? SSL_CLIENT_HELLO_SUCCESS : SSL_set_max_early_data(ssl, 0);
  };
  CHECK(read_early_data(server, pair) == SSL_READ_EARLY_DATA_FINISH);
  CHECK(SSL_get_early_data_status(pair->server()) == SSL_EARLY_DATA_REJECTED);
  SSL_do_handshake(pair->client());  // SSL_read would not end the sending of early data
  CHECK(pair->run());
}

TEST_CASE("openssl: the certificate is message 11, not compressed, where the certificate callback says so") {
  // Of 3.0 and 3.1 always; from 3.2 it is message 25 where both sides were built with an algorithm.
  for (const bool refused : {false, true}) {
    CAPTURE(refused);
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) {
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
      if (refused) SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
      return ask(ssl);
    };
    std::vector<int> messages;
    server.on_message = [&](SSL*, const unsigned char* message, std::size_t) { messages.push_back(message[0]); };
    const Pair pair{server, client1()};
    REQUIRE(pair.done());
    REQUIRE(messages.size() == 4);  // ClientHello, Certificate, CertificateVerify, Finished
#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) && \
    !(defined(OPENSSL_NO_ZLIB) && defined(OPENSSL_NO_BROTLI) && defined(OPENSSL_NO_ZSTD))
    CHECK(messages[1] == (refused ? SSL3_MT_CERTIFICATE : SSL3_MT_COMPRESSED_CERTIFICATE));
#else
    CHECK(messages[1] == SSL3_MT_CERTIFICATE);
#endif
  }
}

#if OPENSSL_VERSION_NUMBER >= 0x30200000L
TEST_CASE("openssl: a client with a raw public key has no certificate") {  // from 3.2, where the host allows it
  static constexpr std::array<unsigned char, 1> raw{TLSEXT_cert_type_rpk};
  Server server{Mechanism::stateless13};
  server.on_verify = let_through;
  server.on_certificate = ask;
  server.on_client_hello = [](SSL* ssl) { return SSL_set1_client_cert_type(ssl, raw.data(), raw.size()); };
  ClientOptions client = client1();
  client.adjust = [](SSL* ssl) { SSL_set1_client_cert_type(ssl, raw.data(), raw.size()); };
  const Pair pair{server, client};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
  CHECK(SSL_get0_peer_rpk(pair.server()) != nullptr);
}
#endif

TEST_CASE("openssl: OpenSSL's client offers a session of TLS 1.3 once, and of TLS 1.2 again") {
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    CAPTURE(name_of(mechanism));
    Server server{mechanism};
    const Pair first{server};
    const auto session = first.session();
    ClientOptions client;
    client.session = session.get();
    CHECK(Pair{server, client}.resumed());
    CHECK(Pair{server, client}.resumed() == !is_tls13(mechanism));
  }
}

// ---- What is not about TLS ------------------------------------------------------------------------------------------

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

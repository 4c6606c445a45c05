// What the library relies on in OpenSSL, fact by fact, without the library: what decides on a resumption,
// and what travels in a session.
#include <algorithm>

#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

namespace {

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

std::string appdata_of(SSL* ssl) {
  void* data = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(SSL_get_session(ssl), &data, &size);
  return {static_cast<const char*>(data), data != nullptr ? size : 0};
}

Calls all_names() {
  Calls names;
  for (const Mechanism mechanism : all_mechanisms) names.emplace_back(to_string(mechanism));
  return names;
}

}  // namespace

// ---- The session id context -----------------------------------------------------------------------------------------

TEST_CASE("openssl: a session id context set in client_hello decides on resumption; another is a full handshake") {
  for (const Mechanism mechanism : all_mechanisms) {
    CAPTURE(to_string(mechanism));
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
      CAPTURE(in_server_name, to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
      CAPTURE(to_string(mechanism), resumed);
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_session_id = [](SSL* ssl) { put_context(SSL_get_session(ssl), "nobody's"); };
    const Pair first{server};
    REQUIRE(first.session());
    CHECK_FALSE(offer(server, first)->resumed());
  }
}

TEST_CASE("openssl: in TLS 1.2 the id callback is called at a full handshake's start, where there is no ticket") {
  for (const Mechanism mechanism : tls12_mechanisms) {
    CAPTURE(to_string(mechanism));
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
      CAPTURE(to_string(mechanism), size);
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

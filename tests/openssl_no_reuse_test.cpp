// What the library relies on in OpenSSL, fact by fact, without the library: what keeps a session from being
// resumed.
#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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
    CAPTURE(to_string(mechanism));
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

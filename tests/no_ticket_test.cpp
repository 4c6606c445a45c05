// Where no session can be resumed, no ticket is sent: it would cost both sides, and the client would offer it in vain.

#include "support/catch.hpp"
#include "support/external_psk.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth optional = ClientAuth::optional;

constexpr int host_tickets = 3;

// Who sends beside a good chain a certificate that has ended.
ClientOptions expired_beside() {
  static const Certificate other = issue({.common_name = "other", .usage = Usage::ca, .ends_in = -10});
  ClientOptions options = client1();
  options.chain.push_back(other.get());
  return options;
}
ClientOptions large() {
  static const Certificate intermediate =
      issue({.common_name = "large", .usage = Usage::ca, .extra_bytes = 2500}, &Pki::get().ca1);
  static const Certificate leaf = issue({}, &intermediate);
  return client_with(leaf, intermediate);
}

PolicyOptions asking_each_time() {
  PolicyOptions options = asking(optional);
  options.resume_without_certificate = false;
  return options;
}
PolicyOptions refused_by_host() {
  return requiring(Refusal::host);
}

// Every name has the policy, but for open.test.
PolicyPtr install_on(Server& server, PolicyOptions options, Hooks hooks = {}) {
  const PolicyPtr policy = make_policy(std::move(options));
  REQUIRE(install(server.ssl_ctx(),
                  std::make_shared<CurrentPolicies>(make_table({{"open.test", make_policy()}}, policy, policy)),
                  std::move(hooks)));
  SSL_CTX_set_num_tickets(server.ssl_ctx(), host_tickets);
  return policy;
}

// What is known only when the client's certificate is there.
struct Row {
  const char* name;
  PolicyOptions (*policy)();
  ClientOptions client;
};
std::vector<Row> rows() {
  const auto asks = [] { return asking(optional); };
  return {
      {"too large", asks, large()},
      {"expired", asks, expired_client()},
      {"expired beside a good chain", asks, expired_beside()},
      {"none, asked each time", asking_each_time, {}},
      {"none, refused by the host", refused_by_host, {}},
      {"not verified, refused by the host", refused_by_host, client2()},
      {"expired, refused by the host", refused_by_host, expired_client()},
  };
}

// A ticket that the host forces out; null if none comes.
SslSessionPtr forced_ticket(Pair& pair) {
  REQUIRE(SSL_new_session_ticket(pair.server()) == 1);
  do_handshake(pair.server());
  pair.run();
  return pair.session();
}

// The host's decryption of tickets, which loses what the session carries.
SSL_TICKET_RETURN forget_what_it_carries(SSL* /*ssl*/, SSL_SESSION* session, const unsigned char* /*name*/,
                                         std::size_t /*size*/, SSL_TICKET_STATUS status, void* /*argument*/) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE;
  SSL_SESSION_set1_ticket_appdata(session, "other", 5);
  return SSL_TICKET_RETURN_USE;
}

// The same in the external cache.
void forget_what_is_carried(Server& server) {
  for (auto& [id, bytes] : server.external_cache) {
    const SslSessionPtr session = session_of(bytes);
    REQUIRE(session != nullptr);
    SSL_SESSION_set1_ticket_appdata(session.get(), "other", 5);
    bytes = bytes_of(session.get());
  }
}

}  // namespace

TEST_CASE("no ticket: in TLS 1.3 none is sent where the client's certificate has decided against it") {
  for (const Row& row : rows()) {
    for (const Mechanism mechanism : tls13_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Server server{mechanism};
        install_on(server, row.policy());
        Pair first{server, row.client};
        REQUIRE(first.done());
        CHECK(first.seen().tickets == 0);
        CHECK(first.session() == nullptr);
        CHECK(server.new_session_calls == 0);
        CHECK(SSL_CTX_sess_number(server.ssl_ctx()) == 0);
        CHECK(first.echo());
        const auto forced = forced_ticket(first);
        REQUIRE(forced != nullptr);
        CHECK_FALSE(Pair(server, offering(row.client, forced)).resumed());
      }
    }
  }
}

TEST_CASE("no ticket: who can resume gets as many as the host wants") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      install_on(server, asking_each_time());
      Pair first{server, client1()};
      CHECK(first.seen().tickets == host_tickets);
      Pair next{server, offering(client1(), first.session())};
      REQUIRE(next.resumed());
      CHECK(next.seen().tickets > 0);
      CHECK(Pair(server, client2()).seen().tickets == host_tickets);  // it resumes as what it is
    }
  }
}

TEST_CASE("no ticket: in TLS 1.2 the one that ServerHello has promised is sent, and does not resume") {
  for (const Row& row : rows()) {
    for (const Mechanism mechanism : tls12_mechanisms) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Server server{mechanism};
        install_on(server, row.policy());
        Pair first{server, row.client};
        REQUIRE(first.done());
        CHECK(first.seen().tickets == (mechanism == Mechanism::ticket12 ? 1 : 0));
        CHECK((first.seen().session_id_size > 0) == (mechanism != Mechanism::ticket12));
        const auto session = first.session();
        REQUIRE(session != nullptr);
        const Pair next{server, offering(row.client, session)};
        CHECK(next.done());
        CHECK_FALSE(next.resumed());
      }
    }
  }
}

TEST_CASE("no ticket: what is known before the ServerHello promises none") {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const bool by_hook : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (by_hook ? ", by a hook" : ", by the policy")) {
        PolicyOptions options = asking(optional);
        options.resumption = by_hook;
        Hooks hooks;
        hooks.certificate = [by_hook](Handshake& handshake) {
          if (by_hook) CHECK(handshake.tls().disable_session_reuse());
          return Decision::proceed;
        };
        Server server{mechanism};
        install_on(server, std::move(options), std::move(hooks));
        for (const ClientOptions& client : {client1(), client2(), ClientOptions{}}) {
          const Pair pair{server, client};
          REQUIRE(pair.done());
          CHECK(pair.seen().tickets == 0);
          if (!is_tls13(mechanism)) CHECK(pair.seen().session_id_size == 0);
          CHECK(pair.session() == nullptr);
        }
        CHECK(server.new_session_calls == 0);
      }
    }
  }
}

TEST_CASE("no ticket: none on a resumed connection whose session does not carry its client's chain") {
  for (const Mechanism mechanism : {Mechanism::stateless13, Mechanism::external13}) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      std::vector<std::string> reasons;
      Hooks hooks;
      hooks.handshake_done = [&](const HandshakeReport& report) { reasons.emplace_back(report.not_resumable); };
      Server server{mechanism};
      install_on(server, asking(optional), std::move(hooks));
      Pair first{server, client1()};
      const auto session = first.session();
      SSL_CTX_set_session_ticket_cb(server.ssl_ctx(), nullptr, forget_what_it_carries, nullptr);
      forget_what_is_carried(server);
      Pair next{server, offering(client1(), session)};
      REQUIRE(next.resumed());
      CHECK(next.verify() == "FAILED:the resumed session does not carry its client's chain");
      CHECK(next.seen().tickets == 0);
      CHECK(reasons == std::vector<std::string>{"", "the resumed session does not carry its client's chain"});
      const auto forced = forced_ticket(next);
      REQUIRE(forced != nullptr);
      CHECK_FALSE(Pair(server, offering(client1(), forced)).resumed());
    }
  }
}

TEST_CASE("no ticket: none to a client with an external PSK where one without a certificate is asked each time") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const bool each_time : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (each_time ? ", each time" : ", once")) {
        Server server{mechanism};
        SSL_CTX_set_psk_find_session_callback(server.ssl_ctx(), find_psk);
        install_on(server, each_time ? asking_each_time() : asking(optional));
        ClientOptions options;
        options.adjust = [](SSL* ssl) { SSL_set_psk_use_session_callback(ssl, use_psk); };
        Pair first{server, options};
        REQUIRE(first.resumed());  // as OpenSSL calls it
        CHECK((first.seen().tickets > 0) == !each_time);
        const auto session = forced_ticket(first);
        REQUIRE(session != nullptr);
        Pair next{server, offering(client1(), session)};
        CHECK(next.done());
        CHECK(next.resumed() == !each_time);
        CHECK(next.seen().certificate_requests == (each_time ? 1 : 0));
      }
    }
  }
}

TEST_CASE("no ticket: on an SSL that is used again the host's number is back") {
  for (const Row& row : rows()) {
    for (const Mechanism mechanism : tls13_mechanisms) {
      for (const bool on_the_ssl : {false, true}) {
        DYNAMIC_SECTION(row.name << ", " << to_string(mechanism) << (on_the_ssl ? ", set on the SSL" : "")) {
          const int number = on_the_ssl ? 1 : host_tickets;
          Server server{mechanism};
          install_on(server, row.policy());
          Pair pair{server, row.client, false};
          if (on_the_ssl) SSL_set_num_tickets(pair.server(), 1);
          REQUIRE(pair.run());
          CHECK(pair.seen().tickets == 0);
          for (const char* name : {"open.test", "a.test", "open.test"}) {
            pair.clear(client1(name));
            REQUIRE(pair.done());
            CHECK(pair.seen().tickets == number);
            CHECK(SSL_get_num_tickets(pair.server()) == static_cast<std::size_t>(number));
            const auto session = pair.session();
            CHECK(Pair(server, offering(client1(name), session)).resumed());
          }
        }
      }
    }
  }
}

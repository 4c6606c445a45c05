// Post-handshake authentication (TLS 1.3): a certificate is nobody's until the client has proved its key, and after
// that the connection is no longer the one that the library has judged. OpenSSL has the new certificate, and a verdict
// on it, from the Certificate message on: before CertificateVerify, which somebody who shows a stranger's chain never
// sends.

#include <algorithm>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr std::string_view changed = "FAILED:the certificate was changed after the handshake";
constexpr std::string_view too_early = "too_early";

std::string text_of(const Error& error) {
  return error.code == Errc::too_early ? std::string(too_early) : "error: " + std::string(error.message);
}

std::string chain_of(const Pair& pair) {
  PhaseContext context{Phase::access};
  const auto chain = ClientTls{pair.server(), context}.get_full_client_certificate_chain();
  if (!chain) return text_of(chain.error());
  return std::string(chain->value_or("none"));
}

std::string verify_of(const Pair& pair) {
  PhaseContext context{Phase::log};
  const auto entry = ClientTls{pair.server(), context}.log_entry();
  return entry ? entry->client_verify : text_of(entry.error());
}

// Verdict::presented; "none" where there is none.
std::string presented_of(const Pair& pair) {
  PhaseContext context{Phase::access};
  const auto verdict = ClientTls{pair.server(), context}.verdict();
  if (!verdict) return text_of(verdict.error());
  return verdict->presented().empty() ? "none" : std::string(verdict->presented());
}

// The client's answer to the host's request for another certificate, taken off the wire: Certificate, CertificateVerify
// and Finished.
std::string flight_of(Pair& pair, const Certificate* certificate) {
  REQUIRE(answer_with(pair.client(), certificate));
  SSL_set_verify(pair.server(), SSL_VERIFY_PEER, nullptr);
  REQUIRE(SSL_verify_client_post_handshake(pair.server()) == 1);
  REQUIRE(SSL_do_handshake(pair.server()) == 1);
  step(pair.client());
  std::string flight = take_off_wire(pair.server());
  REQUIRE_FALSE(flight.empty());
  return flight;
}

void deliver(const Pair& pair, std::string_view bytes) {
  REQUIRE(put_on_wire(pair.client(), bytes));
  step(pair.server());
}

// Where each record of a flight ends.
std::vector<std::size_t> record_ends(std::string_view flight) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 0; at + 5 <= flight.size(); ends.push_back(at)) {
    at += 5 + (static_cast<std::size_t>(static_cast<unsigned char>(flight[at + 3])) << 8U) +
          static_cast<unsigned char>(flight[at + 4]);
  }
  return ends;
}

// What is said of a connection, and of whom.
struct Said {
  explicit Said(const Pair& pair)
      : leaf(SSL_get1_peer_certificate(pair.server())),
        chain(chain_of(pair)),
        verify(verify_of(pair)),
        presented(presented_of(pair)) {}

  X509Ptr leaf;  // held, so that its address is not used again
  std::string chain, verify, presented;
};

// The one rule, while the new certificate's key is not proved.
void check_not_the_new_one(const Pair& pair, const Said& before) {
  const Said now{pair};
  if (now.leaf.get() != before.leaf.get()) {
    CHECK(now.chain == too_early);
    CHECK(now.verify == too_early);
    CHECK(now.presented == too_early);
    return;
  }
  CHECK((now.chain == before.chain || now.chain == too_early));
  CHECK((now.verify == before.verify || now.verify == too_early));
  CHECK((now.presented == before.presented || now.presented == too_early));
}

const Certificate& newcomer() {
  static const Certificate certificate = issue({.common_name = "newcomer"}, &Pki::get().ca1);
  return certificate;
}

// The ways in which a connection has come to be what it is before the host asks again.
struct Row {
  const char* name;
  bool bound, asks, presents, resumed;
};
constexpr Row rows[] = {
    {"bound, with a certificate", true, true, true, false},
    {"bound, none presented", true, true, false, false},
    {"bound, not asked", true, false, false, false},
    {"bound, resumed with a certificate", true, true, true, true},
    {"bound, resumed without one", true, true, false, true},
    {"not bound, with a certificate", false, true, true, false},
    {"not bound, none presented", false, true, false, false},
};

void set_up(Server& server, const Row& row) {
  if (!row.bound) server.on_client_hello = [](SSL*) { return SSL_CLIENT_HELLO_SUCCESS; };
  if (row.asks) server.on_certificate = [](SSL* ssl) { return ask(ssl); };
}

std::unique_ptr<Pair> connect(Server& server, const Row& row) {
  ClientOptions options = able_to_authenticate_later(row.presents ? client1() : ClientOptions{});
  auto pair = std::make_unique<Pair>(server, options);
  const auto session = row.resumed ? pair->session() : nullptr;
  options.session = session.get();
  if (row.resumed) pair = std::make_unique<Pair>(server, options);
  REQUIRE(pair->done());
  REQUIRE(pair->resumed() == row.resumed);
  return pair;
}

}  // namespace

TEST_CASE("post-handshake proof: at no byte before its Finished is the new certificate anybody's") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const Row& row : rows) {
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Server server{mechanism};
        set_up(server, row);
        const auto pair = connect(server, row);
        const Said before{*pair};
        CHECK((before.verify == "SUCCESS") == row.presents);
        const std::string flight = flight_of(*pair, &newcomer());
        REQUIRE(record_ends(flight).size() >= 3);
        REQUIRE(record_ends(flight).back() == flight.size());
        int changed_at = 0;
        for (std::size_t i = 0; i + 1 < flight.size(); ++i) {
          deliver(*pair, {&flight[i], 1});
          check_not_the_new_one(*pair, before);
          changed_at += SSL_get0_peer_certificate(pair->server()) != before.leaf.get() ? 1 : 0;
        }
        CHECK(changed_at > 1);  // there was something to be taken in by
        deliver(*pair, {&flight.back(), 1});
        CHECK(SSL_is_init_finished(pair->server()) == 1);
        CHECK(chain_of(*pair) == pem_of({newcomer().get()}));
        CHECK(verify_of(*pair) == changed);
      }
    }
  }
}

TEST_CASE("post-handshake proof: a flight that ends with an error after any record leaves nobody new") {
  for (const Row& row : rows) {
    for (const std::size_t records : {1U, 2U}) {
      DYNAMIC_SECTION(row.name << ", after record " << records) {
        Server server{Mechanism::stateless13};
        set_up(server, row);
        const auto pair = connect(server, row);
        const Said before{*pair};
        const std::string flight = flight_of(*pair, &newcomer());
        const std::size_t end = record_ends(flight).at(records - 1);
        deliver(*pair, std::string_view{flight}.substr(0, end));
        check_not_the_new_one(*pair, before);
        std::string rest = flight.substr(end);
        rest.back() = static_cast<char>(rest.back() ^ 1);  // bad_record_mac, at the last record
        deliver(*pair, rest);
        CHECK(SSL_get0_peer_certificate(pair->server()) != before.leaf.get());
        check_not_the_new_one(*pair, before);
        step(pair->server());
        check_not_the_new_one(*pair, before);
      }
    }
  }
}

TEST_CASE("post-handshake proof: a wrong CertificateVerify or Finished proves nothing") {
  static int spoilt;
  for (const int type : {SSL3_MT_CERTIFICATE_VERIFY, SSL3_MT_FINISHED}) {
    for (const Row& row : rows) {
      DYNAMIC_SECTION(row.name << ", message " << type) {
        spoilt = type;
        Server server{Mechanism::stateless13};
        set_up(server, row);
        const auto pair = connect(server, row);
        const Said before{*pair};
        const std::string flight = flight_of(*pair, &newcomer());
        SSL_set_msg_callback(pair->server(), [](int sent, int, int, const void* data, std::size_t size, SSL*, void*) {
          auto* message = static_cast<unsigned char*>(const_cast<void*>(data));
          if (sent == 0 && size > 8 && message[0] == spoilt) message[size - 1] ^= 1U;
        });
        deliver(*pair, flight);
        CHECK(SSL_is_init_finished(pair->server()) == 0);
        CHECK(SSL_get0_peer_certificate(pair->server()) != before.leaf.get());
        check_not_the_new_one(*pair, before);
      }
    }
  }
}

TEST_CASE("post-handshake proof: a client that answers with none is no longer the one it was") {
  for (const Row& row : rows) {
    DYNAMIC_SECTION(row.name) {
      Server server{Mechanism::stateless13};
      set_up(server, row);
      const auto pair = connect(server, row);
      const Said before{*pair};
      const std::string flight = flight_of(*pair, nullptr);
      for (const char& byte : flight) {
        check_not_the_new_one(*pair, before);
        deliver(*pair, {&byte, 1});
      }
      CHECK(SSL_is_init_finished(pair->server()) == 1);
      CHECK(chain_of(*pair) == "none");
      CHECK(verify_of(*pair) == (row.presents ? changed : "NONE"));
      CHECK(presented_of(*pair) == "none");
    }
  }
}

TEST_CASE("post-handshake proof: under a policy a host that asks again has no success either") {
  for (const ClientAuth request : {ClientAuth::none, ClientAuth::optional, ClientAuth::required}) {
    for (const bool resumed : {false, true}) {
      DYNAMIC_SECTION(to_string(request) << (resumed ? ", resumed" : "")) {
        const bool asks = request != ClientAuth::none;
        PolicyServer server{Mechanism::stateless13,
                            make_policies({{"a.test", make_policy(asks ? asking(request) : PolicyOptions{})}})};
        const auto pair = connect(server, {"", true, asks, asks, resumed});
        const Said before{*pair};
        const std::string flight = flight_of(*pair, &newcomer());
        for (const char& byte : flight) {
          check_not_the_new_one(*pair, before);
          deliver(*pair, {&byte, 1});
        }
        const bool closed = request == ClientAuth::required;
        CHECK(chain_of(*pair) == (closed ? std::string(Pair::not_authenticated) : pem_of({newcomer().get()})));
        CHECK(verify_of(*pair) == changed);
      }
    }
  }
}

// The library has no record of such a connection: what is said is OpenSSL's word, once the handshake is complete.
TEST_CASE("post-handshake proof: where the library was never asked, it is too early until the Finished") {
  for (const bool resumed : {false, true}) {
    DYNAMIC_SECTION((resumed ? "resumed" : "full")) {
      const Row row{"", false, false, true, resumed};
      Server server{Mechanism::stateless13};
      set_up(server, row);
      SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);
      SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
      const auto pair = connect(server, row);
      const Said before{*pair};
      const std::string flight = flight_of(*pair, &newcomer());
      for (std::size_t i = 0; i + 1 < flight.size(); ++i) {
        deliver(*pair, {&flight[i], 1});
        check_not_the_new_one(*pair, before);
        if (SSL_is_init_finished(pair->server()) == 1) continue;
        CHECK(chain_of(*pair) == too_early);
        CHECK(verify_of(*pair) == too_early);
      }
      deliver(*pair, {&flight.back(), 1});
      // What a session carries is not known there, whoever the client shows itself to be afterwards.
      CHECK(chain_of(*pair) == (resumed ? before.chain : pem_of({newcomer().get()})));
      CHECK((verify_of(*pair) == "SUCCESS") == !resumed);
    }
  }
}

// A chain that was asked for before is kept, and is the old one's.
TEST_CASE("post-handshake proof: two authentications one after the other are two changes") {
  Server server{Mechanism::stateless13};
  set_up(server, rows[0]);
  const auto pair = connect(server, rows[0]);
  const Certificate second = issue({.common_name = "second"}, &Pki::get().ca2);
  const Certificate* previous = nullptr;
  for (const Certificate* next : {&newcomer(), &second, &newcomer()}) {
    const std::string flight = flight_of(*pair, next);
    for (std::size_t i = 0; i + 1 < flight.size(); ++i) {
      deliver(*pair, {&flight[i], 1});
      const std::string chain = chain_of(*pair);
      CHECK_FALSE(chain == pem_of({next->get()}));
      if (previous != nullptr) CHECK((chain == too_early || chain == pem_of({previous->get()})));
      if (previous != nullptr) CHECK((verify_of(*pair) == too_early || verify_of(*pair) == changed));
    }
    deliver(*pair, {&flight.back(), 1});
    CHECK(chain_of(*pair) == pem_of({next->get()}));
    CHECK(verify_of(*pair) == changed);
    previous = next;
  }
}

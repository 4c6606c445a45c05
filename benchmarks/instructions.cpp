// For callgrind: full handshakes with a client certificate and resumed connections, on TLS 1.2 and 1.3; full handshakes
// with revocation lists; and one call that its phase refuses. The server's instructions are counted, and dumped for
// each way under its name. The argument is the number of handshakes. The client's instructions, which are the same for
// all, would only make the ratio smaller.
#include <valgrind/callgrind.h>

#include <list>

#include "client_tls/client_tls.hpp"
#include "connection.hpp"
#include "figure.hpp"

using namespace bench;

namespace {

class Counter : public Meter {
 public:
  void begin() override { CALLGRIND_TOGGLE_COLLECT; }
  void end() override { CALLGRIND_TOGGLE_COLLECT; }
};

// Dumps what was counted since the last time. Valgrind keeps the pointer.
void dump(std::string name) {
  static std::list<std::string> names;
  names.push_back(std::move(name));
  CALLGRIND_DUMP_STATS_AT(names.back().c_str());
}

// A full handshake; a resumed connection, and where it can, with its chain read.
void count(Way way, const Mechanism& mechanism, const Identities& identities, Offer offer, std::size_t handshakes) {
  const auto server = make_server(way, mechanism, identities);
  Client client{identities};
  Meter uncounted;
  for (int i = 0; i < 3; ++i) Connection{server.get(), client, uncounted};  // what is made once is there then
  Counter counter;
  for (std::size_t i = 0; i < handshakes; ++i) {
    const Connection connection{server.get(), client, counter, offer};
    const Measured measured{counter};
    if (offer == Offer::last_session && way >= Way::library && way <= Way::policies)
      require(!connection.chain().empty(), "chain");
  }
  const std::string kind = offer == Offer::nothing ? "full/" : "resumed/";
  dump(kind + std::string(mechanism.name) + " " + std::string(to_string(way)));
}

// Full handshakes under a policy without revocation lists, and with them. The signatures are verified in the first,
// which is not counted.
void count_with_lists(const Identities& identities, std::size_t handshakes) {
  Client client{identities};
  const auto count_handshakes = [&](const client_tls::SslCtxPtr& server, const std::string& name) {
    Meter uncounted;
    for (int i = 0; i < 3; ++i) Connection{server.get(), client, uncounted};
    Counter counter;
    for (std::size_t i = 0; i < handshakes; ++i) {
      const Connection connection{server.get(), client, counter};
      require(SSL_get_verify_result(connection.server()) == X509_V_OK, "verified");
    }
    dump("lists " + name);
  };
  count_handshakes(make_server(Way::library, stateless13, identities), "none");
  for (const std::size_t entries : {0U, 1'000U, 100'000U}) {
    count_handshakes(make_server_with_lists(stateless13, identities, entries), std::to_string(entries));
  }
}

// A refused call is the whole phase check and the error it makes, and no call of OpenSSL: what the check adds to a call
// that is allowed is a part of that.
void count_refused_call(const Identities& identities) {
  const auto server = make_server(Way::library, stateless13, identities);
  Client client{identities};
  Meter uncounted;
  const Connection connection{server.get(), client, uncounted};
  client_tls::PhaseContext context{client_tls::Phase::client_hello};
  const client_tls::ClientTls tls{connection.server(), context};
  Counter counter;
  for (Meter* meter : {&uncounted, static_cast<Meter*>(&counter)}) {  // the dynamic linker's work is done once
    use(tls);
    const Measured measured{*meter};
    use(tls.get_full_client_certificate_chain());
  }
  dump("refused-call library");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t handshakes = repetitions(argc, argv, 50);
  const Identities identities = make_identities(test::Key::ec_p256, test::Key::ec_p256);
  count_refused_call(identities);
  count_with_lists(identities, handshakes);
  for (const Offer offer : {Offer::nothing, Offer::last_session}) {
    for (const Mechanism& mechanism : {ticket12, stateless13}) {
      for (const Way way :
           {Way::bare, Way::by_hand_without_chain, Way::by_hand, Way::library, Way::facade, Way::policies}) {
        count(way, mechanism, identities, offer, handshakes);
      }
    }
  }
}

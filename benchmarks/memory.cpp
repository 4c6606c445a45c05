// What the library adds to a connection, in bytes and allocations of the server's side, and to a ticket. Counted, not
// timed: one run is as good as many.
#include <cstdint>

#include "client_tls/client_tls.hpp"
#include "connection.hpp"
#include "figure.hpp"
#include "support/allocations.hpp"

using namespace bench;

namespace {

struct Usage {
  std::int64_t bytes = 0;   // in use
  std::int64_t blocks = 0;  // in use
  std::int64_t allocations = 0;
};

Usage now() {
  return {.bytes = static_cast<std::int64_t>(test::bytes_in_use()),
          .blocks = static_cast<std::int64_t>(test::blocks_in_use()),
          .allocations = static_cast<std::int64_t>(test::allocations_made())};
}

Usage operator-(const Usage& a, const Usage& b) {
  return {.bytes = a.bytes - b.bytes, .blocks = a.blocks - b.blocks, .allocations = a.allocations - b.allocations};
}

class Account : public Meter {
 public:
  void begin() override { begin_ = now(); }
  void end() override {
    const Usage added = now() - begin_;
    total_.bytes += added.bytes;
    total_.blocks += added.blocks;
    total_.allocations += added.allocations;
  }
  [[nodiscard]] const Usage& total() const { return total_; }

 private:
  Usage begin_;
  Usage total_;
};

struct Observed {
  Usage usage;
  std::size_t ticket_size = 0;
  std::size_t chain_size = 0;
  std::size_t repeated_read_allocations = 0;
};

enum class Reads : bool { nothing, chain };

// The second connection of a server: the first has made what is made once. What the cache alone holds is not the
// connection's, and is removed.
Observed observe(Way way, const Mechanism& mechanism, const Identities& identities, Asks asks, Reads reads,
                 Offer offer = Offer::nothing) {
  const auto server = make_server(way, mechanism, identities, asks);
  Client client{identities};
  Meter uncounted;
  if (const Connection first{server.get(), client, uncounted}; reads == Reads::chain) (void)first.chain();
  if (offer == Offer::nothing) SSL_CTX_flush_sessions(server.get(), 0);
  Account account;
  const Connection connection{server.get(), client, account, offer};
  if (offer == Offer::nothing) {
    const Measured measured{account};
    SSL_CTX_flush_sessions(server.get(), 0);
  }
  Observed result;
  if (reads == Reads::chain) {
    {
      const Measured measured{account};
      result.chain_size = connection.chain().size();
    }
    const std::size_t before = test::allocations_made();
    (void)connection.chain();
    result.repeated_read_allocations = test::allocations_made() - before;
  }
  result.usage = account.total();
  const unsigned char* ticket = nullptr;
  SSL_SESSION_get0_ticket(client.session(), &ticket, &result.ticket_size);
  return result;
}

// A session that nobody else uses is a part of its connection.
void print_added(const std::string& name, const Mechanism& mechanism, const Identities& identities) {
  const auto plain = observe(Way::library, mechanism, identities, Asks::no, Reads::nothing);
  const auto plain_by_hand = observe(Way::by_hand_without_chain, mechanism, identities, Asks::no, Reads::nothing);
  const Usage added = plain.usage - plain_by_hand.usage;
  print_figure("bytes-added/" + name, static_cast<double>(added.bytes), 512);
  print_figure("blocks-added/" + name, static_cast<double>(added.blocks), 1);
  print_figure("allocations-made-more/" + name, static_cast<double>(added.allocations));

  for (const Offer offer : {Offer::nothing, Offer::last_session}) {
    const auto chain = observe(Way::library, mechanism, identities, Asks::yes, Reads::chain, offer);
    const auto by_hand = observe(Way::by_hand_without_chain, mechanism, identities, Asks::yes, Reads::nothing, offer);
    const std::string kind = (offer == Offer::nothing ? "/full/" : "/resumed/") + name;
    const double most = static_cast<double>(chain.chain_size) + 1024;
    print_figure("bytes-added-with-chain" + kind, static_cast<double>((chain.usage - by_hand.usage).bytes), most);
    print_figure("repeated-read-allocations" + kind, static_cast<double>(chain.repeated_read_allocations), 0);
  }
}

void print_ticket(const std::string& name, const Mechanism& mechanism, const Identities& identities) {
  const auto library = observe(Way::library, mechanism, identities, Asks::yes, Reads::nothing);
  const auto by_hand = observe(Way::by_hand_without_chain, mechanism, identities, Asks::yes, Reads::nothing);
  const int der_size = i2d_X509(identities.client.at(1).get(), nullptr);
  const auto added = static_cast<double>(library.ticket_size) - static_cast<double>(by_hand.ticket_size);
  print_figure("ticket-bytes-added/" + name, added, der_size + 96);
}

}  // namespace

int main() {
  require(test::counts_openssl(), "OpenSSL has not taken the memory functions");
  print_figure("sizeof/ClientTls", sizeof(client_tls::ClientTls), 2 * sizeof(void*));
  print_figure("sizeof/PhaseContext", sizeof(client_tls::PhaseContext), 64);
  const Identities identities = make_identities(test::Key::ec_p256, test::Key::ec_p256);
  for (const Mechanism& mechanism : {ticket12, stateless13, stateful13}) {
    print_added(std::string(mechanism.name), mechanism, identities);
  }
  for (const Mechanism& mechanism : {ticket12, stateless13}) {
    print_ticket(std::string(mechanism.name), mechanism, identities);
  }
}

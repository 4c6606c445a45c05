// Server CPU of a connection: a bound, resumed mTLS connection with its chain read, over a full handshake as in Kong,
// and over a resumed connection of bare OpenSSL; with policies over the facade called by hand. The argument is the
// number of connections on each side.
#include <array>
#include <chrono>
#include <utility>

#include "connection.hpp"
#include "figure.hpp"

using namespace bench;

namespace {

// A connection that was interrupted does not count (undisturbed), and without interruption wall clock and CPU time are
// the same. The wall clock is read in a tenth of the time.
class Stopwatch : public Meter {
 public:
  void begin() override { begin_ = std::chrono::steady_clock::now(); }
  void end() override { total_ += std::chrono::steady_clock::now() - begin_; }

  double take_microseconds() { return std::chrono::duration<double, std::micro>(std::exchange(total_, {})).count(); }

 private:
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::duration total_{};
};

// One of the two sides of a comparison.
class Side {
 public:
  Side(Way way, const Mechanism& mechanism, const Identities& identities, Offer offer)
      : offer_(offer),
        reads_(way == Way::library || way == Way::facade || way == Way::policies),
        reads_as_kong_(way == Way::kong || way == Way::no_reuse),
        server_(make_server(way, mechanism, identities)),
        client_(identities) {
    Connection{server_.get(), client_, stopwatch_};
    (void)stopwatch_.take_microseconds();
  }

  void connect() {
    {
      const Connection connection{server_.get(), client_, stopwatch_, offer_};
      const Measured measured{stopwatch_};
      if (reads_) require(!connection.chain().empty(), "chain");
      if (reads_as_kong_) require(read_chain_as_kong(connection.server(), text_) > 0, "chain");
    }
    microseconds_.push_back(stopwatch_.take_microseconds());
  }

  [[nodiscard]] double microseconds() const { return undisturbed(microseconds_); }

 private:
  Offer offer_;
  bool reads_;
  bool reads_as_kong_;
  client_tls::SslCtxPtr server_;
  Client client_;
  Stopwatch stopwatch_;
  std::vector<double> microseconds_;
  std::array<char, 16384> text_{};
};

struct Comparison {
  double ours;
  double theirs;
  [[nodiscard]] double ratio() const { return ours / theirs; }
};

// Two sides alternate, no more: a third would leave its code in the caches for one of them and not for the other.
Comparison compare(Side ours, Side theirs, std::size_t connections) {
  for (std::size_t i = 0; i < connections; ++i) {
    ours.connect();
    theirs.connect();
  }
  return {.ours = ours.microseconds(), .theirs = theirs.microseconds()};
}

struct Case {
  Mechanism mechanism;
  double most_over_kong;
};

void measure(const std::string& key, const Identities& identities, const Case& row, std::size_t connections) {
  constexpr double most_over_bare = 1.1;
  const auto over = [&](Way way) {
    const Offer offer = way == Way::bare ? Offer::last_session : Offer::nothing;
    return compare({Way::library, row.mechanism, identities, Offer::last_session},
                   {way, row.mechanism, identities, offer}, connections);
  };
  const std::string name = "/" + std::string(row.mechanism.name) + "/" + key;
  print_figure("cpu-over-kong" + name, over(Way::kong).ratio(), row.most_over_kong);
  print_figure("cpu-over-full-without-tickets" + name, over(Way::no_reuse).ratio());
  const Comparison bare = over(Way::bare);
  print_figure("cpu-over-bare" + name, bare.ratio(), most_over_bare);
  print_figure("cpu-microseconds-more-than-bare" + name, bare.ours - bare.theirs);
  for (const Offer offer : {Offer::nothing, Offer::last_session}) {
    const Comparison policies = compare({Way::policies, row.mechanism, identities, offer},
                                        {Way::facade, row.mechanism, identities, offer}, connections);
    const std::string kind = offer == Offer::nothing ? "/full" : "/resumed";
    print_figure("cpu-policies-over-facade" + kind + name, policies.ratio(), 1.02);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t connections = repetitions(argc, argv, 2000);
  const Identities ec = make_identities(test::Key::ec_p256, test::Key::ec_p256);
  for (const Case& row : {Case{ticket12, 0.30}, Case{stateless13, 0.70}, Case{stateful13, 0.30}}) {
    measure("ec", ec, row, connections);
  }
  const Identities rsa = make_identities(test::Key::rsa_2048, test::Key::ec_p256);
  for (const Case& row : {Case{ticket12, 0.22}, Case{stateless13, 0.50}, Case{stateful13, 0.20}}) {
    measure("rsa", rsa, row, connections);
  }
}

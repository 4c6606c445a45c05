// What single calls cost: reading the chain, over Kong's way; a verdict that is asked for again, over the first. The
// argument is the number of rounds.
#include <malloc.h>

#include <array>

#include "client_tls/client_tls.hpp"
#include "connection.hpp"
#include "figure.hpp"

using namespace bench;

namespace {

constexpr std::size_t calls_per_round = 100;

std::array<char, 65536> text;

// Two connections that have just been made, and a call on each. What the handshakes left in the processor's caches
// weighs on the first, which is not counted.
class Fresh {
 public:
  Fresh(SSL_CTX* server, Client& client) : first_(server, client, unmeasured_), second_(server, client, unmeasured_) {}

  template <class Call>
  double time(Call call) {
    use(call(first_));
    return nanoseconds([&] { use(call(second_)); });
  }

  [[nodiscard]] const Connection& connection() const { return second_; }

 private:
  Meter unmeasured_;
  Connection first_;
  Connection second_;
};

// Each of many calls on one connection.
template <class Call>
double time_of_each(const Connection& connection, Call call) {
  return nanoseconds([&] {
           for (std::size_t i = 0; i < calls_per_round; ++i) use(call(connection));
         }) /
         calls_per_round;
}

void measure_chain(const std::string& name, const Identities& identities, std::size_t rounds) {
  const auto server = make_server(Way::library, stateless13, identities);
  Client client{identities};
  const auto as_kong = [](const Connection& connection) { return read_chain_as_kong(connection.server(), text); };
  const auto as_library = [](const Connection& connection) { return connection.chain().size(); };
  std::vector<double> first;
  std::vector<double> again;
  std::vector<double> kong;
  for (std::size_t round = 0; round < rounds; ++round) {
    kong.push_back(Fresh{server.get(), client}.time(as_kong));
    Fresh fresh{server.get(), client};
    first.push_back(fresh.time(as_library));
    const Connection& connection = fresh.connection();
    again.push_back(time_of_each(connection, as_library));
    require(as_library(connection) == as_kong(connection), "the same text");
  }
  print_figure("chain-first-over-kong/" + name, undisturbed(first) / undisturbed(kong), 0.6);
  print_figure("chain-repeated-over-kong/" + name, undisturbed(again) / undisturbed(kong), 0.02);
  print_figure("chain-nanoseconds-kong/" + name, undisturbed(kong));
}

// The first call on a connection, and each of those that follow.
struct Repeated {
  double first;
  double again;
};

template <class Call>
Repeated repeat(SSL_CTX* server, Client& client, std::size_t rounds, Call call) {
  std::vector<double> first;
  std::vector<double> again;
  for (std::size_t round = 0; round < rounds; ++round) {
    Fresh fresh{server, client};
    first.push_back(fresh.time(call));
    again.push_back(time_of_each(fresh.connection(), call));
  }
  return {.first = undisturbed(first), .again = undisturbed(again)};
}

// Whether the client is authenticated, by the connection's policy where `policy` is null.
bool judge(const Connection& connection, const client_tls::ClientAuthPolicy* policy) {
  client_tls::PhaseContext context{client_tls::Phase::access};
  const client_tls::ClientTls tls{connection.server(), context};
  const auto verdict = policy != nullptr ? tls.verdict(*policy) : tls.verdict();
  return verdict.has_value() && verdict->success();
}

// The work behind a verdict is the verification of the chain. By another policy the first call does it, and there a
// later call can be held to a part of the first. For the connection's own the handshake did it: each call decides anew
// from what was found then, the first one too. So that one is held to a part of a verification as well, and what it is
// of its own first call is only shown.
void measure_verdict(const std::string& name, const Identities& identities, std::size_t rounds) {
  constexpr double most = 0.05;
  const auto server = make_server(Way::library, stateless13, identities);
  Client client{identities};
  const client_tls::PolicyPtr other = make_policy(identities.ca);
  {
    Meter unmeasured;
    const Connection connection{server.get(), client, unmeasured};
    require(judge(connection, nullptr) && judge(connection, other.get()), "verdicts");
  }
  const Repeated own =
      repeat(server.get(), client, rounds, [](const Connection& connection) { return judge(connection, nullptr); });
  const Repeated by_other = repeat(server.get(), client, rounds,
                                   [&](const Connection& connection) { return judge(connection, other.get()); });
  print_figure("verdict-repeated-over-first/by-another-policy/" + name, by_other.again / by_other.first, most);
  print_figure("verdict-repeated-over-first/own/" + name, own.again / own.first);
  print_figure("verdict-repeated-over-verification/own/" + name, own.again / by_other.first, most);
  print_figure("verdict-nanoseconds/own/" + name, own.again);
}

}  // namespace

int main(int argc, char** argv) {
  // A server's heap neither shrinks nor grows all the time.
  mallopt(M_TRIM_THRESHOLD, 64 * 1024 * 1024);
  mallopt(M_TOP_PAD, 64 * 1024 * 1024);
  const std::size_t rounds = repetitions(argc, argv, 500);
  for (const test::Key key : {test::Key::ec_p256, test::Key::rsa_2048}) {
    for (const std::size_t size : {1U, 2U, 4U}) {
      const Identities identities = make_identities(test::Key::ec_p256, key, size);
      const std::string name = key == test::Key::ec_p256 ? "ec/" : "rsa/";
      measure_chain(name + std::to_string(size), identities, rounds);
      measure_verdict(name + std::to_string(size), identities, rounds);
    }
  }
}

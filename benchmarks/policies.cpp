// Name tables: looking a name up, and replacing the table while handshakes run. The argument is the number of rounds.
#include <algorithm>
#include <atomic>
#include <random>
#include <thread>
#include <unordered_map>

#include "connection.hpp"
#include "figure.hpp"

using namespace bench;

namespace {

constexpr std::size_t lookups_per_round = 20'000;
constexpr std::size_t handshakes_per_round = 200;

// Names that clients ask for: those of the table, each wildcard with a label in place of its "*".
std::vector<std::string> asked_for() {
  std::vector<std::string> names = random_names();
  std::mt19937 random(11);  // NOLINT(cert-msc51-cpp): the same order each time
  std::ranges::shuffle(names, random);
  names.resize(lookups_per_round);
  for (std::string& name : names) {
    if (name.starts_with('*')) name.replace(0, 1, "host");
  }
  return names;
}

void measure_lookup(const client_tls::PolicyPtr& policy, std::size_t rounds) {
  const client_tls::PolicyTable table = make_table(policy);
  const std::vector<std::string> names = asked_for();
  std::vector<client_tls::ServerName> server_names;
  for (const auto& name : names) server_names.push_back(*client_tls::ServerName::parse(name));
  std::unordered_map<std::string, client_tls::PolicyPtr> map;
  for (std::string name : random_names()) {
    if (name.starts_with('*')) name.replace(0, 1, "host");
    map.emplace(std::move(name), policy);
  }
  std::vector<double> in_table;
  std::vector<double> in_map;
  std::vector<double> with_parsing;
  for (std::size_t round = 0; round < rounds; ++round) {
    in_map.push_back(nanoseconds([&] {
      for (const auto& name : names) use(map.find(name)->second);
    }));
    in_table.push_back(nanoseconds([&] {
      for (const auto& name : server_names) use(table.find(name));
    }));
    with_parsing.push_back(nanoseconds([&] {
      for (const auto& name : names) use(table.find(*client_tls::ServerName::parse(name)));
    }));
  }
  require(std::ranges::all_of(server_names, [&](const auto& name) { return table.find(name) == policy; }), "found");
  print_figure("lookup-over-unordered_map", undisturbed(in_table) / undisturbed(in_map), 2);
  print_figure("lookup-from-text-over-unordered_map", undisturbed(with_parsing) / undisturbed(in_map));
  print_figure("lookup-nanoseconds", undisturbed(in_table) / lookups_per_round);
}

// The slowest of some handshakes, in microseconds, the client's part included.
double slowest_handshake(SSL_CTX* server, Client& client) {
  Meter unmeasured;
  double slowest = 0;
  for (std::size_t i = 0; i < handshakes_per_round; ++i) {
    slowest = std::max(slowest, nanoseconds([&] { const Connection connection{server, client, unmeasured}; }) / 1000);
  }
  return slowest;
}

// The rounds take turns, so that what the machine does besides falls on both.
void measure_replacement(const Identities& identities, std::size_t rounds) {
  const auto policies = std::make_shared<client_tls::CurrentPolicies>(make_table(make_policy(identities.ca)));
  const auto server = make_server(Way::bare, stateless13, identities);
  require(client_tls::install(server.get(), policies).has_value(), "install");
  Client client{identities};
  (void)slowest_handshake(server.get(), client);
  std::vector<double> alone;
  std::vector<double> beside;
  std::atomic<int> replacements{0};
  for (std::size_t round = 0; round < rounds; ++round) {
    alone.push_back(slowest_handshake(server.get(), client));
    const std::jthread replacer([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        policies->replace(make_table(make_policy(identities.ca)));
        ++replacements;
      }
    });
    beside.push_back(slowest_handshake(server.get(), client));
  }
  print_figure("slowest-handshake-while-replacing-over-without", std::ranges::max(beside) / std::ranges::max(alone));
  print_figure("slowest-handshake-without-microseconds", std::ranges::max(alone));
  print_figure("replacements-meanwhile", replacements);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = repetitions(argc, argv, 40);
  const Identities identities = make_identities(test::Key::ec_p256, test::Key::ec_p256);
  measure_lookup(make_policy(identities.ca), rounds);
  measure_replacement(identities, rounds);
}

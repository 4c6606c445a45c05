// What one large revocation list costs under many names: time and memory of all policies made from it, over those of
// one; also where a second generation takes the first one's place. How long a handshake then waits.
#include <openssl/x509v3.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <thread>

#include "client_tls/install.hpp"
#include "client_tls/pem.hpp"
#include "client_tls/policy_table.hpp"
#include "connection.hpp"
#include "figure.hpp"
#include "hosts.hpp"
#include "support/allocations.hpp"
#include "support/pki.hpp"

using namespace bench;
using client_tls::ClientAuthPolicy;
using client_tls::PolicyPtr;

namespace {

constexpr int entries = 100'000;
constexpr std::size_t names = 20;

std::string make_list(const test::Certificate& ca, long number) {
  client_tls::X509CrlPtr crl = test::issue_list(ca, {.number = number});
  const client_tls::OpensslPtr<ASN1_TIME, ASN1_TIME_free> time{ASN1_TIME_set(nullptr, std::time(nullptr))};
  const client_tls::OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free> serial{ASN1_INTEGER_new()};
  for (int i = 0; i < entries; ++i) {
    // As long as CAs make them, and in no order.
    ASN1_INTEGER_set_uint64(serial.get(), static_cast<std::uint64_t>(i + 1) * 0x9E37'79B9'7F4A'7C15U);
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, serial.get());
    X509_REVOKED_set_revocationDate(entry, time.get());
    require(X509_CRL_add0_revoked(crl.get(), entry) == 1, "entry");
  }
  require(X509_CRL_sign(crl.get(), ca.key.get(), EVP_sha256()) > 0, "sign");
  return test::pem_of(*crl);
}

struct Cost {
  double time;
  double bytes;  // at the most
};

template <class T>
T value_of(client_tls::Result<T> result) {
  require(result.has_value(), "a list or a policy");
  return *std::move(result);
}

// Reads the file once, as a configuration does, and makes a policy for each name.
std::vector<PolicyPtr> load(const test::Certificate& ca, std::string_view pem, std::size_t count) {
  const auto lists = value_of(client_tls::parse_crls(pem));
  std::vector<PolicyPtr> policies;
  while (policies.size() < count) {
    client_tls::PolicyOptions options;
    options.request = client_tls::ClientAuth::required;
    options.depth = static_cast<int>(policies.size());  // each is another one
    X509_up_ref(ca.get());
    options.anchors.emplace_back(ca.get());
    for (const auto& list : lists) {
      X509_CRL_up_ref(list.get());
      options.crls.emplace_back(list.get());
    }
    policies.push_back(value_of(ClientAuthPolicy::make(std::move(options))));
  }
  return policies;
}

// While `pem` is in force already, if `reload`.
Cost cost_of(const test::Certificate& ca, std::string_view pem, std::string_view before, std::size_t count) {
  const auto in_force = before.empty() ? std::vector<PolicyPtr>() : load(ca, before, count);
  test::forget_peak();
  const std::size_t bytes = test::bytes_in_use();
  std::vector<PolicyPtr> policies;
  const double time = nanoseconds([&] { policies = load(ca, pem, count); });
  return {.time = time, .bytes = static_cast<double>(test::peak_bytes() - bytes)};
}

void compare(const char* name, const test::Certificate& ca, std::string_view pem, std::string_view before,
             std::size_t rounds) {
  std::vector<double> times[2];
  double bytes[2] = {};
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const bool many : {false, true}) {
      const Cost cost = cost_of(ca, pem, before, many ? names : 1);
      times[many].push_back(cost.time);
      bytes[many] = cost.bytes;
    }
  }
  const std::string suffix = std::string("/") + name;
  print_figure("list-time-of-20-names-over-one" + suffix, undisturbed(times[1]) / undisturbed(times[0]), 1.5);
  print_figure("list-bytes-of-20-names-over-one" + suffix, bytes[1] / bytes[0], 1.5);
}

// The slowest of some full handshakes, in microseconds, the client's part included; until `done`, if it is given.
double slowest_handshake(SSL_CTX* server, Client& client, const std::atomic<bool>* done = nullptr) {
  constexpr int handshakes = 4000;
  Meter unmeasured;
  double slowest = 0;
  for (int i = 0; done != nullptr ? !*done : i < handshakes; ++i) {
    slowest = std::max(slowest, nanoseconds([&] { const Connection connection{server, client, unmeasured}; }) / 1000);
  }
  return slowest;
}

client_tls::PolicyTable table_with(const test::Certificate& ca, std::string_view pem) {
  client_tls::PolicyTable table{nullptr, nullptr};
  require(table.add(service_name, load(ca, pem, 1).front()).has_value(), "table");
  return table;
}

void measure_pause(std::string_view first, std::string_view second, const Identities& identities, int replacements) {
  const auto policies = std::make_shared<client_tls::CurrentPolicies>(table_with(identities.ca, first));
  const auto server = make_server(Way::bare, stateless13, identities);
  require(client_tls::install(server.get(), policies).has_value(), "install");
  Client client{identities};
  const double alone = slowest_handshake(server.get(), client);
  std::atomic<bool> done{false};
  const std::jthread replacer([&] {
    for (int i = 0; i < replacements; ++i) {
      policies->replace(table_with(identities.ca, i % 2 == 0 ? second : first));
    }
    done = true;
  });
  const double beside = slowest_handshake(server.get(), client, &done);
  print_figure("slowest-handshake-while-lists-are-replaced-over-without", beside / alone);
  print_figure("slowest-handshake-while-lists-are-replaced-microseconds", beside);
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t rounds = repetitions(argc, argv, 10);
  const Identities identities = make_identities(test::Key::ec_p256, test::Key::ec_p256, 1);
  const test::Certificate& ca = identities.ca;
  const std::string first = make_list(ca, 1);
  const std::string second = make_list(ca, 2);
  compare("at-the-start", ca, first, "", rounds);
  compare("reloaded-the-same", ca, first, first, rounds);
  compare("reloaded-a-newer", ca, second, first, rounds);
  measure_pause(first, second, identities, static_cast<int>(10 * rounds));  // 100
}

// Many connections, half of them resumed, on each mechanism in turn: whether memory or file descriptors grow. The
// argument is the number of handshakes.
#include <malloc.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "connection.hpp"
#include "figure.hpp"
#include "support/allocations.hpp"

using namespace bench;

namespace {

constexpr long cached_sessions = 50;  // few, so that the caches are full before the first tenth is over

struct Host {
  client_tls::SslCtxPtr server;
  std::unique_ptr<Client> client;
};

struct Level {
  double bytes = 0;     // in use by OpenSSL and C++
  double resident = 0;  // pages of the process, in bytes
  double file_descriptors = 0;
};

double resident_bytes() {
  constexpr double page_size = 4096;
  std::ifstream statm("/proc/self/statm");
  double total = 0;
  double resident = 0;
  require(static_cast<bool>(statm >> total >> resident), "/proc/self/statm");
  return resident * page_size;
}

Level level() {
  const std::filesystem::directory_iterator open_files("/proc/self/fd");
  return {.bytes = static_cast<double>(test::bytes_in_use()),
          .resident = resident_bytes(),
          .file_descriptors = static_cast<double>(std::distance(begin(open_files), end(open_files)))};
}

void connect(const Host& host, Offer offer) {
  Meter unmeasured;
  const Connection connection{host.server.get(), *host.client, unmeasured, offer};
  require(!connection.chain().empty(), "chain");
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t handshakes = repetitions(argc, argv, 200'000);
  const Identities identities = make_identities(test::Key::ec_p256, test::Key::ec_p256);
  std::vector<Host> hosts;
  for (const Mechanism& mechanism : {id12, ticket12, stateless13, stateful13}) {
    hosts.push_back({make_server(Way::library, mechanism, identities), std::make_unique<Client>(identities)});
    SSL_CTX_sess_set_cache_size(hosts.back().server.get(), cached_sessions);
  }
  Level first;
  Level most;
  for (std::size_t i = 0; i < handshakes; i += 2) {
    const Host& host = hosts[i / 2 % hosts.size()];
    connect(host, Offer::nothing);
    connect(host, Offer::last_session);
    if ((i + 2) % std::max<std::size_t>(handshakes / 10 & ~std::size_t{1}, 2) != 0) continue;
    const Level now = level();
    if (first.bytes == 0) first = most = now;
    most = {.bytes = std::max(most.bytes, now.bytes),
            .resident = std::max(most.resident, now.resident),
            .file_descriptors = std::max(most.file_descriptors, now.file_descriptors)};
    std::cerr << i + 2 << " handshakes: " << now.bytes << " bytes in use, " << now.resident << " resident, "
              << now.file_descriptors << " file descriptors\n";
  }
  constexpr double mebibyte = 1024.0 * 1024;
  print_figure("soak/handshakes", static_cast<double>(handshakes));
  print_figure("soak/bytes-in-use-growth", most.bytes - first.bytes, mebibyte);
  print_figure("soak/resident-bytes-growth", most.resident - first.resident, mebibyte);
  print_figure("soak/file-descriptors-growth", most.file_descriptors - first.file_descriptors, 0);
}

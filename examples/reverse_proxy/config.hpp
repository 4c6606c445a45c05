// What the configuration file says, checked, with everything that it names loaded.
#pragma once

#include <chrono>
#include <client_tls/install.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace reverse_proxy {

struct Endpoint {
  std::string address;  // an IP address, in the form in which Asio writes it
  std::uint16_t port = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct Upstream {
  std::string name;
  Endpoint endpoint;
};

// One server name of one listener: what it asks of its clients, and what becomes of their requests.
struct Site {
  client_tls::PolicyPtr policy;
  bool forward_client_certificate = false;
  const Upstream* upstream = nullptr;
};

struct ListenerConfig {
  // The site of a server name, by the library's own rules; null: the name is refused.
  [[nodiscard]] const Site* find_site(const client_tls::ServerName& name) const;

  Endpoint endpoint;
  client_tls::SslCtxPtr ssl_ctx;
  bool shares_tickets = false;  // its ticket key is from a file
  client_tls::PolicyTable policies{nullptr, nullptr};
  std::unordered_map<const client_tls::ClientAuthPolicy*, Site> sites;  // each has a policy object of its own
};

struct TimeLimits {
  std::chrono::seconds handshake{10};
  std::chrono::seconds header{10};    // for a request's head, from its first byte
  std::chrono::seconds idle{60};      // between two requests
  std::chrono::seconds body{30};      // between two pieces of a body
  std::chrono::seconds upstream{30};  // to connect, and for each step of the response
  std::chrono::seconds shutdown{10};  // for running requests, after SIGTERM
};

struct Config {
  unsigned threads = 0;  // 0: one per core
  std::string log;       // a file's path, or "-" for standard output
  TimeLimits time_limits;
  std::map<std::string, Upstream> upstreams;
  std::vector<ListenerConfig> listeners;
  std::vector<std::string> warnings;  // a line each, with its place: what time alone makes wrong, or is of no use
};

// Throws ConfigError, whose what() names the place and the mistake. Paths in the file are relative to the file.
Config read_config(const std::filesystem::path& file);

}  // namespace reverse_proxy

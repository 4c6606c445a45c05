// What the configuration file says, checked, with everything that it names loaded.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "certificates.hpp"

namespace reverse_proxy {

struct Upstream {
  std::string name;
  boost::asio::ip::tcp::endpoint endpoint;
};

enum class ClientCertificate : std::uint8_t { off, optional, required };

// One server name of one listener, and what it asks of its clients.
struct Site {
  std::string server_name;
  ClientCertificate client_certificate = ClientCertificate::off;
  Anchors anchors;  // empty where nothing is asked
  bool session_reuse = true;
  bool forward_client_certificate = false;
  const Upstream* upstream = nullptr;
  std::string scope;  // of its sessions: everything that decides who may resume
};

struct ListenerConfig {
  boost::asio::ip::tcp::endpoint endpoint;
  client_tls::SslCtxPtr ssl_ctx;
  std::map<std::string, Site, std::less<>> sites;  // by server name, in lower case

  [[nodiscard]] const Site* find_site(std::string_view server_name) const;
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
};

// Throws ConfigError, whose what() names the place and the mistake. Paths in the file are relative to the file.
Config read_config(const std::filesystem::path& file);

// ASCII letters in lower case.
std::string lower_case(std::string_view text);

}  // namespace reverse_proxy

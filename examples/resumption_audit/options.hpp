// The command line, checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "mechanism.hpp"

namespace resumption_audit {

// A mistake in the command line: "--name a..b: is no server name: ...".
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// As it stands in the command line.
struct Arguments {
  std::string connect;
  std::vector<std::string> names;
  std::vector<std::string> certificates;
  std::string tls;  // empty: both versions
  std::string path = "/";
  int timeout_s = 5;
  bool no_http = false;
  bool json = false;
};

struct CertificateFiles {
  std::string label;  // what the reports call it
  std::string certificate;
  std::string key;
};

struct Options {
  std::string host;  // without the brackets of an IPv6 address
  std::uint16_t port = 0;
  std::vector<std::string> names;  // in lower case
  std::vector<CertificateFiles> certificates;
  std::vector<Mechanism> mechanisms;
  std::string path;
  std::chrono::seconds timeout{};
  bool http = true;
};

inline constexpr std::size_t max_names = 16;
inline constexpr std::size_t max_certificates = 8;
inline constexpr int max_timeout_s = 60;
inline constexpr std::size_t max_path_size = 1024;

// Throws UsageError.
Options check(const Arguments& arguments);

}  // namespace resumption_audit

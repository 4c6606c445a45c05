// The PEM files that one reading of the configuration names: each is read once, however many names have it.
#pragma once

#include <client_tls/openssl_ptr.hpp>
#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "config_node.hpp"

namespace reverse_proxy {

// What a file has: certificates or revocation lists.
struct PemFile {
  // Which one it is, as an operator can find it: "certificate 2 (subject CN=Some CA)", counted from 1.
  [[nodiscard]] std::string describe(std::size_t position) const;

  std::filesystem::path path;
  std::vector<client_tls::X509Ptr> certificates;
  std::vector<client_tls::X509CrlPtr> lists;
};

// A reference of one's own to each.
std::vector<client_tls::X509Ptr> share(const std::vector<client_tls::X509Ptr>& certificates);
std::vector<client_tls::X509CrlPtr> share(const std::vector<client_tls::X509CrlPtr>& lists);

class PemFiles {
 public:
  // `folder`: what paths are relative to.
  explicit PemFiles(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // The file that a member names; valid as long as this object. Throws ConfigError at the member, with the path and the
  // line.
  const PemFile& certificates(const ConfigNode& member);
  const PemFile& lists(const ConfigNode& member);

 private:
  using Files = std::map<std::filesystem::path, PemFile>;

  std::filesystem::path folder_;
  Files certificates_;
  Files lists_;
};

}  // namespace reverse_proxy

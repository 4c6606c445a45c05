// What the library says of a policy's options, said of the members of the configuration that they are from.
#pragma once

#include <client_tls/policy.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config_node.hpp"
#include "pem_files.hpp"

namespace reverse_proxy {

// The files that options are from; null where there is none.
struct PolicyFiles {
  const PemFile* anchors = nullptr;
  const PemFile* intermediates = nullptr;
  const PemFile* hints = nullptr;
  const PemFile* crls = nullptr;
};

class PolicyRemarks {
 public:
  // `site`: the server name's members.
  PolicyRemarks(ConfigNode site, const PolicyFiles& files) : site_(std::move(site)), files_(files) {}

  // Throws ConfigError.
  [[noreturn]] void fail(const client_tls::Error& error) const;

  // One line, as an error has it, with "warning: " before what is said.
  [[nodiscard]] std::string line(const client_tls::PolicyWarning& warning) const;

 private:
  [[nodiscard]] std::optional<ConfigNode> find_member(std::string_view option) const;

  ConfigNode site_;
  PolicyFiles files_;
};

}  // namespace reverse_proxy

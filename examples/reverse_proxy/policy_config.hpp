// What a server name asks of its clients, as the configuration says it.
#pragma once

#include <client_tls/install.hpp>
#include <filesystem>

#include "config_node.hpp"

namespace reverse_proxy {

// The policy of a server name from its members; `folder` is what paths in them are relative to. Throws ConfigError.
client_tls::PolicyPtr read_policy(const ConfigNode& node, const std::filesystem::path& folder);

}  // namespace reverse_proxy

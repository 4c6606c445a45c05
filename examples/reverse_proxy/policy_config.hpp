// What a server name asks of its clients, as the configuration says it.
#pragma once

#include <array>
#include <client_tls/install.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "config_node.hpp"
#include "pem_files.hpp"

namespace reverse_proxy {

// The members that say it.
inline constexpr auto policy_members = std::to_array<std::string_view>(
    {"client_certificate", "refuse", "ca_file", "partial_chain", "intermediate_file", "crl_file", "hint_file",
     "purpose", "expired_tolerance_s", "security_level", "depth", "session_reuse", "resume_without_certificate",
     "max_age_s", "tickets", "max_chain_bytes", "max_chain_certificates", "max_carried_bytes"});

// The policy of a server name from its members. What is wrong with it by time alone, or of no use in it, is added to
// `warnings`, a line each. Throws ConfigError.
client_tls::PolicyPtr read_policy(const ConfigNode& node, PemFiles& files, std::vector<std::string>& warnings);

}  // namespace reverse_proxy

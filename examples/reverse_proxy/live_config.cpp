#include "live_config.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "config_node.hpp"
#include "server_context.hpp"

namespace reverse_proxy {
namespace {

// The first member of a listener that differs and cannot be replaced while the proxy runs.
std::optional<std::string> fixed_difference(const ListenerConfig& before, const ListenerConfig& after) {
  if (before.endpoint.address != after.endpoint.address) return "address";
  if (before.endpoint.port != after.endpoint.port) return "port";
  if (!same_certificate(before.ssl_ctx.get(), after.ssl_ctx.get())) return "certificate";
  const bool one_shares = before.shares_tickets || after.shares_tickets;  // those who do not have keys of their own
  if (one_shares && !same_ticket_key(before.ssl_ctx.get(), after.ssl_ctx.get())) return "ticket_key_file";
  return std::nullopt;
}

// The same, with its place in the file.
std::optional<std::string> fixed_difference(const Config& before, const Config& after) {
  if (before.threads != after.threads) return "/threads";
  if (before.log != after.log) return "/log";
  if (before.listeners.size() != after.listeners.size()) return "/listeners";
  for (std::size_t i = 0; i < before.listeners.size(); ++i) {
    const auto member = fixed_difference(before.listeners[i], after.listeners[i]);
    if (member) return "/listeners/" + std::to_string(i) + "/" + *member;
  }
  return std::nullopt;
}

}  // namespace

LiveConfig::LiveConfig(std::filesystem::path file) : file_(std::move(file)) {
  const auto config = std::make_shared<const Config>(read_config(file_));
  for (const auto& listener : config->listeners) {
    policies_.push_back(std::make_shared<client_tls::CurrentPolicies>(listener.policies));
  }
  config_.store(config);
}

// Nothing fails once something has been replaced. Between the two steps a handshake may still get a policy that its
// requests find replaced, as it may a moment earlier: they notice (Exchange::access).
void LiveConfig::reload() {
  const auto config = std::make_shared<const Config>(read_config(file_));
  if (const auto place = fixed_difference(*get(), *config)) {
    throw ConfigError(file_.string() + ": " + *place + ": has changed, which needs a restart");
  }
  std::vector<client_tls::PolicyTable> tables;
  tables.reserve(config->listeners.size());
  for (const auto& listener : config->listeners) tables.push_back(listener.policies);
  replaced_.push_back(get());
  config_.store(config);
  for (std::size_t i = 0; i < tables.size(); ++i) policies_[i]->replace(std::move(tables[i]));
  collect();
}

void LiveConfig::collect() noexcept {
  const auto unused = [](const std::shared_ptr<const Config>& config) { return config.use_count() == 1; };
  replaced_.erase(std::remove_if(replaced_.begin(), replaced_.end(), unused), replaced_.end());
  for (const auto& policies : policies_) policies->collect();
}

}  // namespace reverse_proxy

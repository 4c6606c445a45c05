#include "config.hpp"

#include <boost/asio/ip/address.hpp>
#include <utility>

#include "config_node.hpp"
#include "policy_config.hpp"
#include "server_context.hpp"

namespace reverse_proxy {
namespace {

constexpr long max_port = 65535;
constexpr long max_seconds = 86'400;
constexpr long max_threads = 1024;
constexpr std::string_view any_name = "*";

Endpoint read_endpoint(const ConfigNode& node, long min_port) {
  const ConfigNode address = node.member("address");
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address.text(), error);
  if (error) address.fail("must be an IP address");
  return {parsed.to_string(), static_cast<std::uint16_t>(node.member("port").number(min_port, max_port))};
}

void read_seconds(const ConfigNode& node, std::string_view name, std::chrono::seconds& limit) {
  if (const auto value = node.find(name)) limit = std::chrono::seconds(value->number(1, max_seconds));
}

TimeLimits read_time_limits(const ConfigNode& node) {
  node.expect_only({"handshake_s", "header_s", "idle_s", "body_s", "upstream_s", "shutdown_s"});
  TimeLimits limits;
  read_seconds(node, "handshake_s", limits.handshake);
  read_seconds(node, "header_s", limits.header);
  read_seconds(node, "idle_s", limits.idle);
  read_seconds(node, "body_s", limits.body);
  read_seconds(node, "upstream_s", limits.upstream);
  read_seconds(node, "shutdown_s", limits.shutdown);
  return limits;
}

class ConfigReader {
 public:
  explicit ConfigReader(const std::filesystem::path& file)
      : file_(file), folder_(file.parent_path()), files_(folder_) {}

  Config read() {
    const auto json = read_json(file_);
    const ConfigNode root(json, file_.string());
    root.expect_only({"threads", "log", "time_limits", "upstreams", "listeners"});
    Config config;
    config.threads = static_cast<unsigned>(root.find("threads") ? root.member("threads").number(0, max_threads) : 0);
    config.log = root.find("log") ? root.member("log").text() : "-";
    if (config.log != "-") config.log = (folder_ / config.log).string();
    if (const auto limits = root.find("time_limits")) config.time_limits = read_time_limits(*limits);
    for (const auto& [name, node] : root.member("upstreams").members()) {
      node.expect_only({"address", "port"});
      config.upstreams[name] = {.name = name, .endpoint = read_endpoint(node, 1)};
    }
    for (const ConfigNode& node : root.member("listeners").elements()) {
      config.listeners.push_back(read_listener(node, config));
    }
    config.warnings = std::move(warnings_);
    return config;
  }

 private:
  ListenerConfig read_listener(const ConfigNode& node, const Config& config) {
    node.expect_only({"address", "port", "certificate", "private_key", "ticket_key_file", "server_names"});
    ListenerConfig listener;
    listener.endpoint = read_endpoint(node, 0);
    const auto certificate = folder_ / node.member("certificate").text();
    const auto key = folder_ / node.member("private_key").text();
    try {
      listener.ssl_ctx = make_server_context(certificate, key);
    } catch (const std::runtime_error& error) {
      node.fail(error.what());
    }
    if (const auto file = node.find("ticket_key_file")) read_ticket_key(*file, listener);
    read_server_names(node.member("server_names"), listener, config);
    return listener;
  }

  void read_ticket_key(const ConfigNode& file, ListenerConfig& listener) {
    try {
      use_ticket_key(listener.ssl_ctx.get(), folder_ / file.text());
      listener.shares_tickets = true;
    } catch (const std::runtime_error& error) {
      file.fail(error.what());
    }
  }

  void read_server_names(const ConfigNode& names, ListenerConfig& listener, const Config& config) {
    if (const auto any = names.find(any_name)) listener.policies = {read_site(*any, listener, config), nullptr};
    for (const auto& [name, node] : names.members()) {
      if (name == any_name) continue;
      const auto added = listener.policies.add(name, read_site(node, listener, config));
      if (!added) node.fail(std::string(added.error().message));
    }
  }

  // Puts the site into the listener, under the policy that it returns.
  client_tls::PolicyPtr read_site(const ConfigNode& node, ListenerConfig& listener, const Config& config) {
    std::vector<std::string_view> members(policy_members.begin(), policy_members.end());
    members.insert(members.end(), {"forward_client_certificate", "upstream"});
    node.expect_only(members);
    Site site{.policy = read_policy(node, files_, warnings_)};
    const ConfigNode upstream = node.member("upstream");
    const auto found = config.upstreams.find(upstream.text());
    if (found == config.upstreams.end()) upstream.fail("there is no upstream of this name");
    site.upstream = &found->second;
    if (const auto forward = node.find("forward_client_certificate")) {
      site.forward_client_certificate = forward->flag();
      if (site.forward_client_certificate && site.policy->options().request == client_tls::ClientAuth::none) {
        forward->fail("there is nothing to forward where client_certificate is \"off\"");
      }
    }
    const auto policy = site.policy;
    listener.sites.emplace(policy.get(), std::move(site));
    return policy;
  }

  std::filesystem::path file_;
  std::filesystem::path folder_;
  PemFiles files_;
  std::vector<std::string> warnings_;
};

}  // namespace

const Site* ListenerConfig::find_site(const client_tls::ServerName& name) const {
  const auto found = sites.find(policies.find(name).get());
  return found == sites.end() ? nullptr : &found->second;
}

Config read_config(const std::filesystem::path& file) {
  return ConfigReader(file).read();
}

}  // namespace reverse_proxy

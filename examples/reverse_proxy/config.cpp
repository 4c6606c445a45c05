#include "config.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <utility>

#include "config_node.hpp"

namespace reverse_proxy {
namespace {

using boost::asio::ip::tcp;
constexpr long max_port = 65535;
constexpr long max_seconds = 86'400;
constexpr long max_threads = 1024;

tcp::endpoint read_endpoint(const ConfigNode& node, long min_port) {
  const ConfigNode address = node.member("address");
  boost::system::error_code error;
  const auto parsed = boost::asio::ip::make_address(address.text(), error);
  if (error) address.fail("must be an IP address");
  return {parsed, static_cast<std::uint16_t>(node.member("port").number(min_port, max_port))};
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

ClientCertificate read_mode(const ConfigNode& node) {
  const std::string mode = node.text();
  if (mode == "off") return ClientCertificate::off;
  if (mode == "optional") return ClientCertificate::optional;
  if (mode == "required") return ClientCertificate::required;
  node.fail(R"(must be "off", "optional" or "required")");
}

std::string read_server_name(const std::string& name, const ConfigNode& node) {
  constexpr std::size_t max_size = 253;  // of a DNS name in text
  const auto allowed = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  std::string lower = lower_case(name);
  if (lower.empty() || lower.size() > max_size || lower.starts_with('.') || lower.ends_with('.') ||
      !std::ranges::all_of(lower, allowed)) {
    node.fail("is no server name: 1 to 253 letters, digits, hyphens and dots, with no dot at the end");
  }
  return lower;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file), folder_(file.parent_path()) {}

  Config read() {
    const auto json = read_json(file_);
    const ConfigNode root(json, file_.string() + ": ");
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
    return config;
  }

 private:
  ListenerConfig read_listener(const ConfigNode& node, const Config& config) {
    node.expect_only({"address", "port", "certificate", "private_key", "server_names"});
    ListenerConfig listener;
    listener.endpoint = read_endpoint(node, 0);
    const auto certificate = folder_ / node.member("certificate").text();
    const auto key = folder_ / node.member("private_key").text();
    try {
      listener.ssl_ctx = make_server_context(certificate, key);
    } catch (const std::runtime_error& error) {
      node.fail(error.what());
    }
    for (const auto& [name, site_node] : node.member("server_names").members()) {
      Site site = read_site(read_server_name(name, site_node), site_node, config);
      std::string key_name = site.server_name;
      if (!listener.sites.emplace(std::move(key_name), std::move(site)).second) {
        site_node.fail("this server name is there already, in other letters");
      }
    }
    return listener;
  }

  Site read_site(std::string server_name, const ConfigNode& node, const Config& config) {
    node.expect_only({"client_certificate", "ca_file", "upstream", "session_reuse", "forward_client_certificate"});
    Site site;
    site.server_name = std::move(server_name);
    site.client_certificate = read_mode(node.member("client_certificate"));
    const ConfigNode upstream = node.member("upstream");
    const auto found = config.upstreams.find(upstream.text());
    if (found == config.upstreams.end()) upstream.fail("there is no upstream of this name");
    site.upstream = &found->second;
    if (const auto reuse = node.find("session_reuse")) site.session_reuse = reuse->flag();
    if (const auto forward = node.find("forward_client_certificate")) {
      site.forward_client_certificate = forward->flag();
      if (site.forward_client_certificate && site.client_certificate == ClientCertificate::off) {
        forward->fail("there is nothing to forward where client_certificate is \"off\"");
      }
    }
    read_ca_file(site, node);
    site.scope = scope_of(site);
    return site;
  }

  void read_ca_file(Site& site, const ConfigNode& node) {
    const auto file = node.find("ca_file");
    if (site.client_certificate == ClientCertificate::off) {
      if (file) file->fail("means nothing where client_certificate is \"off\"");
      return;
    }
    const ConfigNode required = node.member("ca_file");
    const auto path = folder_ / required.text();
    try {
      site.anchors = read_anchors(path);
    } catch (const std::runtime_error& error) {
      required.fail(path.string() + " " + error.what());
    }
  }

  // Whatever decides what a client must prove: a session made under other rules does not resume.
  static std::string scope_of(const Site& site) {
    std::string scope = site.server_name;
    scope += '\n';
    scope += std::to_string(static_cast<int>(site.client_certificate));
    scope += site.session_reuse ? "+" : "-";
    return scope + site.anchors.digest;
  }

  std::filesystem::path file_;
  std::filesystem::path folder_;
};

}  // namespace

const Site* ListenerConfig::find_site(std::string_view server_name) const {
  const auto found = sites.find(server_name);
  return found == sites.end() ? nullptr : &found->second;
}

Config read_config(const std::filesystem::path& file) {
  return Reader(file).read();
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c); });
  return lower;
}

}  // namespace reverse_proxy

#include "policy_config.hpp"

#include <client_tls/pem.hpp>
#include <limits>
#include <system_error>

namespace reverse_proxy {
namespace {

using client_tls::ClientAuth;
using client_tls::Errc;
using client_tls::PolicyOptions;
using client_tls::Refusal;

constexpr long max_depth = 99;
constexpr long max_tickets = 16;
constexpr std::size_t default_tickets = 2;
constexpr long longest_max_age = std::numeric_limits<std::int32_t>::max();

ClientAuth read_request(const ConfigNode& node) {
  const std::string mode = node.text();
  if (mode == "off") return ClientAuth::none;
  if (mode == "optional") return ClientAuth::optional;
  if (mode == "required") return ClientAuth::required;
  node.fail(R"(must be "off", "optional" or "required")");
}

Refusal read_refusal(const ConfigNode& node) {
  const std::string place = node.text();
  if (place == "handshake") return Refusal::handshake;
  if (place == "request") return Refusal::host;
  node.fail(R"(must be "handshake" or "request")");
}

// A member that would be ignored is a mistake: somebody relies on it.
void expect_none(const ConfigNode& node, std::initializer_list<std::string_view> names, const std::string& why) {
  for (const auto name : names) {
    if (const auto member = node.find(name)) member->fail("means nothing " + why);
  }
}

std::string text_of(const client_tls::Error& error) {
  std::string text(error.message);
  if (error.code == Errc::unreadable) text += ": " + std::generic_category().message(error.openssl_reason);
  return text;
}

class PolicyReader {
 public:
  PolicyReader(const ConfigNode& node, const std::filesystem::path& folder) : node_(node), folder_(folder) {}

  client_tls::PolicyPtr read() {
    options_.request = read_request(node_.member("client_certificate"));
    if (options_.request == ClientAuth::none) {
      expect_none(node_, {"ca_file", "crl_file", "hint_file", "depth", "max_age_s"},
                  "where client_certificate is \"off\"");
    } else {
      read_trust();
    }
    read_refusal();
    read_resumption();
    return make();
  }

 private:
  void read_trust() {
    options_.anchors = read_pem(node_.member("ca_file"), client_tls::read_certificates);
    if (const auto file = node_.find("crl_file")) options_.crls = read_pem(*file, client_tls::read_crls);
    if (const auto file = node_.find("hint_file")) options_.hints = read_pem(*file, client_tls::read_certificates);
    if (const auto depth = node_.find("depth")) options_.depth = static_cast<int>(depth->number(0, max_depth));
  }

  void read_refusal() {
    options_.refusal = Refusal::host;
    if (options_.request != ClientAuth::required) {
      expect_none(node_, {"refuse"}, "unless client_certificate is \"required\"");
    } else if (const auto place = node_.find("refuse")) {
      options_.refusal = reverse_proxy::read_refusal(*place);
    }
  }

  void read_resumption() {
    if (const auto reuse = node_.find("session_reuse")) options_.resumption = reuse->flag();
    if (!options_.resumption) expect_none(node_, {"max_age_s", "tickets"}, "where session_reuse is false");
    if (const auto age = node_.find("max_age_s")) {
      options_.max_age = std::chrono::seconds(age->number(1, longest_max_age));
    }
    // The SSL_CTX allows the most that a policy can want.
    options_.tickets = default_tickets;
    if (const auto tickets = node_.find("tickets")) {
      options_.tickets = static_cast<std::size_t>(tickets->number(1, max_tickets));
    }
  }

  template <class T>
  std::vector<T> read_pem(const ConfigNode& file,
                          client_tls::Result<std::vector<T>> (*read_file)(const std::filesystem::path&)) const {
    const auto path = folder_ / file.text();
    auto all = read_file(path);
    if (!all) file.fail(path.string() + ": " + text_of(all.error()));
    return *std::move(all);
  }

  // What is left to go wrong is about the anchors: the rest has been checked, member by member.
  client_tls::PolicyPtr make() {
    auto policy = client_tls::ClientAuthPolicy::make(std::move(options_));
    if (!policy) node_.find("ca_file").value_or(node_).fail(text_of(policy.error()));
    return *std::move(policy);
  }

  const ConfigNode& node_;
  const std::filesystem::path& folder_;
  PolicyOptions options_;
};

}  // namespace

client_tls::PolicyPtr read_policy(const ConfigNode& node, const std::filesystem::path& folder) {
  return PolicyReader(node, folder).read();
}

}  // namespace reverse_proxy

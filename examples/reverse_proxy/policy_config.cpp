#include "policy_config.hpp"

#include <limits>
#include <optional>
#include <utility>

#include "policy_remarks.hpp"

namespace reverse_proxy {
namespace {

using client_tls::ClientAuth;
using client_tls::Limits;
using client_tls::PolicyOptions;
using client_tls::Purpose;
using client_tls::Refusal;

constexpr long max_depth = 99;
constexpr long max_security_level = 5;
constexpr long max_tickets = 16;
constexpr long max_certificates = 100;
constexpr std::size_t default_tickets = 2;
constexpr long longest_time = std::numeric_limits<std::int32_t>::max();

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

Purpose read_purpose(const ConfigNode& node) {
  const std::string purpose = node.text();
  if (purpose == "client") return Purpose::client;
  if (purpose == "client_or_server") return Purpose::client_or_server;
  node.fail(R"(must be "client" or "client_or_server")");
}

// A member that would be ignored is a mistake: somebody relies on it.
void expect_none(const ConfigNode& node, std::initializer_list<std::string_view> names, const std::string& why) {
  for (const auto name : names) {
    if (const auto member = node.find(name)) member->fail("means nothing " + why);
  }
}

class PolicyReader {
 public:
  PolicyReader(const ConfigNode& node, PemFiles& files) : node_(node), files_(files) {}

  client_tls::PolicyPtr read(std::vector<std::string>& warnings) {
    options_.request = read_request(node_.member("client_certificate"));
    if (options_.request == ClientAuth::none) {
      expect_none(
          node_,
          {"ca_file", "partial_chain", "intermediate_file", "crl_file", "hint_file", "purpose", "expired_tolerance_s",
           "security_level", "depth", "max_age_s", "max_chain_bytes", "max_chain_certificates", "max_carried_bytes"},
          "where client_certificate is \"off\"");
    } else {
      read_certificates();
      read_rules();
    }
    read_refusal();
    read_resumption();
    return make(warnings);
  }

 private:
  void read_certificates() {
    used_.anchors = &files_.certificates(node_.member("ca_file"));
    options_.anchors = share(used_.anchors->certificates);
    if (const auto file = node_.find("intermediate_file")) {
      used_.intermediates = &files_.certificates(*file);
      options_.intermediates = share(used_.intermediates->certificates);
    }
    if (const auto file = node_.find("crl_file")) {
      used_.crls = &files_.lists(*file);
      options_.crls = share(used_.crls->lists);
    }
    if (const auto file = node_.find("hint_file")) read_hints(*file);
  }

  void read_hints(const ConfigNode& file) {
    options_.hints.emplace();
    if (file.is_false()) return;
    used_.hints = &files_.certificates(file);
    options_.hints = share(used_.hints->certificates);
  }

  void read_rules() {
    if (const auto partial = node_.find("partial_chain")) options_.partial_chain = partial->flag();
    if (const auto purpose = node_.find("purpose")) options_.purpose = read_purpose(*purpose);
    if (const auto level = node_.find("security_level")) {
      options_.security_level = static_cast<int>(level->number(0, max_security_level));
    }
    if (const auto depth = node_.find("depth")) options_.depth = static_cast<int>(depth->number(0, max_depth));
    if (const auto tolerance = node_.find("expired_tolerance_s")) {
      options_.expired_tolerance = std::chrono::seconds(tolerance->number(0, longest_time));
    }
    read_limit("max_chain_bytes", 1, Limits::max_limit_bytes, options_.limits.max_chain_bytes);
    read_limit("max_chain_certificates", 1, max_certificates, options_.limits.max_chain_certificates);
  }

  void read_limit(std::string_view name, long min, long max, std::size_t& limit) {
    if (const auto member = node_.find(name)) limit = static_cast<std::size_t>(member->number(min, max));
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
    if (!options_.resumption) {
      expect_none(node_, {"max_age_s", "tickets", "resume_without_certificate", "max_carried_bytes"},
                  "where session_reuse is false");
    }
    if (const auto age = node_.find("max_age_s")) options_.max_age = std::chrono::seconds(age->number(1, longest_time));
    // The SSL_CTX allows the most that a policy can want.
    options_.tickets = default_tickets;
    if (const auto tickets = node_.find("tickets")) {
      options_.tickets = static_cast<std::size_t>(tickets->number(1, max_tickets));
    }
    if (options_.request != ClientAuth::optional) {
      expect_none(node_, {"resume_without_certificate"}, "unless client_certificate is \"optional\"");
    } else if (const auto resume = node_.find("resume_without_certificate")) {
      options_.resume_without_certificate = resume->flag();
    }
    read_limit("max_carried_bytes", 0, Limits::max_limit_bytes, options_.limits.max_carried_bytes);
  }

  // What is left to go wrong is about the files: the rest has been checked, member by member.
  client_tls::PolicyPtr make(std::vector<std::string>& warnings) {
    const PolicyRemarks remarks{node_, used_};
    auto policy = client_tls::ClientAuthPolicy::make(std::move(options_));
    if (!policy) remarks.fail(policy.error());
    for (const auto& warning : (*policy)->warnings()) warnings.push_back(remarks.line(warning));
    return *std::move(policy);
  }

  const ConfigNode& node_;
  PemFiles& files_;
  PolicyFiles used_;
  PolicyOptions options_;
};

}  // namespace

client_tls::PolicyPtr read_policy(const ConfigNode& node, PemFiles& files, std::vector<std::string>& warnings) {
  return PolicyReader(node, files).read(warnings);
}

}  // namespace reverse_proxy

#include "support/policies.hpp"

#include <stdexcept>
#include <tuple>

namespace test {

using namespace client_tls;

std::vector<X509Ptr> share(std::initializer_list<const Certificate*> certificates) {
  std::vector<X509Ptr> shared;
  for (const Certificate* certificate : certificates) {
    X509_up_ref(certificate->get());
    shared.emplace_back(certificate->get());
  }
  return shared;
}

std::string_view to_string(ClientAuth request) {
  if (request == ClientAuth::none) return "none";
  return request == ClientAuth::optional ? "optional" : "required";
}

std::string_view to_string(Refusal refusal) {
  return refusal == Refusal::handshake ? "handshake" : "host";
}

PolicyOptions asking(ClientAuth request) {
  return asking(request, {&Pki::get().ca1});
}

PolicyOptions asking(ClientAuth request, std::initializer_list<const Certificate*> anchors) {
  PolicyOptions options;
  options.request = request;
  options.anchors = share(anchors);
  return options;
}

PolicyOptions requiring(Refusal refusal) {
  PolicyOptions options = asking(ClientAuth::required);
  options.refusal = refusal;
  return options;
}

std::vector<X509CrlPtr> empty_crls() {
  static const X509CrlPtr first = issue_crl(Pki::get().ca1);
  static const X509CrlPtr second = issue_crl(Pki::get().ca2);
  std::vector<X509CrlPtr> crls;
  for (X509_CRL* crl : {first.get(), second.get()}) {
    X509_CRL_up_ref(crl);
    crls.emplace_back(crl);
  }
  return crls;
}

// One that is added to PolicyOptions, or to Limits, does not compile here until it has its line.
std::span<const PolicyChange> policy_changes() {
  const auto& [request, refusal, anchors, partial_chain, intermediates, hints, crls, purpose, expired_tolerance,
               security_level, depth, max_age, tickets, resumption, resume_without_certificate, limits] =
      PolicyOptions{};
  const auto& [chain_bytes, chain_certificates, carried_bytes] = limits;
  (void)std::tie(request, refusal, anchors, partial_chain, intermediates, hints, crls, purpose, expired_tolerance,
                 security_level, depth, max_age, tickets, resumption, resume_without_certificate, chain_bytes,
                 chain_certificates, carried_bytes);
  using std::chrono::seconds;
  static constexpr PolicyChange changes[] = {
      {"nothing", [](auto&) {}},
      {"request", [](auto& o) { o.request = ClientAuth::required; }},
      {"refusal", [](auto& o) { o.refusal = Refusal::host; }},
      {"anchors: another", [](auto& o) { o.anchors = share({&Pki::get().ca2}); }},
      {"anchors: one more", [](auto& o) { o.anchors = share({&Pki::get().ca1, &Pki::get().ca2}); }},
      {"partial_chain", [](auto& o) { o.partial_chain = true; }},
      {"intermediates", [](auto& o) { o.intermediates = share({&Pki::get().intermediate1}); }},
      {"hints", [](auto& o) { o.hints = share({&Pki::get().ca2}); }},
      {"hints: none", [](auto& o) { o.hints.emplace(); }},
      {"crls", [](auto& o) { o.crls = empty_crls(); }},
      {"crls: one less", [](auto& o) { (o.crls = empty_crls()).pop_back(); }},
      {"purpose", [](auto& o) { o.purpose = Purpose::client_or_server; }},
      {"expired_tolerance", [](auto& o) { o.expired_tolerance = seconds{1}; }},
      {"security_level", [](auto& o) { o.security_level = 1; }},
      {"resume_without_certificate", [](auto& o) { o.resume_without_certificate = false; }},
      {"depth", [](auto& o) { o.depth = 8; }},
      {"max_age", [](auto& o) { o.max_age = seconds{1}; }},
      {"max_age: another", [](auto& o) { o.max_age = seconds{256}; }},
      {"tickets", [](auto& o) { o.tickets = 1; }},
      {"resumption", [](auto& o) { o.resumption = false; }},
      {"limits.max_chain_bytes", [](auto& o) { --o.limits.max_chain_bytes; }},
      {"limits.max_chain_certificates", [](auto& o) { --o.limits.max_chain_certificates; }},
      {"limits.max_carried_bytes", [](auto& o) { --o.limits.max_carried_bytes; }},
  };
  return changes;
}

PolicyPtr make_policy(PolicyOptions options) {
  auto policy = ClientAuthPolicy::make(std::move(options));
  if (!policy) throw std::runtime_error(std::string(policy.error().message));
  return *policy;
}

PolicyTable make_table(const NamedPolicies& names, PolicyPtr default_policy, PolicyPtr without_name) {
  PolicyTable table{std::move(default_policy), std::move(without_name)};
  for (const auto& [name, policy] : names) {
    if (auto added = table.add(name, policy); !added) throw std::runtime_error(std::string(added.error().message));
  }
  return table;
}

std::shared_ptr<CurrentPolicies> make_policies(const NamedPolicies& names) {
  return std::make_shared<CurrentPolicies>(make_table(names));
}

PolicyServer::PolicyServer(Mechanism mechanism, std::shared_ptr<CurrentPolicies> current)
    : Server(mechanism), policies(std::move(current)) {
  Hooks hooks;
  hooks.client_hello = [this](Handshake&) { return ++client_hello_calls, Decision::proceed; };
  hooks.certificate = [this](Handshake&) { return ++certificate_calls, Decision::proceed; };
  hooks.error = [this](const HandshakeError& ended) { errors.emplace_back(ended.error.message); };
  if (auto installed = install(ssl_ctx(), policies, std::move(hooks)); !installed) {
    throw std::runtime_error(std::string(installed.error().message));
  }
}

}  // namespace test

#include "support/policies.hpp"

#include <stdexcept>

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

PolicyOptions asking(ClientCertificate request) {
  return asking(request, {&Pki::get().ca1});
}

PolicyOptions asking(ClientCertificate request, std::initializer_list<const Certificate*> anchors) {
  PolicyOptions options;
  options.request = request;
  options.anchors = share(anchors);
  return options;
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
  hooks.error = [this](const HookError& error) { errors.emplace_back(error.message); };
  if (auto installed = install(ssl_ctx(), policies, std::move(hooks)); !installed) {
    throw std::runtime_error(std::string(installed.error().message));
  }
}

}  // namespace test

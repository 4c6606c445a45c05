// Policies in a few words, and a server that runs on them.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "client_tls/install.hpp"
#include "support/pair.hpp"

namespace test {

// One more reference to the certificates.
std::vector<client_tls::X509Ptr> share(std::initializer_list<const Certificate*> certificates);

// The lists of CA 1 and CA 2, with nothing on them: the same ones each time.
std::vector<client_tls::X509CrlPtr> empty_crls();

std::string_view to_string(client_tls::ClientAuth request);
std::string_view to_string(client_tls::Refusal refusal);

// A policy that asks, and trusts CA 1, or those that are named.
client_tls::PolicyOptions asking(client_tls::ClientAuth request = client_tls::ClientAuth::optional);
client_tls::PolicyOptions asking(client_tls::ClientAuth request, std::initializer_list<const Certificate*> anchors);

// One that requires a certificate, of CA 1, and by whom a client without is refused.
client_tls::PolicyOptions requiring(client_tls::Refusal refusal);

// Each option of a policy changed by itself, from asking(); the first one changes nothing.
struct PolicyChange {
  const char* option;
  void (*change)(client_tls::PolicyOptions&);
};
std::span<const PolicyChange> policy_changes();

// Throws std::runtime_error with the error's message.
client_tls::PolicyPtr make_policy(client_tls::PolicyOptions options = {});

// A table with these names; every other one is refused.
using NamedPolicies = std::vector<std::pair<std::string, client_tls::PolicyPtr>>;
client_tls::PolicyTable make_table(const NamedPolicies& names, client_tls::PolicyPtr default_policy = nullptr,
                                   client_tls::PolicyPtr without_name = nullptr);

std::shared_ptr<client_tls::CurrentPolicies> make_policies(const NamedPolicies& names);

// A Server (pair.hpp) whose callbacks are the library's.
struct PolicyServer : Server {
  PolicyServer(Mechanism mechanism, std::shared_ptr<client_tls::CurrentPolicies> policies);

  std::shared_ptr<client_tls::CurrentPolicies> policies;
  std::vector<std::string> errors;  // what the error hook was told
};

}  // namespace test

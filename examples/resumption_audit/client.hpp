// A client: the certificate that it has at hand, or none, and an SSL_CTX for each way to resume.
#pragma once

#include <client_tls/openssl_ptr.hpp>
#include <map>
#include <string>

#include "options.hpp"

namespace resumption_audit {

struct Client {
  std::string label;    // "none" without a certificate
  std::string subject;  // RFC 4514; empty without a certificate
  std::map<Mechanism, client_tls::SslCtxPtr> contexts;

  [[nodiscard]] SSL_CTX* context(Mechanism mechanism) const { return contexts.at(mechanism).get(); }
};

// First the client without a certificate, then one for each. Throws UsageError for a file that cannot be used.
std::vector<Client> make_clients(const Options& options);

// A name as RFC 4514 writes it, in ASCII: what is not printable is escaped.
std::string to_text(const X509_NAME* name);

}  // namespace resumption_audit

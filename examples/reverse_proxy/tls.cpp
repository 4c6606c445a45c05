#include "tls.hpp"

#include <algorithm>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace reverse_proxy {
namespace {

using client_tls::Decision;
using client_tls::Handshake;

// An index of our own: SSL_set_app_data's belongs to Boost.Asio.
int record_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

HandshakeRecord& record_of(const SSL* ssl) {
  return *static_cast<HandshakeRecord*>(SSL_get_ex_data(ssl, record_index()));
}

void remember_name(SSL* ssl) {
  if (const auto name = client_tls::ServerName::from_client_hello(ssl)) record_of(ssl).server_name = *name;
}

Decision on_client_hello(Handshake& handshake) {
  remember_name(handshake.ssl());
  return Decision::proceed;
}

// A name that has no policy, for instance.
void on_error(const client_tls::HandshakeError& ended) {
  if (ended.phase == client_tls::Phase::client_hello) remember_name(ended.ssl);
  record_of(ended.ssl).error = ended.error.message;
}

// A client that offers other protocols only, HTTP/2 for instance, is told so in the handshake (RFC 7301).
int on_alpn(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
            unsigned offered_size, void* /*argument*/) noexcept {
  static constexpr unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, http_1_1, sizeof http_1_1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

// A PEM certificate's lines between BEGIN and END, joined, are its DER in base64: what RFC 8941 puts between colons.
std::vector<std::string> byte_sequences(std::string_view pem_chain) {
  std::vector<std::string> all;
  while (!pem_chain.empty()) {
    const std::size_t end = std::min(pem_chain.find('\n'), pem_chain.size());
    const std::string_view line = pem_chain.substr(0, end);
    pem_chain.remove_prefix(std::min(end + 1, pem_chain.size()));
    if (line.starts_with("-----BEGIN")) {
      all.emplace_back(":");
    } else if (line.starts_with("-----END")) {
      all.back() += ':';
    } else {
      all.back() += line;
    }
  }
  return all;
}

}  // namespace

void install_policies(SSL_CTX* ssl_ctx, std::shared_ptr<const client_tls::CurrentPolicies> policies) {
  client_tls::Hooks hooks;
  hooks.client_hello = on_client_hello;
  hooks.error = on_error;
  const auto installed = client_tls::install(ssl_ctx, std::move(policies), std::move(hooks));
  if (!installed) throw std::runtime_error(std::string(installed.error().message));
  SSL_CTX_set_alpn_select_cb(ssl_ctx, on_alpn, nullptr);
}

void attach(SSL* ssl, HandshakeRecord& record) {
  if (SSL_set_ex_data(ssl, record_index(), &record) != 1) throw std::runtime_error("out of memory");
}

void set_client_certificate(http::fields& fields, std::string_view pem_chain) {
  const auto certificates = byte_sequences(pem_chain);
  if (certificates.empty()) return;
  fields.set("Client-Cert", certificates.front());
  std::string others;
  for (const auto& certificate : std::span(certificates).subspan(1)) {
    if (!others.empty()) others += ", ";
    others += certificate;
  }
  if (!others.empty()) fields.set("Client-Cert-Chain", others);
}

}  // namespace reverse_proxy

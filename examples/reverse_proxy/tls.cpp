#include "tls.hpp"

#include <client_tls/hooks.hpp>
#include <iostream>
#include <stdexcept>
#include <string>

namespace reverse_proxy {
namespace {

using client_tls::Decision;
using client_tls::Handshake;

// An index of our own: SSL_set_app_data's belongs to Boost.Asio.
int site_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool set_site(SSL* ssl, const Site& site) {
  return SSL_set_ex_data(ssl, site_index(), const_cast<Site*>(&site)) == 1;
}

Decision decision(const client_tls::Result<void>& done) {
  return done ? Decision::proceed : Decision::reject;
}

// Chooses the policy, and with it who may resume. It is called on every connection, before a session is looked up.
Decision on_client_hello(const ListenerConfig& listener, Handshake& handshake) {
  const Site* site = listener.find_site(handshake.server_name());
  if (site == nullptr || !set_site(handshake.ssl(), *site)) return Decision::reject;
  return decision(handshake.tls().bind_session(site->scope));
}

// Asks. It is not called on resumption, where the session has the answer of the first time.
Decision on_certificate(Handshake& handshake) {
  const Site* site = site_of(handshake.ssl());
  if (site == nullptr) return Decision::reject;
  if (!site->session_reuse && !handshake.tls().disable_session_reuse()) return Decision::reject;
  if (site->client_certificate == ClientCertificate::off) return Decision::proceed;
  if (SSL_set1_verify_cert_store(handshake.ssl(), site->anchors.store.get()) != 1) return Decision::reject;
  std::vector<X509*> hints;
  hints.reserve(site->anchors.certificates.size());
  for (const auto& anchor : site->anchors.certificates) hints.push_back(anchor.get());
  return decision(handshake.tls().request_client_certificate(hints));
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

}  // namespace

void install_handlers(const ListenerConfig& listener) {
  client_tls::Hooks hooks;
  hooks.client_hello = [&listener](Handshake& handshake) { return on_client_hello(listener, handshake); };
  hooks.certificate = on_certificate;
  hooks.error = [](const client_tls::HookError& error) {
    std::cerr << "a handshake was ended in the " << to_string(error.phase) << " phase: " << error.message << '\n';
  };
  const auto installed = client_tls::install(listener.ssl_ctx.get(), std::move(hooks));
  if (!installed) throw std::runtime_error(std::string(installed.error().message));
  SSL_CTX_set_alpn_select_cb(listener.ssl_ctx.get(), on_alpn, nullptr);
}

const Site* site_of(const SSL* ssl) {
  return static_cast<const Site*>(SSL_get_ex_data(ssl, site_index()));
}

}  // namespace reverse_proxy

#include "support/client.hpp"

#include <stdexcept>
#include <utility>

#include "support/require.hpp"

namespace test {
namespace {

void see_handshake(SeenByClient& seen, int version, const unsigned char* message) {
  constexpr std::size_t server_hello_session_id_at = 4 + 2 + 32;
  constexpr std::size_t ticket_length_at = 4 + 4;
  if (message[0] == SSL3_MT_SERVER_HELLO) seen.session_id_size = message[server_hello_session_id_at];
  if (message[0] == SSL3_MT_CERTIFICATE_REQUEST) ++seen.certificate_requests;
  if (message[0] != SSL3_MT_NEWSESSION_TICKET) return;
  const bool empty = message[ticket_length_at] == 0 && message[ticket_length_at + 1] == 0;
  if (version == TLS1_3_VERSION || !empty) ++seen.tickets;
}

}  // namespace

ClientOptions client1(std::string server_name) {
  ClientOptions client = client_with(Pki::get().client1, Pki::get().intermediate1);
  client.server_name = std::move(server_name);
  return client;
}

ClientOptions client2(std::string server_name) {
  ClientOptions client = client_with(Pki::get().client2, Pki::get().intermediate2);
  client.server_name = std::move(server_name);
  return client;
}

std::string chain_of_client1() {
  return pem_of(client1().chain);
}

ClientOptions client_with(const Certificate& leaf) {
  return {.chain = {leaf.get()}, .key = leaf.key.get()};
}

ClientOptions client_with(const Certificate& leaf, const Certificate& intermediate) {
  return {.chain = {leaf.get(), intermediate.get()}, .key = leaf.key.get()};
}

ClientOptions expired_client() {
  static const Certificate leaf = issue({.ends_in = -10}, &Pki::get().intermediate1);
  return client_with(leaf, Pki::get().intermediate1);
}

ClientOptions offering(ClientOptions client, const client_tls::SslSessionPtr& session) {
  client.session = session.get();
  return client;
}

ClientOptions able_to_authenticate_later(ClientOptions client) {
  client.post_handshake_auth = true;
  return client;
}

ClientOptions retrying(SSL_CTX* server, ClientOptions client) {
  SSL_CTX_set1_groups_list(server, "P-384");
  client.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "P-256:P-384"); };
  return client;
}

bool answer_with(SSL* client, const Certificate* certificate) {
  SSL_clear_chain_certs(client);
  if (certificate == nullptr) {
    SSL_certs_clear(client);
    return true;
  }
  return SSL_use_certificate(client, certificate->get()) == 1 &&
         SSL_use_PrivateKey(client, certificate->key.get()) == 1;
}

void see_message(SeenByClient& seen, int sent, int version, int type, const void* data, std::size_t size) {
  if (sent != 0 || size == 0) return;
  const auto* bytes = static_cast<const unsigned char*>(data);
  if (type == SSL3_RT_HANDSHAKE) see_handshake(seen, version, bytes);
  if (type == SSL3_RT_ALERT && size == 2) seen.alert = bytes[1];
}

client_tls::SslCtxPtr make_client_ctx(const ClientOptions& options) {
  client_tls::SslCtxPtr ctx{SSL_CTX_new(TLS_client_method())};
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  if (!options.chain.empty()) {
    require(SSL_CTX_use_certificate(ctx.get(), options.chain.front()) == 1, "client certificate");
    require(SSL_CTX_use_PrivateKey(ctx.get(), options.key) == 1, "client key");
  }
  for (std::size_t i = 1; i < options.chain.size(); ++i) {
    require(SSL_CTX_add1_chain_cert(ctx.get(), options.chain[i]) == 1, "client chain");
  }
  if (options.adjust_ctx) options.adjust_ctx(ctx.get());
  return ctx;
}

client_tls::SslPtr make_client(SSL_CTX* ctx, const ClientOptions& options, SSL_SESSION* session, void* app_data) {
  client_tls::SslPtr client{SSL_new(ctx)};
  require(client != nullptr, "client");
  SSL_set_app_data(client.get(), app_data);
  SSL_set_connect_state(client.get());
  if (options.post_handshake_auth) SSL_set_post_handshake_auth(client.get(), 1);
  if (!options.server_name.empty()) SSL_set_tlsext_host_name(client.get(), options.server_name.c_str());
  if (session != nullptr) SSL_set_session(client.get(), session);
  if (options.adjust) options.adjust(client.get());
  return client;
}

client_tls::SslSessionPtr session_to_offer(SSL* client, SSL_SESSION* last) {
  SSL_SESSION* session = last;
  if (session == nullptr && SSL_version(client) == TLS1_2_VERSION) session = SSL_get_session(client);
  if (session == nullptr || SSL_SESSION_is_resumable(session) != 1) return nullptr;
  return client_tls::SslSessionPtr(SSL_SESSION_dup(session));  // OpenSSL's client offers one of TLS 1.3 once
}

}  // namespace test

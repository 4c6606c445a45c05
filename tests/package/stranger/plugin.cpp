// A plug-in of a server: it makes connections that the library is bound to.
#include <client_tls/install.hpp>
#include <client_tls/openssl_ptr.hpp>
#include <memory>
#include <utility>

using namespace client_tls;

// A connection whose ClientHello has been processed; the caller frees it. Null if something went wrong.
extern "C" SSL* make_connection() {
  const SslCtxPtr server_ctx{SSL_CTX_new(TLS_server_method())};
  const SslCtxPtr client_ctx{SSL_CTX_new(TLS_client_method())};
  const auto policy = ClientAuthPolicy::make({});
  if (!policy) return nullptr;
  auto policies = std::make_shared<CurrentPolicies>(PolicyTable{*policy, *policy});
  bool called = false;
  Hooks hooks;
  hooks.client_hello = [&called](Handshake&) {
    called = true;
    return Decision::proceed;
  };
  if (!install(server_ctx.get(), std::move(policies), std::move(hooks))) return nullptr;
  SslPtr server{SSL_new(server_ctx.get())};
  const SslPtr client{SSL_new(client_ctx.get())};
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  if (BIO_new_bio_pair(&server_end, 0, &client_end, 0) != 1) return nullptr;
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  SSL_do_handshake(client.get());
  SSL_do_handshake(server.get());  // ends there: the server has no certificate
  return called ? server.release() : nullptr;
}

// The client of a test, in a few words, and what its side has seen. Without the library.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client_tls/openssl_ptr.hpp"
#include "support/pki.hpp"

namespace test {

struct ClientOptions {
  std::string server_name = "a.test";
  std::vector<X509*> chain = {};  // leaf first; none if empty
  EVP_PKEY* key = nullptr;
  SSL_SESSION* session = nullptr;
  bool post_handshake_auth = false;
  std::function<void(SSL_CTX*)> adjust_ctx = {};  // before the SSL is made
  std::function<void(SSL*)> adjust = {};          // before the handshake
};

// With Client 1's (2's) certificate and its intermediate.
ClientOptions client1(std::string server_name = "a.test");
ClientOptions client2(std::string server_name = "a.test");
std::string chain_of_client1();  // as PEM

// The options borrow what they are given: it lives longer.
ClientOptions client_with(const Certificate& leaf);
ClientOptions client_with(const Certificate& leaf, const Certificate& intermediate);
ClientOptions expired_client();  // below the same intermediate as Client 1
ClientOptions offering(ClientOptions client, const client_tls::SslSessionPtr& session);
ClientOptions able_to_authenticate_later(ClientOptions client);

// Has the client send a key share that the server does not take, so that it answers with a HelloRetryRequest.
ClientOptions retrying(SSL_CTX* server, ClientOptions client = client1());

// From now on the client answers with this certificate, without intermediates, or with none; whether it can.
[[nodiscard]] bool answer_with(SSL* client, const Certificate* certificate);

// What the client's side has seen.
struct SeenByClient {
  std::optional<int> alert;  // that the server sent
  int certificate_requests = 0;
  int tickets = 0;                  // NewSessionTicket messages, each with a ticket
  std::size_t session_id_size = 0;  // in the last ServerHello
};
void see_message(SeenByClient& seen, int sent, int version, int type, const void* data, std::size_t size);

// For the pairs: an SSL_CTX that keeps no session, and an SSL that offers this one. They throw std::runtime_error.
client_tls::SslCtxPtr make_client_ctx(const ClientOptions& options);
client_tls::SslPtr make_client(SSL_CTX* ctx, const ClientOptions& options, SSL_SESSION* session, void* app_data);

// The session as the client would offer it next, if `last` is the last that it was given; null if there is none.
client_tls::SslSessionPtr session_to_offer(SSL* client, SSL_SESSION* last);

}  // namespace test

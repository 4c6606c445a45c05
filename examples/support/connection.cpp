#include "support/connection.hpp"

#include "support/certificates.hpp"

namespace example {

namespace {

void join(SSL* server, SSL* client) {
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, 0, &client_end, 0) == 1, "no memory for a connection");
  SSL_set_bio(server, server_end, server_end);
  SSL_set_bio(client, client_end, client_end);
  SSL_set_accept_state(server);
  SSL_set_connect_state(client);
}

client_tls::SslSessionPtr take_session(SSL* client) {
  char byte = 0;
  SSL_read(client, &byte, 1);  // takes the tickets in
  SSL_shutdown(client);        // without it OpenSSL throws the session away
  return client_tls::SslSessionPtr{SSL_get1_session(client)};
}

}  // namespace

Connection connect(SSL_CTX* server_ctx, SSL_CTX* client_ctx, const char* server_name, SSL_SESSION* session) {
  Connection connection{.server = client_tls::SslPtr{SSL_new(server_ctx)},
                        .client = client_tls::SslPtr{SSL_new(client_ctx)},
                        .session = nullptr};
  SSL* server = connection.server.get();
  SSL* client = connection.client.get();
  join(server, client);
  SSL_set_tlsext_host_name(client, server_name);
  if (session != nullptr) SSL_set_session(client, session);
  for (int round = 0; round < 10; ++round) {
    SSL_do_handshake(client);
    SSL_do_handshake(server);
  }
  if (SSL_is_init_finished(server) == 1) connection.session = take_session(client);
  return connection;
}

}  // namespace example

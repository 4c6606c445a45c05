#include "connection.hpp"

#include <openssl/err.h>

#include "client_tls/client_tls.hpp"

namespace bench {
namespace {

constexpr std::size_t transport_size = std::size_t{16} * 1024;

bool proceeds(SSL* ssl, int result) {
  return result == 1 || SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ;
}

}  // namespace

Connection::Connection(SSL_CTX* server, Client& client, Meter& meter, Offer offer)
    : meter_(meter), client_(SSL_new(client.ssl_ctx())) {
  SSL_set_connect_state(client_.get());
  SSL_set_tlsext_host_name(client_.get(), service_name.data());
  if (offer == Offer::last_session) SSL_set_session(client_.get(), client.session());
  {
    const Measured measured{meter_};
    server_ = SSL_new(server);
    SSL_set_app_data(server_, this);  // as any host has something on its SSLs
    SSL_set_accept_state(server_);
  }
  connect();
  handshake();
  require((SSL_session_reused(server_) == 1) == (offer == Offer::last_session), "a session was not resumed");
}

// Closed in order: OpenSSL drops the session of a connection that was cut off.
Connection::~Connection() {
  constexpr int closed = SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN;
  SSL_set_shutdown(client_.get(), closed);
  const Measured measured{meter_};
  SSL_set_shutdown(server_, closed);
  SSL_free(server_);
}

void Connection::connect() {
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, transport_size, &client_end, transport_size) == 1, "transport");
  SSL_set_bio(server_, server_end, server_end);
  SSL_set_bio(client_.get(), client_end, client_end);
}

void Connection::handshake() {
  int result = 0;
  while (result != 1 || SSL_is_init_finished(client_.get()) != 1) {
    require(proceeds(client_.get(), SSL_do_handshake(client_.get())), "client's handshake");
    const Measured measured{meter_};
    result = SSL_do_handshake(server_);
    require(proceeds(server_, result), "server's handshake");
  }
  char byte = 0;
  require(SSL_read(client_.get(), &byte, 1) != 1, "no data");  // reads the tickets
  ERR_clear_error();
}

std::string_view Connection::chain() const {
  client_tls::PhaseContext context{client_tls::Phase::access};
  const auto chain = client_tls::ClientTls{server_, context}.get_full_client_certificate_chain();
  require(chain.has_value(), "no chain");
  return chain->value_or("");
}

}  // namespace bench

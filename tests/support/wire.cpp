#include "support/wire.hpp"

#include <openssl/err.h>

#include <array>

#include "support/require.hpp"

namespace test {

void join(SSL* server, SSL* client) {
  constexpr std::size_t size = std::size_t{256} * 1024;
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, size, &client_end, size) == 1, "transport");
  SSL_set_bio(server, server_end, server_end);
  SSL_set_bio(client, client_end, client_end);
}

std::uint64_t bytes_written(SSL* server, SSL* client) {
  return BIO_number_written(SSL_get_wbio(client)) + BIO_number_written(SSL_get_wbio(server));
}

Step step(SSL* ssl) {
  std::array<char, 4096> data;
  ERR_clear_error();
  const int result = SSL_read(ssl, data.data(), static_cast<int>(data.size()));
  const Step step{.error = SSL_get_error(ssl, result), .reason = ERR_GET_REASON(ERR_peek_last_error())};
  ERR_clear_error();
  return step;
}

void do_handshake(SSL* ssl) {
  ERR_clear_error();
  SSL_do_handshake(ssl);
  ERR_clear_error();
}

void close_in_order(SSL* ssl) {
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

std::string take_off_wire(SSL* ssl) {
  BIO* wire = SSL_get_rbio(ssl);
  std::string bytes(BIO_ctrl_pending(wire), '\0');
  if (bytes.empty()) return bytes;
  const int size = static_cast<int>(bytes.size());
  require(BIO_read(wire, bytes.data(), size) == size, "what is on the wire");
  return bytes;
}

bool put_on_wire(SSL* ssl, std::string_view bytes) {
  const int size = static_cast<int>(bytes.size());
  return size == 0 || BIO_write(SSL_get_wbio(ssl), bytes.data(), size) == size;
}

std::string id_of(const SSL_SESSION* session) {
  unsigned size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  return {reinterpret_cast<const char*>(id), size};
}

std::vector<unsigned char> bytes_of(SSL_SESSION* session) {
  std::vector<unsigned char> bytes(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)));
  unsigned char* out = bytes.data();
  i2d_SSL_SESSION(session, &out);
  return bytes;
}

client_tls::SslSessionPtr session_of(const std::vector<unsigned char>& bytes) {
  const unsigned char* in = bytes.data();
  return client_tls::SslSessionPtr{d2i_SSL_SESSION(nullptr, &in, static_cast<long>(bytes.size()))};
}

}  // namespace test

#include "connection.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <ctime>
#include <new>
#include <utility>

#include "errors.hpp"
#include "ex_data_index.hpp"
#include "openssl_version.hpp"

namespace client_tls {
namespace {

constinit ExDataIndex ssl_slot;
constinit ExDataIndex ssl_ctx_slot;

// Makes room for the slot inside SSL_new, so that a later SSL_set_ex_data does not move what another thread reads.
void new_slot(void*, void*, CRYPTO_EX_DATA* data, int index, long, void*) noexcept {
  CRYPTO_set_ex_data(data, index, nullptr);
}

void free_slot(void* ssl, void* connection, CRYPTO_EX_DATA*, int, long, void*) noexcept {
  auto* freed = static_cast<Connection*>(connection);
  if (freed != nullptr) report_handshake(nullptr, *freed, false);
  // A policy's store goes with the policy, and not after it in the thread that frees the SSL (CurrentPolicies).
  if (freed != nullptr && freed->policy != nullptr) release_store(static_cast<SSL*>(ssl));
  delete freed;
}

// SSL_dup copies the callbacks and settings of an SSL that has not begun; what they replaced goes with them, and
// nothing else does.
int dup_slot(CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, void** slot, int, long, void*) noexcept {
  const auto* original = static_cast<const Connection*>(*slot);
  if (original == nullptr) return 1;
  std::unique_ptr<Connection> copy{new (std::nothrow) Connection};
  if (copy == nullptr || !copy_settings(original->host, copy->host)) {
    *slot = nullptr;
    return 0;
  }
  *slot = copy.release();
  return 1;
}

void free_ssl_ctx_slot(void*, void* installed, CRYPTO_EX_DATA*, int, long, void*) noexcept {
  delete static_cast<Installed*>(installed);
}

bool same_randoms(const Connection& connection, const SSL* ssl) noexcept {
  auto client = connection.client_random;
  SSL_get_client_random(ssl, client.data(), client.size());
  if (client != connection.client_random) return false;
  if (!connection.settled) return true;
  std::array<unsigned char, 8> server{};
  SSL_get_server_random(ssl, server.data(), server.size());
  return server == connection.server_random;
}

int ssl_index() noexcept {
  return ssl_slot.get([] { return SSL_get_ex_new_index(0, nullptr, new_slot, dup_slot, free_slot); });
}

}  // namespace

Result<void> check_transport(const SSL* ssl) noexcept {
  if (is_quic(ssl) || SSL_is_dtls(ssl) == 1) return failure(Errc::unsupported, "DTLS and QUIC are not supported");
  return {};
}

Connection* find_connection(const SSL* ssl) noexcept {
  const int index = ssl_slot.get_if_registered();
  return index < 0 ? nullptr : static_cast<Connection*>(SSL_get_ex_data(ssl, index));
}

Connection* make_connection(SSL* ssl) noexcept {
  if (Connection* connection = find_connection(ssl)) return connection;
  const int index = ssl_index();
  if (index < 0) return nullptr;
  auto* connection = new (std::nothrow) Connection;
  if (connection != nullptr && SSL_set_ex_data(ssl, index, connection) != 1) {
    delete connection;
    return nullptr;
  }
  return connection;
}

bool is_current(const Connection& connection, const SSL* ssl) noexcept {
  return client_hello_taken_over(ssl) && same_randoms(connection, ssl);
}

bool in_client_hello(const Connection& connection, const SSL* ssl) noexcept {
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(const_cast<SSL*>(ssl), &random);
  return size >= connection.client_random.size() &&
         std::equal(connection.client_random.begin(), connection.client_random.end(), random);
}

Connection* current_connection(const SSL* ssl) noexcept {
  Connection* connection = find_connection(ssl);
  return connection != nullptr && is_current(*connection, ssl) ? connection : nullptr;
}

bool client_hello_taken_over(const SSL* ssl) noexcept {
  // The list of ciphers is taken over when the callback has returned, as is the random, which can be any 32 bytes.
  unsigned char* ciphers = nullptr;
  return SSL_get0_raw_cipherlist(const_cast<SSL*>(ssl), static_cast<void*>(&ciphers)) > 0 && ciphers != nullptr;
}

Connection* begun_connection(SSL* ssl) noexcept {
  if (client_hello_taken_over(ssl)) {
    if (Connection* connection = current_connection(ssl)) return connection;
  }
  // After a HelloRetryRequest, too, where the client may have sent another random, which OpenSSL lets pass.
  Connection* connection = find_connection(ssl);
  return connection != nullptr && connection->suspended && in_client_hello(*connection, ssl) ? connection : nullptr;
}

Connection* make_current_connection(SSL* ssl) noexcept {
  if (Connection* connection = current_connection(ssl)) return connection;
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return nullptr;
  reset(ssl, *connection);
  SSL_get_client_random(ssl, connection->client_random.data(), connection->client_random.size());
  return connection;
}

Answers* make_answers(Connection& connection) noexcept {
  if (!connection.answers) connection.answers.reset(new (std::nothrow) Answers);
  return connection.answers.get();
}

int ssl_ctx_index() noexcept {
  return ssl_ctx_slot.get([] { return SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_ssl_ctx_slot); });
}

bool client_finished(const SSL* ssl) noexcept {
  unsigned char unused = 0;
  return SSL_get_peer_finished(ssl, &unused, 0) != 0;
}

void reset(SSL* ssl, Connection& connection) noexcept {
  restore_before_handshake(ssl, connection.host);
  Connection next;
  next.server_name = connection.server_name;
  next.told = std::move(connection.told);
  next.host = std::move(connection.host);
  connection = std::move(next);
}

const Installed* installed_on(const SSL_CTX* ssl_ctx) noexcept {
  const int index = ssl_ctx_slot.get_if_registered();
  return index < 0 ? nullptr : static_cast<const Installed*>(SSL_CTX_get_ex_data(ssl_ctx, index));
}

void report_handshake(SSL* ssl, Connection& connection, bool completed) noexcept {
  if (!connection.told) return;
  const SslCtxPtr told = std::move(connection.told);
  installed_on(told.get())->report(ssl, connection, completed);
}

}  // namespace client_tls

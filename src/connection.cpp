#include "connection.hpp"

#include <openssl/crypto.h>

#include <atomic>
#include <mutex>
#include <new>

#include "callbacks.hpp"
#include "error_queue.hpp"
#include "openssl_version.hpp"

namespace client_tls {
namespace {

// One ex_data index of the process. It is registered on first use, not at load time: until then a host may still set
// OpenSSL's memory functions. A registration that failed is tried again.
class Index {
 public:
  template <class Register>
  int get(Register register_index) noexcept {
    int index = value_.load(std::memory_order_acquire);
    if (index >= 0) return index;
    const std::scoped_lock lock(mutex_);
    index = value_.load(std::memory_order_relaxed);
    if (index < 0) value_.store(index = register_index(), std::memory_order_release);
    return index;
  }
  [[nodiscard]] int get_if_registered() const noexcept { return value_.load(std::memory_order_acquire); }

 private:
  std::atomic<int> value_{-1};
  std::mutex mutex_;
};

constinit Index ssl_slot;
constinit Index ssl_ctx_slot;

// Makes room for the slot inside SSL_new, so that a later SSL_set_ex_data does not move what another thread reads.
void new_slot(void*, void*, CRYPTO_EX_DATA* data, int index, long, void*) noexcept {
  CRYPTO_set_ex_data(data, index, nullptr);
}

void free_slot(void*, void* connection, CRYPTO_EX_DATA*, int, long, void*) noexcept {
  delete static_cast<Connection*>(connection);
}

// SSL_dup copies the callbacks and settings of an SSL that has not begun; what they replaced goes with them, and
// nothing else does.
int dup_slot(CRYPTO_EX_DATA*, const CRYPTO_EX_DATA*, void** slot, int, long, void*) noexcept {
  const auto* original = static_cast<const Connection*>(*slot);
  if (original == nullptr) return 1;
  auto* copy = new (std::nothrow) Connection;
  if (copy != nullptr) copy->host = original->host;
  *slot = copy;
  return copy != nullptr ? 1 : 0;
}

void free_ssl_ctx_slot(void*, void* object, CRYPTO_EX_DATA*, int, long, void* release) noexcept {
  if (object != nullptr) reinterpret_cast<Release>(release)(object);
}

std::array<unsigned char, SSL3_RANDOM_SIZE> client_random(const SSL* ssl) noexcept {
  std::array<unsigned char, SSL3_RANDOM_SIZE> random{};
  SSL_get_client_random(ssl, random.data(), random.size());
  return random;
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

Connection* current_connection(const SSL* ssl) noexcept {
  Connection* connection = find_connection(ssl);
  return connection != nullptr && connection->client_random == client_random(ssl) ? connection : nullptr;
}

Connection* retried_connection(const SSL* ssl) noexcept {
  // Of a first ClientHello OpenSSL takes over the random when the callback has returned; until then there is none.
  const bool first = client_random(ssl) == std::array<unsigned char, SSL3_RANDOM_SIZE>{};
  return first ? nullptr : current_connection(ssl);
}

Connection* make_current_connection(SSL* ssl) noexcept {
  if (Connection* connection = current_connection(ssl)) return connection;
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return nullptr;
  reset(ssl, *connection);
  connection->client_random = client_random(ssl);
  return connection;
}

int ssl_ctx_index(Release release) noexcept {
  return ssl_ctx_slot.get([release] {
    return SSL_CTX_get_ex_new_index(0, reinterpret_cast<void*>(release), nullptr, nullptr, free_ssl_ctx_slot);
  });
}

bool client_finished(const SSL* ssl) noexcept {
  unsigned char unused = 0;
  return SSL_get_peer_finished(ssl, &unused, 0) != 0;
}

void watch(SSL* ssl, Connection& connection) noexcept {
  const InfoCallback callback = SSL_get_info_callback(ssl);
  if (callback == on_info) return;
  connection.host.info = callback;
  SSL_set_info_callback(ssl, on_info);
}

void restore_host_settings(SSL* ssl, Connection& connection) noexcept {
  HostSettings& host = connection.host;
  // What the host has set itself in the meantime is the host's.
  if (host.verify_mode && SSL_get_verify_callback(ssl) == on_verify) {
    SSL_set_verify(ssl, *host.verify_mode, host.verify_callback);
  }
  if (host.max_cert_list) SSL_set_max_cert_list(ssl, *host.max_cert_list);
  if (host.compression_switched_off) SSL_clear_options(ssl, no_compressed_certificate);
  if (host.info && SSL_get_info_callback(ssl) == on_info) SSL_set_info_callback(ssl, *host.info);
  host.verify_mode.reset();
  host.max_cert_list.reset();
  host.compression_switched_off = false;
  host.info.reset();
}

void reset(SSL* ssl, Connection& connection) noexcept {
  restore_host_settings(ssl, connection);
  if (connection.host.num_tickets) SSL_set_num_tickets(ssl, *connection.host.num_tickets);
  if (connection.host.max_early_data) SSL_set_max_early_data(ssl, *connection.host.max_early_data);
  if (connection.host.client_ca_list_replaced) SSL_set_client_CA_list(ssl, nullptr);
  if (connection.host.verify_store_replaced) SSL_set1_verify_cert_store(ssl, nullptr);
  const ServerName server_name = connection.server_name;
  const SSL_verify_cb verify_callback = connection.host.verify_callback;
  connection = Connection{};
  connection.server_name = server_name;
  connection.host.verify_callback = verify_callback;
}

}  // namespace client_tls

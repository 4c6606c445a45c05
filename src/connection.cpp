#include "connection.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <atomic>
#include <ctime>
#include <limits>
#include <mutex>
#include <new>

#include "callbacks.hpp"
#include "error_queue.hpp"
#include "installation.hpp"
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
  auto* freed = static_cast<Connection*>(connection);
  if (freed != nullptr) report_handshake(nullptr, *freed, false);
  delete freed;
}

bool copy_settings(const HostSettings& from, HostSettings& to) noexcept {
  if (from.verification) to.verification = from.verification->clone();
  if (from.verification && !to.verification) return false;
  to.verify_mode = from.verify_mode;
  to.max_cert_list = from.max_cert_list;
  to.num_tickets = from.num_tickets;
  to.max_early_data = from.max_early_data;
  to.info = from.info;
  to.verify_callback = from.verify_callback;
  to.client_ca_list_replaced = from.client_ca_list_replaced;
  to.compression_switched_off = from.compression_switched_off;
  return true;
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

void free_ssl_ctx_slot(void*, void* object, CRYPTO_EX_DATA*, int, long, void* release) noexcept {
  if (object != nullptr) reinterpret_cast<Release>(release)(object);
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

Connection* current_connection(const SSL* ssl) noexcept {
  Connection* connection = find_connection(ssl);
  const bool current = connection != nullptr && same_randoms(*connection, ssl) && client_hello_taken_over(ssl);
  return current ? connection : nullptr;
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
  if (connection == nullptr || !connection->suspended) return nullptr;
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(ssl, &random);
  const bool same = size >= connection->client_random.size() &&
                    std::equal(connection->client_random.begin(), connection->client_random.end(), random);
  return same ? connection : nullptr;
}

Connection* make_current_connection(SSL* ssl) noexcept {
  if (Connection* connection = current_connection(ssl)) return connection;
  Connection* connection = make_connection(ssl);
  if (connection == nullptr) return nullptr;
  reset(ssl, *connection);
  SSL_get_client_random(ssl, connection->client_random.data(), connection->client_random.size());
  return connection;
}

void Authentication::add(int code, int depth) noexcept {
  const RecordedReason reason{.code = static_cast<std::uint16_t>(code), .depth = static_cast<std::uint8_t>(depth)};
  auto* const end = reasons.begin() + reason_count;
  if (reason_count == reasons.size() || std::find(reasons.begin(), end, reason) != end) return;
  reasons[reason_count++] = reason;
}

std::unique_ptr<HostVerification> HostVerification::clone() const noexcept {
  std::unique_ptr<HostVerification> copy{new (std::nothrow) HostVerification};
  if (!copy) return nullptr;
  copy->param.reset(X509_VERIFY_PARAM_new());
  if (!copy->param || X509_VERIFY_PARAM_set1(copy->param.get(), param.get()) != 1) return nullptr;
  if (store) X509_STORE_up_ref(store.get());
  copy->store.reset(store.get());
  copy->inherit_flags = inherit_flags;
  copy->security = security;
  return copy;
}

Answers* make_answers(Connection& connection) noexcept {
  if (!connection.answers) connection.answers.reset(new (std::nothrow) Answers);
  return connection.answers.get();
}

int ssl_ctx_index(Release release) noexcept {
  return ssl_ctx_slot.get([release] {
    return SSL_CTX_get_ex_new_index(0, reinterpret_cast<void*>(release), nullptr, nullptr, free_ssl_ctx_slot);
  });
}

int ssl_ctx_index_if_registered() noexcept {
  return ssl_ctx_slot.get_if_registered();
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

namespace {

// The host's rules could not be copied, for lack of memory. What is there may be less than they were, so that nothing
// is to be verified by it: it is done at a time at which no certificate is valid.
void trust_nobody(X509_VERIFY_PARAM* param) noexcept {
  X509_VERIFY_PARAM_clear_flags(param, X509_V_FLAG_NO_CHECK_TIME);
  X509_VERIFY_PARAM_set_time(param, std::numeric_limits<std::time_t>::min());
}

void restore_verification(SSL* ssl, const HostVerification& host) noexcept {
  if (host.param) {
    X509_VERIFY_PARAM* param = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_inh_flags(param, X509_VP_FLAG_OVERWRITE | X509_VP_FLAG_RESET_FLAGS);
    if (X509_VERIFY_PARAM_set1(param, host.param.get()) != 1) trust_nobody(param);
    X509_VERIFY_PARAM_set_inh_flags(param, static_cast<std::uint32_t>(host.inherit_flags));
    SSL_set1_verify_cert_store(ssl, host.store.get());
  }
  // What the host has set itself in the meantime is the host's.
  if (host.security != nullptr && SSL_get_security_callback(ssl) == on_security) {
    SSL_set_security_callback(ssl, host.security);
  }
}

}  // namespace

void restore_host_settings(SSL* ssl, Connection& connection) noexcept {
  HostSettings& host = connection.host;
  // What the host has set itself in the meantime is the host's.
  if (host.verify_mode && SSL_get_verify_callback(ssl) == on_verify) {
    SSL_set_verify(ssl, *host.verify_mode, host.verify_callback);
  }
  if (host.max_cert_list) SSL_set_max_cert_list(ssl, *host.max_cert_list);
  if (host.compression_switched_off) SSL_clear_options(ssl, no_compressed_certificate);
  if (host.verification) restore_verification(ssl, *host.verification);
  host.verification.reset();
  if (host.client_ca_list_replaced) {
    SSL_set_client_CA_list(ssl, nullptr);
    SSL_set0_CA_list(ssl, nullptr);
  }
  if (host.info && SSL_get_info_callback(ssl) == on_info) SSL_set_info_callback(ssl, *host.info);
  host.verify_mode.reset();
  host.max_cert_list.reset();
  host.client_ca_list_replaced = false;
  host.compression_switched_off = false;
  host.info.reset();
}

void reset(SSL* ssl, Connection& connection) noexcept {
  restore_host_settings(ssl, connection);
  if (connection.host.num_tickets) SSL_set_num_tickets(ssl, *connection.host.num_tickets);
  if (connection.host.max_early_data) SSL_set_max_early_data(ssl, *connection.host.max_early_data);
  const ServerName server_name = connection.server_name;
  SslCtxPtr told = std::move(connection.told);
  const SSL_verify_cb verify_callback = connection.host.verify_callback;
  connection = Connection{};
  connection.server_name = server_name;
  connection.told = std::move(told);
  connection.host.verify_callback = verify_callback;
}

}  // namespace client_tls

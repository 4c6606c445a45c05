#include "support/bare_pair.hpp"

#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace bare {
namespace {

constexpr std::size_t transport_size = std::size_t{256} * 1024;
constexpr unsigned char context[] = "bare";

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

std::string id_of(const SSL_SESSION* session) {
  unsigned size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  return {reinterpret_cast<const char*>(id), size};
}

void see_handshake(Pair::Seen& seen, int version, const unsigned char* message) {
  constexpr std::size_t session_id_at = 4 + 2 + 32;
  constexpr std::size_t ticket_length_at = 4 + 4;
  if (message[0] == SSL3_MT_SERVER_HELLO) seen.session_id_size = message[session_id_at];
  if (message[0] == SSL3_MT_CERTIFICATE_REQUEST) ++seen.certificate_requests;
  if (message[0] != SSL3_MT_NEWSESSION_TICKET) return;
  const bool empty = message[ticket_length_at] == 0 && message[ticket_length_at + 1] == 0;
  if (version == TLS1_3_VERSION || !empty) ++seen.tickets;
}

bool fatal(int error) {
  return error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
}

}  // namespace

// OpenSSL's callbacks: what is behind an SSL's app data is its Pair, behind the SSL_CTX's the Server.
class Callbacks {
 public:
  static Server& server_of(const SSL* ssl) { return *pair_of(ssl).callbacks_; }

  static int client_hello(SSL* ssl, int* alert, void* server) {
    *alert = SSL_AD_ACCESS_DENIED;
    SSL_set_generate_session_id(ssl, session_id);
    return noted(server, "client_hello").on_client_hello(ssl);
  }
  static int server_name(SSL* ssl, int* /*alert*/, void* server) {
    noted(server, "server_name").on_server_name(ssl);
    return SSL_TLSEXT_ERR_OK;
  }
  static int certificate(SSL* ssl, void* server) { return noted(server, "certificate").on_certificate(ssl); }
  static int not_resumable(SSL* ssl, int /*forward_secure*/) {
    server_of(ssl).calls.emplace_back("not_resumable");
    return 0;
  }
  static int session_id(SSL* ssl, unsigned char* id, unsigned* size) {
    server_of(ssl).calls.emplace_back("session_id");
    server_of(ssl).on_session_id(ssl);
    return RAND_bytes(id, static_cast<int>(*size));
  }
  static int ticket(SSL* ssl, void* server) {
    noted(server, "ticket").on_ticket(ssl);
    return 1;
  }
  static void info(const SSL* ssl, int where, int /*value*/) {
    Pair& pair = pair_of(ssl);
    pair.callbacks_->on_info(const_cast<SSL*>(ssl), where);
    unsigned char unused = 0;
    if (pair.finished_ || SSL_get_peer_finished(ssl, &unused, 0) == 0) return;
    pair.finished_ = true;
    pair.callbacks_->on_finished(const_cast<SSL*>(ssl));
  }
  static void message(int sent, int, int type, const void* data, std::size_t size, SSL* ssl, void*) {
    if (sent != 0 || type != SSL3_RT_HANDSHAKE) return;
    server_of(ssl).on_message(ssl, static_cast<unsigned char*>(const_cast<void*>(data)), size);
  }

  static int store(SSL* ssl, SSL_SESSION* session) {
    Server& server = server_of(ssl);
    server.calls.emplace_back("new_session");
    std::vector<unsigned char> bytes(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)));
    unsigned char* out = bytes.data();
    i2d_SSL_SESSION(session, &out);
    server.external_cache[id_of(session)] = std::move(bytes);
    return 0;
  }
  static SSL_SESSION* find(SSL* ssl, const unsigned char* id, int size, int* copy) {
    *copy = 0;
    Server& server = server_of(ssl);
    server.calls.emplace_back("lookup");
    const std::string key(reinterpret_cast<const char*>(id), static_cast<std::size_t>(size));
    const auto found = server.external_cache.find(key);
    if (found == server.external_cache.end()) return nullptr;
    const unsigned char* in = found->second.data();
    return d2i_SSL_SESSION(nullptr, &in, static_cast<long>(found->second.size()));
  }

  // The client's.
  static int keep(SSL* ssl, SSL_SESSION* session) {
    pair_of(ssl).session_.reset(session);
    return 1;
  }
  static void see(int sent, int version, int type, const void* data, std::size_t size, SSL* ssl, void*) {
    if (sent != 0 || size == 0) return;
    const auto* bytes = static_cast<const unsigned char*>(data);
    Pair::Seen& seen = pair_of(ssl).seen;
    if (type == SSL3_RT_HANDSHAKE) see_handshake(seen, version, bytes);
    if (type == SSL3_RT_ALERT && size == 2) seen.alert = bytes[1];
  }

 private:
  static Pair& pair_of(const SSL* ssl) { return *static_cast<Pair*>(SSL_get_app_data(ssl)); }
  static Server& noted(void* argument, const char* name) {
    auto& server = *static_cast<Server*>(argument);
    server.calls.emplace_back(name);
    return server;
  }
};

int verify(int preverified, X509_STORE_CTX* store) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Server& server = Callbacks::server_of(ssl);
  server.calls.emplace_back("verify");
  return server.on_verify(preverified, store);
}

std::string name_of(Mechanism mechanism) {
  static constexpr std::array<const char*, all_mechanisms.size()> names{"1.2 session id",       "1.2 ticket",
                                                                        "1.3 stateless ticket", "1.3 stateful ticket",
                                                                        "1.2 external cache",   "1.3 external cache"};
  return names.at(static_cast<std::size_t>(mechanism));
}

bool is_tls13(Mechanism mechanism) {
  return std::find(tls13_mechanisms.begin(), tls13_mechanisms.end(), mechanism) != tls13_mechanisms.end();
}

bool is_external(Mechanism mechanism) {
  return mechanism == Mechanism::external12 || mechanism == Mechanism::external13;
}

Server::Server(Mechanism mechanism) : ctx_(SSL_CTX_new(TLS_server_method())) {
  const test::Pki& pki = test::Pki::get();
  require(SSL_CTX_use_certificate(ctx(), pki.server.get()) == 1, "server certificate");
  require(SSL_CTX_use_PrivateKey(ctx(), pki.server.key.get()) == 1, "server key");
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx()), pki.ca1.get());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx()), pki.ca2.get());
  SSL_CTX_set_session_id_context(ctx(), context, sizeof context - 1);
  SSL_CTX_set_timeout(ctx(), 24L * 3600);
  resume_by(mechanism);
  set_callbacks();
}

Server::~Server() = default;

void Server::resume_by(Mechanism mechanism) {
  const int version = is_tls13(mechanism) ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(ctx(), version);
  SSL_CTX_set_max_proto_version(ctx(), version);
  if (mechanism != Mechanism::ticket12 && mechanism != Mechanism::stateless13) {
    SSL_CTX_set_options(ctx(), SSL_OP_NO_TICKET);
  }
  if (!is_external(mechanism)) return;
  SSL_CTX_set_session_cache_mode(ctx(), SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_get_cb(ctx(), Callbacks::find);
}

void Server::set_callbacks() {
  SSL_CTX_set_client_hello_cb(ctx(), Callbacks::client_hello, this);
  SSL_CTX_set_tlsext_servername_callback(ctx(), Callbacks::server_name);
  SSL_CTX_set_tlsext_servername_arg(ctx(), this);
  SSL_CTX_set_cert_cb(ctx(), Callbacks::certificate, this);
  SSL_CTX_set_not_resumable_session_callback(ctx(), Callbacks::not_resumable);
  SSL_CTX_set_session_ticket_cb(ctx(), Callbacks::ticket, nullptr, this);
  SSL_CTX_set_info_callback(ctx(), Callbacks::info);
  SSL_CTX_set_msg_callback(ctx(), Callbacks::message);
  SSL_CTX_sess_set_new_cb(ctx(), Callbacks::store);
}

int Server::count(const std::string& name) const {
  return static_cast<int>(std::count(calls.begin(), calls.end(), name));
}

ClientOptions client1() {
  const test::Pki& pki = test::Pki::get();
  ClientOptions options;
  options.chain = {pki.client1.get(), pki.intermediate1.get()};
  options.key = pki.client1.key.get();
  return options;
}

ClientOptions client_with(const test::Certificate& identity) {
  ClientOptions options;
  options.chain = {identity.get()};
  options.key = identity.key.get();
  return options;
}

ClientOptions able_to_authenticate_later(ClientOptions client) {
  client.adjust = [](SSL* ssl) { SSL_set_post_handshake_auth(ssl, 1); };
  return client;
}

Pair::Pair(Server& server, const ClientOptions& options, bool start)
    : callbacks_(&server), server_(SSL_new(server.ctx())) {
  require(server_ != nullptr, "server");
  SSL_set_app_data(server_.get(), this);
  SSL_set_accept_state(server_.get());
  make_client(options);
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, transport_size, &client_end, transport_size) == 1, "transport");
  SSL_set_bio(server_.get(), server_end, server_end);
  SSL_set_bio(client_.get(), client_end, client_end);
  if (start) run();
}

Pair::~Pair() {
  if (!done()) return;
  for (SSL* ssl : {server(), client()}) SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void Pair::make_client(const ClientOptions& options) {
  client_ctx_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* ctx = client_ctx_.get();
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, Callbacks::keep);
  SSL_CTX_set_msg_callback(ctx, Callbacks::see);
  if (!options.chain.empty()) {
    require(SSL_CTX_use_certificate(ctx, options.chain.front()) == 1, "client certificate");
    require(SSL_CTX_use_PrivateKey(ctx, options.key) == 1, "client key");
  }
  for (std::size_t i = 1; i < options.chain.size(); ++i) SSL_CTX_add1_chain_cert(ctx, options.chain[i]);
  client_.reset(SSL_new(ctx));
  require(client_ != nullptr, "client");
  SSL_set_app_data(client_.get(), this);
  SSL_set_connect_state(client_.get());
  SSL_set_tlsext_host_name(client_.get(), options.server_name.c_str());
  if (options.session != nullptr) SSL_set_session(client_.get(), options.session);
  if (options.adjust) options.adjust(client_.get());
}

bool Pair::step() {
  const auto written = [this] {
    return BIO_number_written(SSL_get_wbio(client_.get())) + BIO_number_written(SSL_get_wbio(server_.get()));
  };
  const auto before = written();
  std::array<char, 4096> data;
  ERR_clear_error();
  SSL_read(client_.get(), data.data(), static_cast<int>(data.size()));
  ERR_clear_error();
  if (!fatal(server_error_)) {
    const int result = SSL_read(server_.get(), data.data(), static_cast<int>(data.size()));
    server_error_ = SSL_get_error(server_.get(), result);
    server_reason_ = ERR_GET_REASON(ERR_peek_last_error());
  }
  ERR_clear_error();
  return written() != before;
}

bool Pair::run() {
  while (step()) {
  }
  step();  // the client reads what came last
  return done();
}

bool Pair::done() const {
  return !fatal(server_error_) && SSL_is_init_finished(server_.get()) == 1 && SSL_is_init_finished(client_.get()) == 1;
}

client_tls::SslSessionPtr Pair::session() const {
  SSL_SESSION* session = session_.get();
  if (session == nullptr && SSL_version(client_.get()) == TLS1_2_VERSION) session = SSL_get_session(client_.get());
  if (session == nullptr || SSL_SESSION_is_resumable(session) != 1) return nullptr;
  return client_tls::SslSessionPtr(SSL_SESSION_dup(session));  // OpenSSL's client offers one of TLS 1.3 once
}

std::unique_ptr<Pair> offer(Server& server, const Pair& pair, ClientOptions client) {
  const auto session = pair.session();
  client.session = session.get();
  return std::make_unique<Pair>(server, client);
}

}  // namespace bare

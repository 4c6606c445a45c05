#include "support/bare_pair.hpp"

#include <openssl/rand.h>

#include <algorithm>

#include "support/require.hpp"

namespace bare {

namespace {

constexpr unsigned char context[] = "bare";

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
    server.external_cache[id_of(session)] = bytes_of(session);
    return 0;
  }
  static SSL_SESSION* find(SSL* ssl, const unsigned char* id, int size, int* copy) {
    *copy = 0;
    Server& server = server_of(ssl);
    server.calls.emplace_back("lookup");
    const std::string key(reinterpret_cast<const char*>(id), static_cast<std::size_t>(size));
    const auto found = server.external_cache.find(key);
    return found == server.external_cache.end() ? nullptr : session_of(found->second).release();
  }

  // The client's.
  static int keep(SSL* ssl, SSL_SESSION* session) {
    pair_of(ssl).session_.reset(session);
    return 1;
  }
  static void see(int sent, int version, int type, const void* data, std::size_t size, SSL* ssl, void*) {
    see_message(pair_of(ssl).seen, sent, version, type, data, size);
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

Server::Server(Mechanism mechanism) : ctx_(SSL_CTX_new(TLS_server_method())) {
  const Pki& pki = Pki::get();
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

Pair::Pair(Server& server, const ClientOptions& options, bool start)
    : callbacks_(&server), server_(SSL_new(server.ctx())) {
  require(server_ != nullptr, "server");
  SSL_set_app_data(server_.get(), this);
  SSL_set_accept_state(server_.get());
  make_client(options);
  if (start) run();
}

Pair::~Pair() {
  if (!done()) return;
  for (SSL* ssl : {server(), client()}) close_in_order(ssl);
}

void Pair::make_client(const ClientOptions& options) {
  client_ctx_ = make_client_ctx(options);
  SSL_CTX_sess_set_new_cb(client_ctx_.get(), Callbacks::keep);
  SSL_CTX_set_msg_callback(client_ctx_.get(), Callbacks::see);
  client_ = test::make_client(client_ctx_.get(), options, options.session, this);
  join(server_.get(), client_.get());
}

bool Pair::step() {
  const auto before = bytes_written(server_.get(), client_.get());
  test::step(client_.get());
  if (!server_step_.fatal()) server_step_ = test::step(server_.get());
  return bytes_written(server_.get(), client_.get()) != before;
}

bool Pair::run() {
  while (step()) {
  }
  step();  // the client reads what came last
  return done();
}

bool Pair::done() const {
  return !server_step_.fatal() && SSL_is_init_finished(server_.get()) == 1 && SSL_is_init_finished(client_.get()) == 1;
}

client_tls::SslSessionPtr Pair::session() const {
  return session_to_offer(client_.get(), session_.get());
}

std::unique_ptr<Pair> offer(Server& server, const Pair& pair, ClientOptions client) {
  const auto session = pair.session();
  client.session = session.get();
  return std::make_unique<Pair>(server, client);
}

}  // namespace bare

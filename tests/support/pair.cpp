#include "support/pair.hpp"

#include <openssl/rand.h>

#include <array>

#include "client_tls/server_name.hpp"
#include "support/require.hpp"

namespace test {
namespace {

using client_tls::ClientTls;
using client_tls::Phase;
using client_tls::PhaseContext;

Server& server_of(SSL* ssl) {
  return *static_cast<Server*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int store_session(SSL* ssl, SSL_SESSION* session) {
  Server& server = server_of(ssl);
  ++server.new_session_calls;
  server.external_cache[id_of(session)] = bytes_of(session);
  return 0;
}

SSL_SESSION* find_session(SSL* ssl, const unsigned char* id, int size, int* copy) {
  *copy = 0;
  Server& server = server_of(ssl);
  const auto found = server.external_cache.find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)});
  return found == server.external_cache.end() ? nullptr : session_of(found->second).release();
}

void remove_session(SSL_CTX* ssl_ctx, SSL_SESSION* session) {
  static_cast<Server*>(SSL_CTX_get_app_data(ssl_ctx))->external_cache.erase(id_of(session));
}

int call_client_hello(SSL* ssl, int* alert, void* server) {
  auto& self = *static_cast<Server*>(server);
  ++self.client_hello_calls;
  *alert = SSL_AD_INTERNAL_ERROR;
  return self.on_client_hello(ssl);
}

int call_certificate(SSL* ssl, void* server) {
  auto& self = *static_cast<Server*>(server);
  ++self.certificate_calls;
  return self.on_certificate(ssl);
}

void see(int sent, int version, int type, const void* data, std::size_t size, SSL* /*ssl*/, void* pair) {
  see_message(static_cast<Pair*>(pair)->seen(), sent, version, type, data, size);
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Pair*>(SSL_get_app_data(ssl))->keep(client_tls::SslSessionPtr(session));
  return 1;
}

}  // namespace

Server::Server(Mechanism mechanism)
    : on_client_hello(bind_to_server_name),
      on_certificate([](SSL*) { return 1; }),
      ssl_ctx_(SSL_CTX_new(TLS_server_method())) {
  SSL_CTX* ctx = ssl_ctx_.get();
  const int version = is_tls13(mechanism) ? TLS1_3_VERSION : TLS1_2_VERSION;
  SSL_CTX_set_min_proto_version(ctx, version);
  SSL_CTX_set_max_proto_version(ctx, version);
  SSL_CTX_set_app_data(ctx, this);
  SSL_CTX_set_timeout(ctx, 24L * 3600);
  const Pki& pki = Pki::get();
  require(SSL_CTX_use_certificate(ctx, pki.server.get()) == 1, "server certificate");
  require(SSL_CTX_use_PrivateKey(ctx, pki.server.key.get()) == 1, "server key");
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), pki.ca1.get());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), pki.ca2.get());
  if (mechanism != Mechanism::ticket12 && mechanism != Mechanism::stateless13) {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  }
  if (is_external(mechanism)) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL);
  }
  SSL_CTX_sess_set_new_cb(ctx, store_session);
  SSL_CTX_sess_set_get_cb(ctx, find_session);
  SSL_CTX_sess_set_remove_cb(ctx, remove_session);
  if (!is_external(mechanism)) SSL_CTX_sess_set_get_cb(ctx, nullptr);
  SSL_CTX_set_client_hello_cb(ctx, call_client_hello, this);
  SSL_CTX_set_cert_cb(ctx, call_certificate, this);
}

// The sessions in the internal cache are removed with the SSL_CTX, which calls back for each.
Server::~Server() {
  ssl_ctx_.reset();
}

Pair::Pair(SSL_CTX* server, const ClientOptions& options, bool start) : server_(SSL_new(server)) {
  require(server_ != nullptr, "server");
  SSL_set_accept_state(server_.get());
  make_client(options);
  if (start) run();
}

Pair::~Pair() {
  if (done()) close_in_order(server_.get());
}

void Pair::make_client(const ClientOptions& options) {
  client_ctx_ = make_client_ctx(options);
  SSL_CTX_sess_set_new_cb(client_ctx_.get(), keep_session);
  SSL_CTX_set_msg_callback(client_ctx_.get(), see);
  SSL_CTX_set_msg_callback_arg(client_ctx_.get(), this);
  // A copy as a client would have kept it: the same session can be offered more than once.
  const client_tls::SslSessionPtr copy{options.session != nullptr ? SSL_SESSION_dup(options.session) : nullptr};
  client_ = test::make_client(client_ctx_.get(), options, copy.get(), this);
  join(server_.get(), client_.get());
}

void Pair::clear(const ClientOptions& options) {
  if (done()) close_in_order(server_.get());
  SSL_clear(server_.get());
  session_.reset();
  seen_ = {};
  server_step_ = {};
  make_client(options);
  run();
}

void Pair::rewrite_client_hello(std::string_view from, std::string_view to, std::size_t not_before) {
  test::step(client_.get());
  std::string hello = take_off_wire(server_.get());
  const auto found = hello.find(from, not_before);
  require(found != std::string::npos && from.size() == to.size(), "the bytes to replace");
  hello.replace(found, to.size(), to);
  require(put_on_wire(client_.get(), hello), "hello");
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
  seen_.ca_names.clear();
  const STACK_OF(X509_NAME)* names = SSL_get0_peer_CA_list(client_.get());
  for (int i = 0; i < sk_X509_NAME_num(names); ++i) {
    std::array<char, 256> text{};
    seen_.ca_names.emplace_back(
        X509_NAME_oneline(sk_X509_NAME_value(names, i), text.data(), static_cast<int>(text.size())));
  }
  return done();
}

bool Pair::done() const {
  return !server_step_.fatal() && SSL_is_init_finished(server_.get()) == 1 && SSL_is_init_finished(client_.get()) == 1;
}

client_tls::SslSessionPtr Pair::session() const {
  return session_to_offer(client_.get(), session_.get());
}

std::string Pair::chain() const {
  PhaseContext context{Phase::access};
  const auto chain = ClientTls{server_.get(), context}.get_full_client_certificate_chain();
  if (!chain) return "error: " + std::string(chain.error().message);
  return *chain ? std::string(**chain) : "none";
}

std::string Pair::verify() const {
  PhaseContext context{Phase::log};
  const auto entry = ClientTls{server_.get(), context}.log_entry();
  return entry ? entry->client_verify : "error: " + std::string(entry.error().message);
}

bool Pair::echo() {
  std::array<char, 8> data{};
  const auto pass = [&](SSL* from, SSL* to) {
    return SSL_write(from, "ping", 4) == 4 && SSL_read(to, data.data(), 4) == 4;
  };
  return pass(client_.get(), server_.get()) && pass(server_.get(), client_.get());
}

void forget_sessions(SSL_CTX* ssl_ctx) {
#if OPENSSL_VERSION_NUMBER >= 0x30400000L
  SSL_CTX_flush_sessions_ex(ssl_ctx, 0);
#else
  SSL_CTX_flush_sessions(ssl_ctx, 0);
#endif
}

int bind_to(SSL* ssl, std::string_view scope, const client_tls::BindOptions& options) {
  PhaseContext context{Phase::client_hello};
  return ClientTls{ssl, context}.bind_session(scope, options) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

int bind_to_server_name(SSL* ssl) {
  const auto name = client_tls::ServerName::from_client_hello(ssl);
  return name ? bind_to(ssl, name->view()) : SSL_CLIENT_HELLO_ERROR;
}

int bind_with_limits(SSL* ssl, const client_tls::Limits& limits) {
  const auto name = client_tls::ServerName::from_client_hello(ssl);
  return name ? bind_to(ssl, name->view(), {.limits = limits, .max_age = {}}) : SSL_CLIENT_HELLO_ERROR;
}

int ask(SSL* ssl, std::span<X509* const> hints) {
  PhaseContext context{Phase::certificate};
  return ClientTls{ssl, context}.request_client_certificate(hints) ? 1 : 0;
}

int disable_reuse(SSL* ssl) {
  PhaseContext context{Phase::certificate};
  return ClientTls{ssl, context}.disable_session_reuse() ? 1 : 0;
}

void ask_unless_open(Server& server) {
  server.on_certificate = [](SSL* ssl) {
    const std::string_view name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    return name.starts_with("open") ? 1 : ask(ssl);
  };
}

int own_session_id(SSL* /*ssl*/, unsigned char* id, unsigned* size) {
  return RAND_bytes(id, static_cast<int>(*size));
}

int say_yes(X509_STORE_CTX* store, void* /*argument*/) {
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

}  // namespace test

#include "support/pair.hpp"

#include <openssl/err.h>

#include <algorithm>
#include <stdexcept>

#include "client_tls/server_name.hpp"

namespace test {
namespace {

using client_tls::ClientTls;
using client_tls::Phase;
using client_tls::PhaseContext;

constexpr std::size_t transport_size = std::size_t{256} * 1024;

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

Server& server_of(SSL* ssl) {
  return *static_cast<Server*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
}

int store_session(SSL* ssl, SSL_SESSION* session) {
  Server& server = server_of(ssl);
  ++server.new_session_calls;
  unsigned size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  std::vector<unsigned char> bytes(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)));
  unsigned char* out = bytes.data();
  i2d_SSL_SESSION(session, &out);
  server.external_cache[std::string(reinterpret_cast<const char*>(id), size)] = std::move(bytes);
  return 0;
}

SSL_SESSION* find_session(SSL* ssl, const unsigned char* id, int size, int* copy) {
  *copy = 0;
  Server& server = server_of(ssl);
  const auto found = server.external_cache.find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)});
  if (found == server.external_cache.end()) return nullptr;
  const unsigned char* in = found->second.data();
  return d2i_SSL_SESSION(nullptr, &in, static_cast<long>(found->second.size()));
}

void remove_session(SSL_CTX* ssl_ctx, SSL_SESSION* session) {
  unsigned size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  auto& cache = static_cast<Server*>(SSL_CTX_get_app_data(ssl_ctx))->external_cache;
  cache.erase(std::string(reinterpret_cast<const char*>(id), size));
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

// The client's side: what came over the wire.
void see_handshake(Pair::Seen& seen, int version, std::span<const unsigned char> message) {
  constexpr std::size_t server_hello_session_id_at = 4 + 2 + 32;
  constexpr std::size_t ticket_length_at = 4 + 4;
  switch (message[0]) {
    case SSL3_MT_SERVER_HELLO:
      seen.session_id_size = message[server_hello_session_id_at];
      break;
    case SSL3_MT_CERTIFICATE_REQUEST:
      ++seen.certificate_requests;
      break;
    case SSL3_MT_NEWSESSION_TICKET:
      if (version == TLS1_3_VERSION || message[ticket_length_at] != 0 || message[ticket_length_at + 1] != 0) {
        ++seen.tickets;
      }
      break;
    default:
      break;
  }
}

void see_message(int sent, int version, int type, const void* data, std::size_t size, SSL* /*ssl*/, void* argument) {
  if (sent != 0 || size == 0) return;
  auto& seen = static_cast<Pair*>(argument)->seen();
  const std::span message{static_cast<const unsigned char*>(data), size};
  if (type == SSL3_RT_HANDSHAKE) see_handshake(seen, version, message);
  if (type == SSL3_RT_ALERT && size == 2) seen.alert = message[1];
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<Pair*>(SSL_get_app_data(ssl))->keep(client_tls::SslSessionPtr(session));
  return 1;
}

void present(SSL_CTX* ssl_ctx, const ClientOptions& options) {
  if (options.chain.empty()) return;
  require(SSL_CTX_use_certificate(ssl_ctx, options.chain.front()) == 1, "client certificate");
  require(SSL_CTX_use_PrivateKey(ssl_ctx, options.key) == 1, "client key");
  for (std::size_t i = 1; i < options.chain.size(); ++i) {
    require(SSL_CTX_add1_chain_cert(ssl_ctx, options.chain[i]) == 1, "client chain");
  }
}

// One step of one side; what it wants, as SSL_get_error says.
int step_of(SSL* ssl) {
  std::array<char, 4096> data;
  ERR_clear_error();
  const int result = SSL_read(ssl, data.data(), static_cast<int>(data.size()));
  const int error = SSL_get_error(ssl, result);
  ERR_clear_error();
  return error;
}

bool fatal(int error) {
  return error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
}

}  // namespace

std::string_view to_string(Mechanism mechanism) {
  static constexpr std::array<std::string_view, all_mechanisms.size()> names{
      "1.2 session id",      "1.2 ticket",         "1.3 stateless ticket",
      "1.3 stateful ticket", "1.2 external cache", "1.3 external cache"};
  return names.at(static_cast<std::size_t>(mechanism));
}

bool is_tls13(Mechanism mechanism) {
  return mechanism == Mechanism::stateless13 || mechanism == Mechanism::stateful13 ||
         mechanism == Mechanism::external13;
}

bool is_external(Mechanism mechanism) {
  return mechanism == Mechanism::external12 || mechanism == Mechanism::external13;
}

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

ClientOptions client1(std::string server_name) {
  const Pki& pki = Pki::get();
  return {.server_name = std::move(server_name),
          .chain = {pki.client1.get(), pki.intermediate1.get()},
          .key = pki.client1.key.get()};
}

ClientOptions client2(std::string server_name) {
  const Pki& pki = Pki::get();
  return {.server_name = std::move(server_name),
          .chain = {pki.client2.get(), pki.intermediate2.get()},
          .key = pki.client2.key.get()};
}

Pair::Pair(SSL_CTX* server, const ClientOptions& options, bool start) : server_(SSL_new(server)) {
  require(server_ != nullptr, "server");
  SSL_set_accept_state(server_.get());
  make_client(options);
  connect();
  if (start) run();
}

Pair::~Pair() {
  if (done()) SSL_set_shutdown(server_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void Pair::make_client(const ClientOptions& options) {
  client_ctx_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* ctx = client_ctx_.get();
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, keep_session);
  SSL_CTX_set_msg_callback(ctx, see_message);
  SSL_CTX_set_msg_callback_arg(ctx, this);
  present(ctx, options);
  if (options.adjust_ctx) options.adjust_ctx(ctx);
  client_.reset(SSL_new(ctx));
  require(client_ != nullptr, "client");
  SSL_set_app_data(client_.get(), this);
  SSL_set_connect_state(client_.get());
  if (options.post_handshake_auth) SSL_set_post_handshake_auth(client_.get(), 1);
  if (!options.server_name.empty()) SSL_set_tlsext_host_name(client_.get(), options.server_name.c_str());
  if (options.session != nullptr) {
    // A copy as a client would have kept it: the same session can be offered more than once.
    const client_tls::SslSessionPtr copy{SSL_SESSION_dup(options.session)};
    SSL_set_session(client_.get(), copy.get());
  }
  if (options.adjust) options.adjust(client_.get());
}

void Pair::connect() {
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, transport_size, &client_end, transport_size) == 1, "transport");
  SSL_set_bio(server_.get(), server_end, server_end);
  SSL_set_bio(client_.get(), client_end, client_end);
}

void Pair::clear(const ClientOptions& options) {
  if (done()) SSL_set_shutdown(server_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_clear(server_.get());
  session_.reset();
  seen_ = {};
  server_error_ = SSL_ERROR_NONE;
  make_client(options);
  connect();
  run();
}

void Pair::rewrite_client_hello(std::string_view from, std::string_view to, std::size_t not_before) {
  step_of(client_.get());
  BIO* wire = SSL_get_rbio(server_.get());
  std::string hello(static_cast<std::size_t>(BIO_ctrl_pending(wire)), '\0');
  require(BIO_read(wire, hello.data(), static_cast<int>(hello.size())) == static_cast<int>(hello.size()), "hello");
  const auto found = hello.find(from, not_before);
  require(found != std::string::npos && from.size() == to.size(), "the bytes to replace");
  hello.replace(found, to.size(), to);
  require(BIO_write(SSL_get_wbio(client_.get()), hello.data(), static_cast<int>(hello.size())) > 0, "hello");
}

bool Pair::step() {
  const auto written = [&] {
    return BIO_number_written(SSL_get_wbio(client_.get())) + BIO_number_written(SSL_get_wbio(server_.get()));
  };
  const auto before = written();
  step_of(client_.get());
  if (!fatal(server_error_)) server_error_ = step_of(server_.get());
  return written() != before;
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
  return !fatal(server_error_) && SSL_is_init_finished(server_.get()) == 1 && SSL_is_init_finished(client_.get()) == 1;
}

client_tls::SslSessionPtr Pair::session() const {
  SSL_SESSION* session = session_.get();
  if (session == nullptr && SSL_version(client_.get()) == TLS1_2_VERSION) session = SSL_get_session(client_.get());
  if (session == nullptr || SSL_SESSION_is_resumable(session) != 1) return nullptr;
  return client_tls::SslSessionPtr(SSL_SESSION_dup(session));
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

}  // namespace test

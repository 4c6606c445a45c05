// QUIC and DTLS: refused before anything is done to the connection, and never waited for.
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "client_tls/server_name.hpp"
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace client_tls::detail;
using namespace test;

namespace {

constexpr unsigned time_limit = 60;  // in seconds; the program ends then

// What goes wrong with QUIC is a wait for a lock, in the middle of a call: nothing but a signal ends it. It has a
// handler, because the first process of a container ignores what has none.
class TimeLimit {
 public:
  TimeLimit() {
    std::signal(SIGALRM, [](int) {
      static constexpr std::string_view text = "transport: a connection hangs\n";
      (void)!::write(STDERR_FILENO, text.data(), text.size());
      ::_exit(EXIT_FAILURE);
    });
    ::alarm(time_limit);
  }
  ~TimeLimit() { ::alarm(0); }
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;
};

SslCtxPtr server_ctx(const SSL_METHOD* method) {
  SslCtxPtr ctx{SSL_CTX_new(method)};
  REQUIRE(ctx != nullptr);
  const Pki& pki = Pki::get();
  REQUIRE(SSL_CTX_use_certificate(ctx.get(), pki.server.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(ctx.get(), pki.server.key.get()) == 1);
  return ctx;
}

// What the error hook was told.
using Reports = std::vector<std::string>;

const Reports refused_in_client_hello{"client_hello: DTLS and QUIC are not supported"};
const Reports refused_in_certificate{"certificate: DTLS and QUIC are not supported"};

// Handlers that must not be called, and an error hook that notes what it is told.
Hooks watching(Reports& reports) {
  const auto no_handler = [](Handshake&) {
    FAIL_CHECK("a handler was called");
    return Decision::proceed;
  };
  Hooks hooks;
  hooks.client_hello = no_handler;
  hooks.certificate = no_handler;
  hooks.error = [&reports](const HandshakeError& ended) {
    reports.push_back(std::string(to_string(ended.phase)) + ": " + std::string(ended.error.message));
  };
  return hooks;
}

void install(SSL_CTX* ctx, Reports& reports) {
  const auto policy = make_policy(asking(ClientAuth::required));
  REQUIRE(client_tls::install(ctx, make_policies({{"a.test", policy}}), watching(reports)));
}

// The settings that the library changes on connections that it takes care of.
struct Settings {
  std::uint64_t options;
  int verify_mode;
  SSL_verify_cb verify_callback;
  void (*info_callback)(const SSL*, int, int);
  std::size_t tickets;
  std::uint32_t early_data;
  long certificate_bytes;

  friend bool operator==(const Settings&, const Settings&) = default;
};

Settings settings_of(SSL* ssl) {
  return {.options = SSL_get_options(ssl),
          .verify_mode = SSL_get_verify_mode(ssl),
          .verify_callback = SSL_get_verify_callback(ssl),
          .info_callback = SSL_get_info_callback(ssl),
          .tickets = SSL_get_num_tickets(ssl),
          .early_data = SSL_get_max_early_data(ssl),
          .certificate_bytes = SSL_get_max_cert_list(ssl)};
}

// The error of each operation that takes an SSL, in each phase that allows it; once, where they are all the same.
std::vector<Errc> errors_of(SSL* ssl) {
  std::vector<Errc> errors;
  const auto note = [&](const auto& result) {
    REQUIRE_FALSE(result);
    const Errc code = result.error().code;
    if (code != Errc::wrong_phase && (errors.empty() || errors.back() != code)) errors.push_back(code);
  };
  for (const auto& [phase, name] : all_phases) {
    PhaseContext context{phase};
    const ClientTls tls{ssl, context};
    note(tls.bind_session("scope"));
    note(tls.request_client_certificate());
    note(tls.disable_session_reuse());
    note(tls.get_full_client_certificate_chain());
    note(tls.log_entry());
  }
  return errors;
}

const std::vector<Errc> nothing_but_unsupported{Errc::unsupported};

// A host that calls the facade from callbacks of its own, and goes on whatever it says.
struct ByHand {
  std::vector<Errc> in_client_hello;
  std::vector<Errc> in_certificate;
  std::string server_name;

  void add_to(SSL_CTX* ctx) {
    SSL_CTX_set_client_hello_cb(ctx, call_client_hello, this);
    SSL_CTX_set_cert_cb(ctx, call_certificate, this);
  }

 private:
  static int call_client_hello(SSL* ssl, int* /*alert*/, void* by_hand) {
    auto& self = *static_cast<ByHand*>(by_hand);
    self.in_client_hello = errors_of(ssl);
    if (const auto name = ServerName::from_client_hello(ssl)) self.server_name = name->view();
    CHECK(get0_policy(ssl) == nullptr);
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  static int call_certificate(SSL* ssl, void* by_hand) {
    static_cast<ByHand*>(by_hand)->in_certificate = errors_of(ssl);
    return 1;
  }
};

// A servername callback that has the connection go on with another SSL_CTX, and tells whether it does.
struct Switch {
  SSL_CTX* to;
  int calls = 0;
  bool switched = false;

  void add_to(SSL_CTX* ctx) {
    SSL_CTX_set_tlsext_servername_callback(ctx, call);
    SSL_CTX_set_tlsext_servername_arg(ctx, this);
  }

 private:
  static int call(SSL* ssl, int* /*alert*/, void* target) {
    auto& self = *static_cast<Switch*>(target);
    ++self.calls;
    self.switched = SSL_set_SSL_CTX(ssl, self.to) == self.to;
    return SSL_TLSEXT_ERR_OK;
  }
};

// A DTLS connection, whose handshake has run as far as it goes.
class Datagrams {
 public:
  explicit Datagrams(SSL_CTX* ctx) : server(SSL_new(ctx)), client_ctx_(SSL_CTX_new(DTLS_client_method())) {
    client.reset(SSL_new(client_ctx_.get()));
    SSL_set_msg_callback(client.get(), see_message);
    SSL_set_msg_callback_arg(client.get(), this);
    SSL_set_tlsext_host_name(client.get(), "a.test");
    for (SSL* ssl : {server.get(), client.get()}) {
      SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
      SSL_set_mtu(ssl, 16000);  // there is no network that would ask for less
    }
    SSL_set_accept_state(server.get());
    SSL_set_connect_state(client.get());
    connect();
    before = settings_of(server.get());
    run();
  }
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  ~Datagrams() {
    for (const int end : ends_) ::close(end);
  }

  [[nodiscard]] bool done() const {
    return SSL_is_init_finished(server.get()) == 1 && SSL_is_init_finished(client.get()) == 1;
  }

  SslPtr server;
  SslPtr client;
  Settings before{};         // the server's, before the handshake
  std::optional<int> alert;  // that the server sent

 private:
  // Sockets keep datagrams apart, which OpenSSL 3.0's BIOs in memory do not.
  void connect() {
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends_.data()) == 0);
    SSL_set_fd(server.get(), ends_[0]);
    SSL_set_fd(client.get(), ends_[1]);
  }

  void run() {
    for (int round = 0; round < 20; ++round) {
      for (SSL* ssl : {client.get(), server.get()}) {
        if (!failed(ssl)) step(ssl);
      }
    }
  }

  void step(SSL* ssl) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl);
    if (SSL_get_error(ssl, result) == SSL_ERROR_SSL) (ssl == server.get() ? server_failed_ : client_failed_) = true;
    ERR_clear_error();
  }

  [[nodiscard]] bool failed(SSL* ssl) const { return ssl == server.get() ? server_failed_ : client_failed_; }

  static void see_message(int sent, int /*version*/, int type, const void* data, std::size_t size, SSL* /*ssl*/,
                          void* self) {
    if (sent == 0 && type == SSL3_RT_ALERT && size == 2) {
      static_cast<Datagrams*>(self)->alert = static_cast<const unsigned char*>(data)[1];
    }
  }

  SslCtxPtr client_ctx_;
  std::array<int, 2> ends_{-1, -1};
  bool server_failed_ = false;
  bool client_failed_ = false;
};

}  // namespace

TEST_CASE("transport: DTLS is refused before anything is done to the connection") {
  const TimeLimit limit;
  Reports reports;
  const SslCtxPtr ctx = server_ctx(DTLS_server_method());
  CHECK(Datagrams(ctx.get()).done());  // as it would be without the library
  install(ctx.get(), reports);
  const Datagrams refused{ctx.get()};
  CHECK_FALSE(refused.done());
  CHECK(refused.alert == SSL_AD_PROTOCOL_VERSION);
  CHECK(reports == refused_in_client_hello);
  CHECK(settings_of(refused.server.get()) == refused.before);
  CHECK(get0_policy(refused.server.get()) == nullptr);
}

TEST_CASE("transport: DTLS that a servername callback switches to an SSL_CTX with install is refused there") {
  const TimeLimit limit;
  Reports reports;
  const SslCtxPtr first = server_ctx(DTLS_server_method());
  const SslCtxPtr second = server_ctx(DTLS_server_method());
  Switch target{.to = second.get()};
  target.add_to(first.get());
  CHECK(Datagrams(first.get()).done());
  install(second.get(), reports);
  const Datagrams refused{first.get()};
  REQUIRE(target.switched);
  CHECK_FALSE(refused.done());
  CHECK(refused.alert == SSL_AD_INTERNAL_ERROR);  // the only alert of a certificate callback
  CHECK(reports == refused_in_certificate);
  CHECK(settings_of(refused.server.get()) == refused.before);
}

TEST_CASE("transport: on DTLS each operation is unsupported in each phase, and the handshake goes on") {
  const TimeLimit limit;
  const SslCtxPtr ctx = server_ctx(DTLS_server_method());
  ByHand by_hand;
  by_hand.add_to(ctx.get());
  const Datagrams pair{ctx.get()};
  CHECK(pair.done());
  CHECK(by_hand.in_client_hello == nothing_but_unsupported);
  CHECK(by_hand.in_certificate == nothing_but_unsupported);
  CHECK(errors_of(pair.server.get()) == nothing_but_unsupported);
  CHECK(settings_of(pair.server.get()) == pair.before);
}

#if OPENSSL_VERSION_NUMBER >= 0x30500000L && !defined(OPENSSL_NO_QUIC)

namespace {

constexpr int round_limit = 2000;  // of a millisecond each, on the simulated clock

constexpr std::uint64_t crypto_error(int alert) {
  return OSSL_QUIC_ERR_CRYPTO_ERR(static_cast<std::uint64_t>(alert));
}

// One QUIC connection, whose handshake has run as far as it goes.
class Quic {
 public:
  explicit Quic(SSL_CTX* ctx)
      : listener(SSL_new_listener(ctx, 0)),
        client_ctx_(SSL_CTX_new(OSSL_QUIC_client_method())),
        client(SSL_new(client_ctx_.get())) {
    REQUIRE(listener != nullptr);
    connect();
    static constexpr unsigned char protocol[] = "\x01q";
    SSL_set_alpn_protos(client.get(), protocol, sizeof protocol - 1);
    SSL_set_tlsext_host_name(client.get(), "a.test");
    REQUIRE(SSL_listen(listener.get()) == 1);
    run();
  }
  Quic(const Quic&) = delete;
  Quic& operator=(const Quic&) = delete;

  [[nodiscard]] bool done() const { return connected_; }

  // The error with which the server closed the connection; a number that none has, if it is open.
  static constexpr std::uint64_t still_open = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t close_error() const {
    SSL_CONN_CLOSE_INFO info{};
    if (SSL_get_conn_close_info(client.get(), &info, sizeof info) != 1) return still_open;
    CHECK((info.flags & SSL_CONN_CLOSE_FLAG_LOCAL) == 0);
    return info.error_code;
  }

  SslPtr listener;

 private:
  SslCtxPtr client_ctx_;

 public:
  SslPtr client;
  SslPtr server;  // null until the listener has it to offer

 private:
  // Over UDP, so that the client has an address, which the listener checks (Retry): OpenSSL 3.5 does not say why it
  // closes a connection to a client whose address it has not checked.
  void connect() {
    const std::array<unsigned char, 4> loopback{127, 0, 0, 1};
    const std::unique_ptr<BIO_ADDR, decltype(&BIO_ADDR_free)> address{BIO_ADDR_new(), BIO_ADDR_free};
    BIO_ADDR_rawmake(address.get(), AF_INET, loopback.data(), loopback.size(), 0);
    for (SSL* ssl : {listener.get(), client.get()}) {
      const int end = BIO_socket(AF_INET, SOCK_DGRAM, 0, 0);
      REQUIRE(end >= 0);
      REQUIRE(BIO_bind(end, address.get(), 0) == 1);
      BIO_socket_nbio(end, 1);
      BIO* bio = BIO_new_dgram(end, BIO_CLOSE);
      SSL_set_bio(ssl, bio, bio);
      SSL_set_blocking_mode(ssl, 0);
    }
    BIO_sock_info_u where{.addr = address.get()};
    REQUIRE(BIO_sock_info(SSL_get_fd(listener.get()), BIO_SOCK_INFO_ADDRESS, &where) == 1);
    SSL_set1_initial_peer_addr(client.get(), address.get());
  }

  void run() {
    const ClockRestorer clock;
    for (int round = 0; round < round_limit && !over(); ++round) {
      advance_time(std::chrono::milliseconds{1});
      ERR_clear_error();
      connected_ = SSL_connect(client.get()) == 1;
      SSL_handle_events(listener.get());
      if (server == nullptr) server.reset(SSL_accept_connection(listener.get(), SSL_ACCEPT_CONNECTION_NO_BLOCK));
      if (server != nullptr) SSL_handle_events(server.get());
    }
    ERR_clear_error();
  }

  [[nodiscard]] bool over() const { return (connected_ && server != nullptr) || close_error() != still_open; }

  bool connected_ = false;
};

SslCtxPtr quic_ctx() {
  SslCtxPtr ctx = server_ctx(OSSL_QUIC_server_method());
  SSL_CTX_set_alpn_select_cb(
      ctx.get(),
      [](SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned, void*) {
        *size = in[0];
        *out = in + 1;
        return SSL_TLSEXT_ERR_OK;
      },
      nullptr);
  return ctx;
}

}  // namespace

TEST_CASE("transport: QUIC is refused before anything is done to the connection") {
  const TimeLimit limit;
  Reports reports;
  const SslCtxPtr ctx = quic_ctx();
  const Quic without{ctx.get()};
  REQUIRE(without.done());
  CHECK(without.close_error() == Quic::still_open);
  install(ctx.get(), reports);
  const Quic refused{ctx.get()};
  CHECK_FALSE(refused.done());
  CHECK(refused.close_error() == crypto_error(SSL_AD_PROTOCOL_VERSION));
  CHECK(reports == refused_in_client_hello);
  if (refused.server != nullptr) {
    CHECK(settings_of(refused.server.get()) == settings_of(without.server.get()));
    CHECK(get0_policy(refused.server.get()) == nullptr);
  }
}

TEST_CASE("transport: QUIC that comes to the certificate callback alone is refused there") {
  const TimeLimit limit;
  Reports reports;
  const SslCtxPtr ctx = quic_ctx();
  install(ctx.get(), reports);
  SSL_CTX_set_client_hello_cb(ctx.get(), nullptr, nullptr);  // as on an SSL_CTX where install was forgotten
  const Quic refused{ctx.get()};
  CHECK_FALSE(refused.done());
  CHECK(refused.close_error() == crypto_error(SSL_AD_INTERNAL_ERROR));
  CHECK(reports == refused_in_certificate);
}

TEST_CASE("transport: a servername callback cannot switch QUIC past the refusal") {
  const TimeLimit limit;
  Reports reports;
  const SslCtxPtr first = quic_ctx();
  const SslCtxPtr second = quic_ctx();
  install(second.get(), reports);
  Switch target{.to = second.get()};
  target.add_to(first.get());
  const Quic pair{first.get()};
  CHECK(target.calls == 1);
  // OpenSSL does not exchange the SSL_CTX of a QUIC connection; should it some day, the connection is refused.
  CHECK(pair.done() == !target.switched);
  CHECK(reports == (target.switched ? refused_in_certificate : Reports{}));
}

TEST_CASE("transport: on QUIC each operation is unsupported in each phase, and the handshake goes on") {
  const TimeLimit limit;
  const SslCtxPtr ctx = quic_ctx();
  ByHand by_hand;
  by_hand.add_to(ctx.get());
  const Quic pair{ctx.get()};
  REQUIRE(pair.done());
  CHECK(by_hand.in_client_hello == nothing_but_unsupported);
  CHECK(by_hand.in_certificate == nothing_but_unsupported);
  for (SSL* ssl : {pair.server.get(), pair.client.get(), pair.listener.get()}) {
    CHECK(errors_of(ssl) == nothing_but_unsupported);
    CHECK(get0_policy(ssl) == nullptr);
  }
}

#endif

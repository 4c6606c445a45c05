// A ClientHello, and what the handlers of install() decide on each call of them: suspend, reject, throw, bind
// elsewhere, ask. The input says both. What follows must be what the last decision says, and the connection is always
// bound.
#include <openssl/err.h>
#include <openssl/tls1.h>

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>
#include <string>

#include "client_tls/hooks.hpp"
#include "fuzz.hpp"
#include "support/pki.hpp"

namespace {

using namespace client_tls;
using fuzz::Bytes;
using fuzz::ByteView;
using fuzz::expect;
using fuzz::Input;

constexpr int max_calls = 8;  // of each handler, and of SSL_do_handshake
constexpr std::size_t max_edits = 12;
constexpr std::string_view recorded_name = "a.test";

enum class Ending : std::uint8_t { none, proceeds, suspends, rejects, throws };

// What one input decides and what has come of it.
struct Run {
  Bytes choices;  // one for each call of a handler
  std::size_t calls = 0;
  Ending ending = Ending::none;  // of the last call
  Phase phase{};                 // of the last call
  std::optional<std::string> scope;
  bool asked = false;
  bool reuse_disabled = false;
  int expected_errors = 0;  // reports that the error handler must get
  int errors = 0;
  std::optional<int> alert;
  bool error_handler_throws = false;
};
Run* run = nullptr;

// The rules of server_name.hpp, read in another way than the library does; nothing, where the name is refused.
std::optional<std::string> documented_form(std::string name) {
  constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  if (name.find_first_not_of(allowed) != std::string::npos) return std::nullopt;
  for (char& byte : name) {
    if (byte >= 'A' && byte <= 'Z') byte = static_cast<char>(byte | 0x20);
  }
  if (name.ends_with('.')) name.pop_back();
  const std::string labels = "." + name + ".";
  if (labels.find("..") != std::string::npos) return std::nullopt;
  const std::string last = labels.substr(labels.rfind('.', labels.size() - 2) + 1);
  if (last.find_first_not_of("0123456789.") == std::string::npos) return std::nullopt;
  return name;
}

std::optional<std::string> documented_name(SSL* ssl) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &size) != 1) return "";
  const ByteView body{data, size};
  if (size < 6 || size > 5 + 255 || body[2] != 0) return std::nullopt;
  const std::size_t list = body[0] * 256U + body[1];
  const std::size_t length = body[3] * 256U + body[4];
  if (list != size - 2 || length != size - 5) return std::nullopt;
  const ByteView name = body.subspan(5);
  return documented_form({name.begin(), name.end()});
}

[[noreturn]] void throw_something(unsigned choice) {
  run->ending = Ending::throws;
  ++run->expected_errors;
  switch (choice % 3) {
    case 0:
      throw std::runtime_error("a handler's exception");
    case 1:
      throw 42;
    default:
      throw std::bad_alloc();
  }
}

Decision decide(unsigned choice) {
  switch (choice) {
    case 0:
      run->ending = Ending::suspends;
      return Decision::suspend;
    case 1:
      run->ending = Ending::rejects;
      return Decision::reject;
    case 2:
      run->ending = Ending::rejects;
      return static_cast<Decision>(7);  // none of the enumeration's: not a permission
    default:
      run->ending = Ending::proceeds;
      return Decision::proceed;
  }
}

template <class T>
void expect_error(const Result<T>& result, Errc code) {
  expect(!result && result.error().code == code, "the operation is refused, with the documented error");
}

void call_in_client_hello(const ClientTls& tls, unsigned choice) {
  const fuzz::QueueGuard guard;
  switch (choice % 6) {
    case 0:
      expect(tls.bind_session("elsewhere").has_value(), "a scope is taken");
      run->scope = "elsewhere";
      return;
    case 1:
      expect_error(tls.bind_session(""), Errc::invalid_argument);
      return;
    case 2: {
      const std::string long_scope(max_scope_size + choice / 128, 'x');
      expect(tls.bind_session(long_scope).has_value() == (long_scope.size() <= max_scope_size), "1 to 4096 bytes");
      if (long_scope.size() <= max_scope_size) run->scope = long_scope;
      return;
    }
    case 3:
      expect_error(tls.request_client_certificate(), Errc::wrong_phase);
      expect_error(tls.get_full_client_certificate_chain(), Errc::wrong_phase);
      expect_error(tls.log_entry(), Errc::wrong_phase);
      return;
    default:
      return;
  }
}

Decision on_client_hello(Handshake& handshake) {
  SSL* ssl = handshake.ssl();
  run->phase = Phase::client_hello;
  run->asked = run->reuse_disabled = false;
  expect(handshake.phase() == Phase::client_hello, "the handler is in its phase");
  const auto name = documented_name(ssl);
  expect(name && handshake.server_name() == *name, "the handler is called with the name in the ClientHello");
  run->scope = "server_name:" + *name;
  const unsigned choice = run->choices[run->calls++ % run->choices.size()];
  call_in_client_hello(handshake.tls(), choice / 8);
  if (choice % 8 == 3) throw_something(choice / 8);
  return decide(choice % 8);
}

// The session of a full handshake has the context of the scope that was chosen last; one that was asked in is dead.
void check_session(SSL* ssl) {
  unsigned size = 0;
  const unsigned char* context = SSL_SESSION_get0_id_context(SSL_get_session(ssl), &size);
  const bool in_scope = std::ranges::equal(ByteView{context, size}, fuzz::session_id_context(*run->scope));
  expect(in_scope == (!run->asked && !run->reuse_disabled), "the session is in its scope, or dead");
}

void call_in_certificate(const ClientTls& tls, unsigned choice) {
  const fuzz::QueueGuard guard;
  const test::Pki& pki = test::Pki::get();
  const std::array hints{pki.ca1.get(), pki.ca2.get(), pki.ca1.get()};
  const std::array<X509*, 2> bad_hints{pki.ca1.get(), nullptr};
  switch (choice % 8) {
    case 0:
      run->asked = tls.request_client_certificate().has_value();
      expect(run->asked, "the certificate is asked for");
      return;
    case 1:
      run->asked = tls.request_client_certificate(hints).has_value();
      expect(run->asked, "the certificate is asked for, with hints");
      return;
    case 2:
      run->reuse_disabled = tls.disable_session_reuse().has_value();
      expect(run->reuse_disabled, "reuse is disabled");
      return;
    case 3:
      expect_error(tls.request_client_certificate(bad_hints), Errc::invalid_argument);
      expect_error(tls.request_client_certificate({}, {.max_chain_bytes = 0}), Errc::invalid_argument);
      return;
    case 4:
      expect_error(tls.bind_session("elsewhere"), Errc::wrong_phase);
      expect_error(tls.log_entry(), Errc::wrong_phase);
      return;
    default:
      return;
  }
}

Decision on_certificate(Handshake& handshake) {
  SSL* ssl = handshake.ssl();
  expect(run->phase == Phase::certificate || run->ending == Ending::proceeds,
         "client_hello came before, and proceeded");
  run->phase = Phase::certificate;
  expect(handshake.phase() == Phase::certificate && SSL_session_reused(ssl) == 0, "full handshakes only");
  const unsigned choice = run->choices[run->calls++ % run->choices.size()];
  check_session(ssl);
  call_in_certificate(handshake.tls(), choice / 8);
  check_session(ssl);
  if (choice % 8 == 3) throw_something(choice / 8);
  return decide(choice % 8);
}

// The library tells by the random whether OpenSSL has taken a ClientHello over, and takes one of zeros for none. Chance
// brings none about in 2^256 handshakes; who sends it all the same is refused.
bool random_of_zeros(SSL* ssl) {
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(ssl, &random);
  return std::ranges::count(ByteView{random, size}, 0) == static_cast<std::ptrdiff_t>(size);
}

void on_error(const HookError& error) {
  ++run->errors;
  if (run->ending != Ending::throws) {  // then it is a name that cannot be used, and no handler was called
    expect(error.phase == Phase::client_hello, "what is wrong is in the ClientHello");
    expect(!documented_name(error.ssl) || random_of_zeros(error.ssl), "only a bad name is refused by itself");
    ++run->expected_errors;
    run->ending = Ending::none;
    run->phase = Phase::client_hello;
  }
  if (run->error_handler_throws) throw std::runtime_error("the error handler's exception");
}

void see_message(int sent, int, int type, const void* data, std::size_t size, SSL*, void*) {
  if (sent == 1 && type == SSL3_RT_ALERT && size == 2 && run != nullptr) {
    run->alert = static_cast<const unsigned char*>(data)[1];
  }
}

SslCtxPtr make_server() {
  SslCtxPtr ctx{SSL_CTX_new(TLS_server_method())};
  const test::Pki& pki = test::Pki::get();
  SSL_CTX_use_certificate(ctx.get(), pki.server.get());
  SSL_CTX_use_PrivateKey(ctx.get(), pki.server.key.get());
  SSL_CTX_set1_groups_list(ctx.get(), "X25519");
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_msg_callback(ctx.get(), see_message);
  expect(install(ctx.get(), {.client_hello = on_client_hello, .certificate = on_certificate, .error = on_error})
             .has_value(),
         "the hooks are installed");
  return ctx;
}

// What a client of OpenSSL sends first, and again after a HelloRetryRequest.
struct Recording {
  Bytes first;
  Bytes second;
};

bool is_client_hello(ByteView bytes) {
  return bytes.size() > 5 && bytes[0] == SSL3_RT_HANDSHAKE && bytes[5] == SSL3_MT_CLIENT_HELLO;
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
  static_cast<SslSessionPtr*>(SSL_get_app_data(ssl))->reset(session);
  return 1;
}

SslCtxPtr make_client(int version, const char* groups) {
  SslCtxPtr ctx{SSL_CTX_new(TLS_client_method())};
  SSL_CTX_set_min_proto_version(ctx.get(), version);
  SSL_CTX_set_max_proto_version(ctx.get(), version);
  SSL_CTX_set1_groups_list(ctx.get(), groups);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx.get(), keep_session);
  return ctx;
}

// With a session, the ClientHello offers it. The recorded connections proceed everywhere.
Recording record(SSL_CTX* server_ctx, int version, const char* groups, std::string_view name, bool resume) {
  const SslCtxPtr ctx = make_client(version, groups);
  SslSessionPtr session;
  Recording recording;
  for (int connection = 0; connection < (resume ? 2 : 1); ++connection) {
    Run proceeds;
    proceeds.choices = {7 + 8 * 7};
    run = &proceeds;
    const SslPtr client{SSL_new(ctx.get())};
    const SslPtr server{SSL_new(server_ctx)};
    for (SSL* ssl : {client.get(), server.get()}) fuzz::connect_to_memory(ssl);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    SslSessionPtr kept;
    SSL_set_app_data(client.get(), &kept);
    if (!name.empty()) SSL_set_tlsext_host_name(client.get(), std::string(name).c_str());
    if (session != nullptr) SSL_set_session(client.get(), session.get());
    for (int round = 0; round < 4; ++round) {
      fuzz::advance(client.get());
      const Bytes sent = fuzz::take_written(client.get());
      if (round == 0) recording.first = sent;
      if (round == 1 && is_client_hello(sent)) recording.second = sent;
      fuzz::give(server.get(), sent);
      fuzz::advance(server.get());
      fuzz::move_bytes(server.get(), client.get());
    }
    expect(SSL_is_init_finished(server.get()) == 1, "the recorded connection completes");
    expect(SSL_session_reused(server.get()) == (session != nullptr ? 1 : 0), "the recorded session resumes");
    SSL_set_shutdown(server.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_shutdown(client.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    session = std::move(kept);
  }
  run = nullptr;
  return recording;
}

constexpr std::size_t offers_session13 = 3;
constexpr std::size_t offers_session12 = 4;

struct Fixture {
  SslCtxPtr server;
  std::array<Recording, 7> recordings;
};

Fixture make_fixture() {
  fuzz::begin();
  SslCtxPtr server = make_server();
  SSL_CTX* ctx = server.get();
  const std::string_view name = recorded_name;
  return {
      .server = std::move(server),
      .recordings = {
          record(ctx, TLS1_3_VERSION, "X25519", name, false), record(ctx, TLS1_2_VERSION, "X25519:P-256", name, false),
          record(ctx, TLS1_3_VERSION, "P-256:X25519", name, false),  // a HelloRetryRequest
          record(ctx, TLS1_3_VERSION, "X25519", name, true), record(ctx, TLS1_2_VERSION, "X25519:P-256", name, true),
          record(ctx, TLS1_3_VERSION, "X25519", "", false), record(ctx, TLS1_2_VERSION, "X25519:P-256", "", false)}};
}

void put(Bytes& bytes, std::size_t at, std::size_t width, std::size_t value) {
  for (std::size_t i = 0; i < width && at + i < bytes.size(); ++i) {
    bytes[at + i] = static_cast<unsigned char>(value >> (8 * (width - 1 - i)));
  }
}

// Where the extensions of a recorded ClientHello begin with their length: behind the record's and the message's
// header, version, random, session id, cipher suites and compression methods.
std::size_t extensions_at(ByteView hello) {
  std::size_t at = 5 + 4 + 2 + 32;
  at += 1U + hello[at];
  at += 2U + hello[at] * 256U + hello[at + 1];
  return at + 1U + hello[at];
}

// Puts a server_name extension with this body in front of the others.
void insert_server_name(Bytes& hello, ByteView body) {
  const std::size_t at = extensions_at(hello);
  const std::size_t length = hello[at] * 256U + hello[at + 1];
  Bytes extension(4);
  put(extension, 2, 2, body.size());
  extension.insert(extension.end(), body.begin(), body.end());
  hello.insert(hello.begin() + static_cast<std::ptrdiff_t>(at) + 2, extension.begin(), extension.end());
  put(hello, at, 2, length + extension.size());
}

void repair_lengths(Bytes& hello) {
  if (hello.size() < 9) return;
  put(hello, 3, 2, hello.size() - 5);
  put(hello, 6, 3, hello.size() - 9);
}

// The first bytes and, for after a HelloRetryRequest, the second: as recorded and then changed, or the input's own.
void make_flights(const Fixture& fixture, unsigned form, Input& input, std::array<Bytes, 2>& flights) {
  const Recording& recording = fixture.recordings[form % 8 % fixture.recordings.size()];
  flights = {recording.first, recording.second};
  switch (form / 8 % 4) {
    case 0:
      flights[0].assign(input.rest().begin(), input.rest().end());
      return;
    case 1:
      insert_server_name(flights[0], input.rest());
      repair_lengths(flights[0]);
      return;
    default:
      for (std::size_t i = 0; i < max_edits && !input.empty(); ++i) {
        const auto edit = fuzz::Edit::read(input);
        edit.apply(flights[edit.kind / 128]);
      }
      if (form / 8 % 4 == 3) std::ranges::for_each(flights, repair_lengths);
  }
}

// One SSL_do_handshake, and what it came to: what the last handler said, if one was called.
int step(SSL* ssl) {
  const std::size_t calls = run->calls;
  const int error = fuzz::advance(ssl);
  expect(run->errors == run->expected_errors, "each exception and each bad name is reported, once");
  if (run->calls == calls) return error;
  const bool hello = run->phase == Phase::client_hello;
  switch (run->ending) {
    case Ending::suspends:
      expect(error == (hello ? SSL_ERROR_WANT_CLIENT_HELLO_CB : SSL_ERROR_WANT_X509_LOOKUP), "it waits for an answer");
      break;
    case Ending::rejects:
      expect(error == SSL_ERROR_SSL, "a rejected handshake ends");
      expect(run->alert == (hello ? SSL_AD_ACCESS_DENIED : SSL_AD_INTERNAL_ERROR), "with the documented alert");
      break;
    case Ending::throws:
      expect(error == SSL_ERROR_SSL, "a handler that throws ends the handshake");
      expect(run->alert == SSL_AD_INTERNAL_ERROR, "with alert internal_error");
      break;
    default:
      expect(error != SSL_ERROR_WANT_CLIENT_HELLO_CB && error != SSL_ERROR_WANT_X509_LOOKUP, "it does not wait");
  }
  return error;
}

void handshake(SSL* ssl, std::array<Bytes, 2> flights, bool offers_session) {
  std::size_t flight = 0;
  for (int i = 0; i < max_calls; ++i) {
    const int error = step(ssl);
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) break;
    if (error == SSL_ERROR_WANT_READ && flight == flights.size()) break;
    if (error == SSL_ERROR_WANT_READ) fuzz::give(ssl, flights[flight++]);
  }
  const bool own_scope = run->scope == "server_name:" + std::string(recorded_name);
  if (SSL_session_reused(ssl) == 1) expect(own_scope, "a session resumes in its own scope only");
  if (offers_session && own_scope && run->ending == Ending::proceeds) {
    expect(SSL_session_reused(ssl) == 1, "and it does resume there");
  }
  expect(SSL_is_init_finished(ssl) == 0, "without the client's Finished no handshake is complete");
  PhaseContext context{Phase::log};
  expect_error(ClientTls{ssl, context}.log_entry(), Errc::too_early);
  expect_error(ClientTls{ssl, context}.get_full_client_certificate_chain(), Errc::too_early);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const Fixture fixture = make_fixture();
  fuzz::begin();
  Input input{data, size};
  Run this_run;
  run = &this_run;
  const unsigned form = input.byte();
  this_run.choices = input.take(5);
  this_run.error_handler_throws = form / 128 == 1;
  std::array<Bytes, 2> flights;
  make_flights(fixture, form, input, flights);
  const SslPtr ssl{SSL_new(fixture.server.get())};
  fuzz::connect_to_memory(ssl.get());
  SSL_set_accept_state(ssl.get());
  const bool offers_session = flights[0] == fixture.recordings[offers_session12].first ||
                              flights[0] == fixture.recordings[offers_session13].first;
  handshake(ssl.get(), std::move(flights), offers_session);
  run = nullptr;
  return 0;
}

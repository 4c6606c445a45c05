// A ClientHello, and what the host decides on each call of its handlers: suspend, reject, throw, bind elsewhere, ask.
// The host has policies and hooks, which cannot change what the policy decides, or it calls the facade by hand. The
// input says all of it. What follows must be what the last decision says, and the connection is always bound.
#include <openssl/err.h>
#include <openssl/tls1.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "fuzz.hpp"
#include "support/policies.hpp"

namespace {

using namespace client_tls;
using fuzz::Bytes;
using fuzz::ByteView;
using fuzz::expect;
using fuzz::Input;

constexpr int max_calls = 8;  // of each handler, and of SSL_do_handshake
constexpr std::size_t max_edits = 12;
constexpr std::string_view recorded_name = "a.test";

// How the server comes to ask, or not.
enum class Host : std::uint8_t { policy_none, policy_optional, policy_required, by_hand };
constexpr std::size_t hosts = 4;

enum class Ending : std::uint8_t { none, proceeds, suspends, rejects, throws };

// What one input decides and what has come of it.
struct Run {
  Bytes choices;  // one for each call of a handler
  std::size_t calls = 0;
  PolicyPtr policy = nullptr;    // null: by hand
  Ending ending = Ending::none;  // of the last call
  Phase phase{};                 // of the last call
  std::optional<std::string> scope;
  std::optional<std::string> first_name;  // in the ClientHello that was let through
  Bytes first_random;                     // likewise
  Bytes bound_random;                     // in the ClientHello that was bound last
  bool bound_again = false;               // in this call
  bool asked = false;
  bool reuse_disabled = false;
  int expected_errors = 0;  // reports that the error handler must get
  int errors = 0;
  std::optional<int> alert;
  std::optional<int> expected_alert;
  bool error_handler_throws = false;

  // A second ClientHello, or the first one once more.
  [[nodiscard]] bool retried() const { return first_name.has_value(); }
  [[nodiscard]] bool can_bind() const { return !retried() || (!bound_again && bound_random == first_random); }
};
Run* run = nullptr;

Bytes random_of(SSL* ssl) {
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(ssl, &random);
  constexpr std::size_t told_apart_by = 16;  // its beginning: two clients' are never the same
  return {random, random + std::min(size, told_apart_by)};
}

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

// OpenSSL takes over what is in the first ClientHello once it is let through.
Decision decide_in_client_hello(SSL* ssl, unsigned choice) {
  const Decision decision = decide(choice);
  if (decision == Decision::proceed && !run->retried()) {
    run->first_name = documented_name(ssl).value_or("");
    run->first_random = random_of(ssl);
  }
  return decision;
}

template <class T>
void expect_error(const Result<T>& result, Errc code) {
  expect(!result && result.error().code == code, "the operation is refused, with the documented error");
}

// A policy is not changed by a hook. Without one, the ClientHello after a HelloRetryRequest is bound once, and to the
// scope that the connection has.
std::optional<Errc> documented_answer(const std::string& scope) {
  if (run->policy != nullptr) return Errc::policy_in_force;
  if (!run->can_bind()) return Errc::too_late;
  if (scope.empty() || scope.size() > max_scope_size) return Errc::invalid_argument;
  return run->retried() && scope != run->scope ? std::optional(Errc::too_late) : std::nullopt;
}

void bind_to(SSL* ssl, const ClientTls& tls, const std::string& scope) {
  const auto answer = documented_answer(scope);
  const auto result = tls.bind_session(scope);
  if (answer) {
    expect_error(result, *answer);
    return;
  }
  expect(result.has_value(), "a scope is taken");
  run->scope = scope;
  run->bound_random = random_of(ssl);
  run->bound_again = run->retried();
}

// Options out of their range, which are looked at when a scope can be bound at all.
void bind_with_bad_options(const ClientTls& tls) {
  Errc code = run->can_bind() ? Errc::invalid_argument : Errc::too_late;
  if (run->policy != nullptr) code = Errc::policy_in_force;
  constexpr std::size_t too_much = Limits::max_limit_bytes + 1;
  constexpr std::chrono::seconds longest{std::numeric_limits<std::int32_t>::max()};
  for (const BindOptions& options : {BindOptions{.limits = {.max_chain_bytes = 0}, .max_age = {}},
                                     BindOptions{.limits = {.max_chain_bytes = too_much}, .max_age = {}},
                                     BindOptions{.limits = {.max_chain_certificates = 0}, .max_age = {}},
                                     BindOptions{.limits = {.max_carried_bytes = too_much}, .max_age = {}},
                                     BindOptions{.limits = {}, .max_age = std::chrono::seconds{0}},
                                     BindOptions{.limits = {}, .max_age = longest + std::chrono::seconds{1}}}) {
    expect_error(tls.bind_session("elsewhere", options), code);
  }
}

void call_in_client_hello(SSL* ssl, const ClientTls& tls, unsigned choice) {
  const fuzz::QueueGuard guard;
  switch (choice % 6) {
    case 0:
      return bind_to(ssl, tls, "elsewhere");
    case 1:
      return bind_to(ssl, tls, "");
    case 2:
      return bind_to(ssl, tls, std::string(max_scope_size + choice / 128, 'x'));
    case 3:
      expect_error(tls.request_client_certificate(), Errc::wrong_phase);
      expect_error(tls.get_full_client_certificate_chain(), Errc::wrong_phase);
      expect_error(tls.verdict(), Errc::wrong_phase);
      expect_error(tls.log_entry(), Errc::wrong_phase);
      return;
    case 4:
      return bind_with_bad_options(tls);
    default:
      return;
  }
}

// docs/design.md: the policy's digest, what of the host's rules is stricter than a policy's (nothing), whether its
// revocation lists have ended (it has none), and the name.
std::string scope_of(const ClientAuthPolicy& policy, const std::string& name) {
  std::string scope = "policy:" + std::string(policy.digest().begin(), policy.digest().end());
  scope += std::string(4, '\0');
  scope += '\2';
  scope += '\0';
  return scope + name;
}

unsigned next_choice() {
  return run->choices[run->calls++ % run->choices.size()];
}

Decision on_client_hello(Handshake& handshake) {
  SSL* ssl = handshake.ssl();
  run->phase = Phase::client_hello;
  run->asked = run->policy->options().request != ClientAuth::none;
  run->reuse_disabled = false;
  expect(handshake.phase() == Phase::client_hello, "the handler is in its phase");
  const auto name = documented_name(ssl);
  expect(name && handshake.server_name() == *name, "the handler is called with the name in the ClientHello");
  expect(!run->retried() || name == run->first_name, "the name stays the same after a HelloRetryRequest");
  const bool again = run->ending == Ending::suspends && run->bound_random == random_of(ssl);
  expect(run->can_bind() || again, "the handler is called for a ClientHello that could be bound");
  expect(get0_policy(ssl) == run->policy.get(), "the policy is in force");
  run->scope = scope_of(*run->policy, *name);
  run->bound_random = random_of(ssl);
  const unsigned choice = next_choice();
  call_in_client_hello(ssl, handshake.tls(), choice / 8);
  if (choice % 8 == 3) throw_something(choice / 8);
  return decide_in_client_hello(ssl, choice % 8);
}

// The host by hand refuses a bad name, too, and goes on where a scope is refused.
int on_client_hello_by_hand(SSL* ssl, int* alert, void*) {
  run->phase = Phase::client_hello;
  run->bound_again = false;
  run->asked = run->reuse_disabled =
      false;  // after a HelloRetryRequest, too: there is another session, and another call
  const auto name = ServerName::from_client_hello(ssl);
  const auto documented = documented_name(ssl);
  expect(name.has_value() == documented.has_value(), "a bad name is refused, no other");
  run->ending = Ending::none;
  if (!name) return SSL_CLIENT_HELLO_ERROR;
  expect(name->view() == *documented, "the name is read as documented");
  PhaseContext context{Phase::client_hello};
  const ClientTls tls{ssl, context};
  bind_to(ssl, tls, "server_name:" + *documented);
  const unsigned choice = next_choice();
  call_in_client_hello(ssl, tls, choice / 8);
  switch (decide_in_client_hello(ssl, choice % 8)) {
    case Decision::proceed:
      return SSL_CLIENT_HELLO_SUCCESS;
    case Decision::suspend:
      return SSL_CLIENT_HELLO_RETRY;
    default:
      *alert = SSL_AD_ACCESS_DENIED;
      return SSL_CLIENT_HELLO_ERROR;
  }
}

// The session of a full handshake has the context of the scope that was chosen last; one that was asked in is dead.
void check_session(SSL* ssl) {
  unsigned size = 0;
  const unsigned char* context = SSL_SESSION_get0_id_context(SSL_get_session(ssl), &size);
  const bool in_scope = std::ranges::equal(ByteView{context, size}, fuzz::session_id_context(*run->scope));
  expect(in_scope == (!run->asked && !run->reuse_disabled), "the session is in its scope, or dead");
}

void request(const ClientTls& tls, std::span<X509* const> hints) {
  const auto result = tls.request_client_certificate(hints);
  if (run->policy != nullptr) return expect_error(result, Errc::policy_in_force);
  expect(result.has_value(), "the certificate is asked for");
  run->asked = true;
}

void call_in_certificate(const ClientTls& tls, unsigned choice) {
  const fuzz::QueueGuard guard;
  const test::Pki& pki = test::Pki::get();
  const std::array hints{pki.ca1.get(), pki.ca2.get(), pki.ca1.get()};
  const std::array<X509*, 2> bad_hints{pki.ca1.get(), nullptr};
  const Errc bad_argument = run->policy != nullptr ? Errc::policy_in_force : Errc::invalid_argument;
  switch (choice % 8) {
    case 0:
      return request(tls, {});
    case 1:
      return request(tls, hints);
    case 2:
      run->reuse_disabled = tls.disable_session_reuse().has_value();
      expect(run->reuse_disabled, "reuse is disabled");
      return;
    case 3:
      expect_error(tls.request_client_certificate(bad_hints), bad_argument);
      return;
    case 4:
      expect_error(tls.bind_session("elsewhere"), Errc::wrong_phase);
      expect_error(tls.verdict(), Errc::wrong_phase);
      expect_error(tls.log_entry(), Errc::wrong_phase);
      return;
    default:
      return;
  }
}

// What a policy has set for the verification.
struct Asking {
  explicit Asking(SSL* ssl)
      : mode(SSL_get_verify_mode(ssl)),
        callback(SSL_get_verify_callback(ssl)),
        names(SSL_get_client_CA_list(ssl)),
        max_bytes(SSL_get_max_cert_list(ssl)) {}
  bool operator==(const Asking&) const = default;

  int mode;
  SSL_verify_cb callback;
  const void* names;
  long max_bytes;
};

void check_asking(SSL* ssl, const ClientAuthPolicy& policy) {
  const int required = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  const std::array modes{SSL_VERIFY_NONE, SSL_VERIFY_PEER, required};
  expect(SSL_get_verify_mode(ssl) == modes.at(static_cast<std::size_t>(policy.options().request)),
         "the client is asked as the policy says");
  X509_STORE* store = nullptr;
  SSL_get0_verify_cert_store(ssl, &store);
  expect(store == policy.get0_store(), "and verified against the policy's anchors");
}

// What is done in the certificate callback before the decision.
unsigned call_certificate(SSL* ssl, const ClientTls& tls) {
  expect(run->phase == Phase::certificate || run->ending == Ending::proceeds,
         "client_hello came before, and proceeded");
  run->phase = Phase::certificate;
  expect(SSL_session_reused(ssl) == 0, "full handshakes only");
  expect(get0_policy(ssl) == run->policy.get(), "the policy is still in force");
  const unsigned choice = next_choice();
  check_session(ssl);
  const Asking before{ssl};
  call_in_certificate(tls, choice / 8);
  if (run->policy != nullptr) {
    expect(Asking{ssl} == before, "no hook changes what is asked");
    check_asking(ssl, *run->policy);
  }
  check_session(ssl);
  return choice;
}

Decision on_certificate(Handshake& handshake) {
  expect(handshake.phase() == Phase::certificate, "the handler is in its phase");
  const unsigned choice = call_certificate(handshake.ssl(), handshake.tls());
  if (choice % 8 == 3) throw_something(choice / 8);
  return decide(choice % 8);
}

int on_certificate_by_hand(SSL* ssl, void*) {
  PhaseContext context{Phase::certificate};
  const Decision decision = decide(call_certificate(ssl, ClientTls{ssl, context}) % 8);
  return decision == Decision::suspend ? -1 : (decision == Decision::proceed ? 1 : 0);
}

// Whether the ClientHello after a HelloRetryRequest is another one than before, in what must not change.
bool changed_in_mid_handshake(SSL* ssl) {
  return run->retried() && (!run->can_bind() || documented_name(ssl) != run->first_name);
}

void on_error(const HandshakeError& ended) {
  ++run->errors;
  if (run->ending != Ending::throws) {  // then it is a name that cannot be used, and no handler was called
    expect(ended.phase == Phase::client_hello, "what is wrong is in the ClientHello");
    const bool bad_name = !documented_name(ended.ssl);
    expect(bad_name || changed_in_mid_handshake(ended.ssl), "nothing else is refused");
    if (!bad_name) run->expected_alert = SSL_AD_ILLEGAL_PARAMETER;
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

PolicyPtr make_policy(Host host) {
  if (host == Host::by_hand) return nullptr;
  if (host == Host::policy_none) return test::make_policy({});
  return test::make_policy(test::asking(host == Host::policy_required ? ClientAuth::required : ClientAuth::optional));
}

void install_by_hand(SSL_CTX* ctx) {
  SSL_CTX_set_client_hello_cb(ctx, on_client_hello_by_hand, nullptr);
  SSL_CTX_set_cert_cb(ctx, on_certificate_by_hand, nullptr);
}

SslCtxPtr make_server(const PolicyPtr& policy) {
  SslCtxPtr ctx = fuzz::make_server_ctx();
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_msg_callback(ctx.get(), see_message);
  if (policy == nullptr) {
    install_by_hand(ctx.get());
    return ctx;
  }
  expect(install(ctx.get(), std::make_shared<CurrentPolicies>(PolicyTable{policy, policy}),
                 {.client_hello = on_client_hello, .certificate = on_certificate, .error = on_error})
             .has_value(),
         "the policies are installed");
  return ctx;
}

// What a client of OpenSSL sends first, and again after a HelloRetryRequest.
struct Recording {
  Bytes first;
  Bytes second;
};

// The second ClientHello in what a client sends after a HelloRetryRequest, without the change_cipher_spec that it sends
// before it for the sake of middleboxes (RFC 8446, appendix D.4); empty where there is none.
Bytes second_client_hello(const Bytes& sent) {
  constexpr std::ptrdiff_t change_cipher_spec = 6;
  const bool there = sent.size() > 11 && sent[0] == SSL3_RT_CHANGE_CIPHER_SPEC && sent[6] == SSL3_RT_HANDSHAKE &&
                     sent[11] == SSL3_MT_CLIENT_HELLO;
  return there ? Bytes(sent.begin() + change_cipher_spec, sent.end()) : Bytes{};
}

SslCtxPtr make_client(int version, const char* groups) {
  SslCtxPtr ctx = fuzz::make_client_ctx(test::client1());
  SSL_CTX_set_min_proto_version(ctx.get(), version);
  SSL_CTX_set_max_proto_version(ctx.get(), version);
  SSL_CTX_set1_groups_list(ctx.get(), groups);
  return ctx;
}

// With a session, the ClientHello offers it. The recorded connections proceed everywhere.
struct Server {
  PolicyPtr policy;
  SslCtxPtr ctx;
};

Recording record(const Server& host, int version, const char* groups, std::string_view name, bool resume) {
  const SslCtxPtr ctx = make_client(version, groups);
  SslSessionPtr session;
  Recording recording;
  for (int connection = 0; connection < (resume ? 2 : 1); ++connection) {
    Run proceeds;
    proceeds.choices = {7 + 8 * 7};
    proceeds.policy = host.policy;
    run = &proceeds;
    const SslPtr client{SSL_new(ctx.get())};
    const SslPtr server{SSL_new(host.ctx.get())};
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
      if (round == 1) recording.second = second_client_hello(sent);
      fuzz::give(server.get(), sent);
      fuzz::advance(server.get());
      fuzz::move_bytes(server.get(), client.get());
    }
    expect(SSL_is_init_finished(server.get()) == 1, "the recorded connection completes");
    expect(SSL_session_reused(server.get()) == (session != nullptr ? 1 : 0), "the recorded session resumes");
    for (SSL* ssl : {server.get(), client.get()}) test::close_in_order(ssl);
    session = std::move(kept);
  }
  run = nullptr;
  return recording;
}

constexpr std::size_t retried = 2;
constexpr std::size_t offers_session13 = 3;
constexpr std::size_t offers_session12 = 4;

struct Fixture {
  Server server;
  std::array<Recording, 7> recordings;
};

Fixture make_fixture(Host host) {
  fuzz::begin();
  const PolicyPtr policy = make_policy(host);
  Server server{.policy = policy, .ctx = make_server(policy)};
  const std::string_view name = recorded_name;
  const std::array recordings{record(server, TLS1_3_VERSION, "X25519", name, false),
                              record(server, TLS1_2_VERSION, "X25519:P-256", name, false),
                              record(server, TLS1_3_VERSION, "P-384:X25519", name, false),  // a HelloRetryRequest
                              record(server, TLS1_3_VERSION, "X25519", name, true),
                              record(server, TLS1_2_VERSION, "X25519:P-256", name, true),
                              record(server, TLS1_3_VERSION, "X25519", "", false),
                              record(server, TLS1_2_VERSION, "X25519:P-256", "", false)};
  expect(!recordings.at(retried).second.empty(), "there is a HelloRetryRequest");
  return {.server = std::move(server), .recordings = recordings};
}

std::string recorded_scope(const PolicyPtr& policy) {
  const std::string name{recorded_name};
  return policy != nullptr ? scope_of(*policy, name) : "server_name:" + name;
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
  if (run->expected_alert) expect(run->alert == run->expected_alert, "with the documented alert");
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
  const bool own_scope = run->scope == recorded_scope(run->policy);
  if (SSL_session_reused(ssl) == 1) expect(own_scope, "a session resumes in its own scope only");
  if (offers_session && own_scope && run->ending == Ending::proceeds) {
    expect(SSL_session_reused(ssl) == 1, "and it does resume there");
  }
  expect(SSL_is_init_finished(ssl) == 0, "without the client's Finished no handshake is complete");
  PhaseContext context{Phase::log};
  expect_error(ClientTls{ssl, context}.log_entry(), Errc::too_early);
  expect_error(ClientTls{ssl, context}.get_full_client_certificate_chain(), Errc::too_early);
  expect_error(ClientTls{ssl, context}.verdict(), Errc::too_early);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const std::array<Fixture, hosts> fixtures{make_fixture(Host::policy_none), make_fixture(Host::policy_optional),
                                                   make_fixture(Host::policy_required), make_fixture(Host::by_hand)};
  fuzz::begin();
  Input input{data, size};
  Run this_run;
  run = &this_run;
  const unsigned form = input.byte();
  const Fixture& fixture = fixtures.at(form / 32 % hosts);
  this_run.policy = fixture.server.policy;
  this_run.choices = input.take(5);
  this_run.error_handler_throws = form / 128 == 1;
  std::array<Bytes, 2> flights;
  make_flights(fixture, form, input, flights);
  const SslPtr ssl{SSL_new(fixture.server.ctx.get())};
  fuzz::connect_to_memory(ssl.get());
  SSL_set_accept_state(ssl.get());
  const bool offers_session = flights[0] == fixture.recordings[offers_session12].first ||
                              flights[0] == fixture.recordings[offers_session13].first;
  handshake(ssl.get(), std::move(flights), offers_session);
  run = nullptr;
  return 0;
}

// Sequences of API calls: any operation, in any phase, at any moment of a connection and of the one after it, on the
// server's SSL or on what is none. The input says which, and whether a policy is in force, beside whose hooks the calls
// are made. Each answer must be the documented one, an error must change nothing, and the two connections must come to
// what was asked of them.
#include <openssl/err.h>
#include <openssl/tls1.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "fuzz.hpp"
#include "support/policies.hpp"

namespace {

using namespace client_tls;
using fuzz::expect;
using fuzz::Input;

constexpr int max_rounds = 5;
constexpr std::size_t max_calls = 24;

enum class Moment : std::uint8_t { before, client_hello, servername, certificate, first_flight, after };
constexpr std::size_t moments = 6;
enum class Target : std::uint8_t { server, null, client, dtls, fresh };
constexpr std::size_t targets = 8;  // in an input: mostly the server

// One call, as the input has it.
struct Call {
  Moment moment;
  bool in_second;  // in the second connection
  unsigned operation;
  unsigned variant;
  unsigned phase;
  Target target;
  bool other_context;  // of the two contexts that the connection has
};

struct Plan {
  bool tls13;
  bool stateful;
  bool presents;    // the client has a certificate
  bool second;      // there is a second connection, and the client offers the first one's session
  bool reuses_ssl;  // the second is on the same SSL, after SSL_clear
  bool retried;     // the client's first key share is of a group that the server does not know
  bool policies;    // installed; otherwise all is by hand

  [[nodiscard]] bool retries() const { return retried && tls13; }  // a HelloRetryRequest
  std::vector<Call> calls;
};

// What the calls on one connection have come to.
struct Connection {
  SSL* ssl = nullptr;
  SSL* client = nullptr;
  bool second = false;
  bool reused_ssl = false;
  int hellos = 0;
  bool bound_again = false;  // after a HelloRetryRequest
  std::optional<std::string> scope;
  bool requested = false;
  bool late_request = false;  // outside of the certificate callback, where OpenSSL may not heed it
  bool disabled = false;
  bool strict = false;  // with limits that the client's chain may exceed
  bool left_over =
      false;  // what `requested` and `strict` say was asked on the same SSL, in a handshake that did not complete
  bool certificate_callback = false;
  std::array<PhaseContext, 2> contexts{PhaseContext{Phase::access}, PhaseContext{Phase::log}};
  std::array<std::string, 2> overrides;
  std::array<std::string, 2> given;  // what the last verdict in each context was
};
const Plan* plan = nullptr;
Connection* current = nullptr;

// The operations as an input has them.
enum Operation : std::uint8_t {
  bind_session,
  request_certificate,
  disable_reuse,
  get_chain,
  set_text,
  set_value,
  log_entry,
  verdict
};
constexpr unsigned operations = 8;

// phase_table, written once more: a table that is wrong must not hold itself to be right.
bool documented(unsigned operation, unsigned phase) {
  constexpr unsigned none = 0;
  constexpr std::array<unsigned, operations> phases{0b000000001, 0b000000010, 0b000000010, 0b111111100,
                                                    0b000111100, 0b000111100, 0b100000000, 0b111111100};
  return ((phase < 9 ? phases.at(operation) : none) >> phase & 1U) != 0;
}

// Everything that an operation could change, and an error must not.
struct Snapshot {
  int verify_mode = 0;
  SSL_verify_cb verify_callback = nullptr;
  void (*info_callback)(const SSL*, int, int) = nullptr;
  long max_cert_list = 0;
  std::size_t num_tickets = 0;
  std::uint64_t options = 0;
  const void* client_ca_list = nullptr;
  const void* session = nullptr;
  std::string session_id;
  std::string id_context;
  std::string appdata;
  long timeout = 0;
  std::array<Phase, 2> phases{};
  std::array<std::string, 2> overrides;

  bool operator==(const Snapshot&) const = default;
};

std::string text(const void* data, std::size_t size) {
  return size == 0 ? "" : std::string(static_cast<const char*>(data), size);
}

Snapshot look(const SSL* ssl) {
  Snapshot result;
  for (std::size_t i = 0; i < 2; ++i) {
    result.phases.at(i) = current->contexts.at(i).phase();
    const auto& value = current->contexts.at(i).client_verify();
    if (value) result.overrides.at(i) = value->text();
  }
  if (ssl == nullptr) return result;
  result.verify_mode = SSL_get_verify_mode(ssl);
  result.verify_callback = SSL_get_verify_callback(ssl);
  result.info_callback = SSL_get_info_callback(ssl);
  result.max_cert_list = SSL_get_max_cert_list(const_cast<SSL*>(ssl));
  result.num_tickets = SSL_get_num_tickets(ssl);
  result.options = SSL_get_options(ssl);
  result.client_ca_list = SSL_is_server(ssl) == 1 ? SSL_get_client_CA_list(ssl) : nullptr;
  SSL_SESSION* session = SSL_get_session(ssl);
  result.session = session;
  if (session == nullptr) return result;
  unsigned size = 0;
  const void* data = SSL_SESSION_get_id(session, &size);
  result.session_id = text(data, size);
  data = SSL_SESSION_get0_id_context(session, &size);
  result.id_context = text(data, size);
  void* appdata = nullptr;
  std::size_t appdata_size = 0;
  SSL_SESSION_get0_ticket_appdata(session, &appdata, &appdata_size);
  result.appdata = text(appdata, appdata_size);
  result.timeout = SSL_SESSION_get_timeout(session);
  return result;
}

// What an answer may be. An operation succeeds where `code` is empty.
struct Answer {
  std::optional<Errc> code;

  template <class T>
  static Answer of(const Result<T>& result) {
    return {result ? std::nullopt : std::optional(result.error().code)};
  }
};

constexpr std::array<std::string_view, 5> good_values{"SUCCESS", "NONE", "FAILED:x", "FAILED: a reason",
                                                      "FAILED:FAILED:"};
constexpr std::array<std::string_view, 5> bad_values{"", "FAILED:", "success", "SUCCESS ", "FAILED:\n"};

std::string scope_of(unsigned variant) {
  switch (variant % 5) {
    case 0:
      return "a";
    case 1:
      return "b";
    case 2:
      return std::string(max_scope_size, 'a');
    case 3:
      return "";
    default:
      return std::string(max_scope_size + 1, 'a');
  }
}

// SSL_clear leaves the SSL's settings, and the first operation that succeeds on it forgets them.
void forget_left_over() {
  if (current->left_over) current->requested = current->strict = current->left_over = false;
}

constexpr unsigned scopes = 5;

BindOptions options_of(unsigned variant) {
  switch (variant / scopes % 7) {
    case 1:
      return {.limits = {.max_chain_certificates = 1}, .max_age = {}};
    case 2:
      return {.limits = {.max_chain_bytes = 100}, .max_age = {}};
    case 3:
      return {.limits = {.max_carried_bytes = 0}, .max_age = {}};
    case 4:
      return {.limits = {.max_chain_certificates = 101}, .max_age = {}};
    case 5:
      return {.limits = {}, .max_age = std::chrono::seconds{0}};
    case 6:
      return {.limits = {}, .max_age = std::chrono::hours{1}};
    default:
      return {};
  }
}

bool good_options(unsigned variant) {
  const unsigned choice = variant / scopes % 7;
  return choice != 4 && choice != 5;
}

bool strict_options(unsigned variant) {
  const unsigned choice = variant / scopes % 7;
  return choice >= 1 && choice <= 3;
}

void note_bound(const std::string& scope, bool strict) {
  current->scope = scope;
  current->bound_again = current->hellos > 1;
  current->left_over = false;
  current->requested = current->disabled = current->late_request = false;
  current->strict = strict;
}

Answer bind(const ClientTls& tls, unsigned variant) {
  const std::string scope = scope_of(variant);
  const auto answer = Answer::of(tls.bind_session(scope, options_of(variant)));
  if (answer.code) return answer;
  note_bound(scope, strict_options(variant));
  return answer;
}

bool good_request(unsigned variant) {
  return variant % 8 < 5;
}

Answer request(const ClientTls& tls, unsigned variant, Moment moment) {
  const test::Pki& pki = test::Pki::get();
  const std::array hints{pki.ca1.get(), pki.ca2.get(), pki.ca1.get()};
  const std::array<X509*, 2> null_hint{pki.ca1.get(), nullptr};
  const std::span<X509* const> good = variant % 2 == 0 ? std::span<X509* const>{} : hints;
  const auto answer = Answer::of(tls.request_client_certificate(good_request(variant) ? good : null_hint));
  if (answer.code) return answer;
  forget_left_over();
  (moment == Moment::certificate || moment == Moment::servername ? current->requested : current->late_request) = true;
  if (!current->scope) current->disabled = true;
  return answer;
}

Answer disable(const ClientTls& tls) {
  const auto answer = Answer::of(tls.disable_session_reuse());
  if (answer.code) return answer;
  forget_left_over();
  current->disabled = true;
  return answer;
}

Answer set_by_text(const ClientTls& tls, unsigned variant, std::string& kept) {
  const bool good = variant % 2 == 0;
  const std::string_view value = good ? good_values.at(variant / 2 % 5) : bad_values.at(variant / 2 % 5);
  try {
    tls.set_client_verify(value);
  } catch (const PhaseError&) {
    return {Errc::wrong_phase};
  } catch (const std::invalid_argument&) {
    return {Errc::invalid_argument};
  }
  kept = value;
  return {};
}

Answer set_by_value(const ClientTls& tls, unsigned variant, std::string& kept) {
  auto value = *ClientVerify::parse(good_values.at(variant / 2 % 5));
  const std::string copy{value.text()};
  ClientVerify other = value;
  if (variant % 2 == 1) other = std::move(value);  // then `value` is empty
  if (variant % 2 == 1 && !value.text().empty()) return {Errc::invalid_argument};
  const auto answer = Answer::of(tls.set_client_verify(std::move(value)));
  if (!answer.code) kept = copy;
  return answer;
}

bool resumed() {
  return SSL_session_reused(current->ssl) == 1;
}

// Whether the client's certificate is to be seen, and its session may bring it back.
bool identified() {
  return plan->presents && (current->requested || resumed());
}

Answer check_chain(const ClientTls& tls) {
  const auto chain = tls.get_full_client_certificate_chain();
  if (!chain) return Answer::of(chain);
  const test::Pki& pki = test::Pki::get();
  static const std::string whole = test::pem_of({pki.client1.get(), pki.intermediate1.get()});
  const bool has_leaf = SSL_get0_peer_certificate(current->ssl) != nullptr;
  expect(chain->has_value() == has_leaf, "there is a chain where there is a certificate");
  expect(!has_leaf || (identified() && **chain == whole), "the chain is the client's, whole");
  return {};
}

// Whether the certificate that is there was asked for, or its chain is carried by the session that brought it.
bool trusted() {
  return current->requested || (resumed() && current->scope);
}

Answer check_log(const ClientTls& tls, const std::string& kept, const std::string& given) {
  const auto entry = tls.log_entry();
  if (!entry) return Answer::of(entry);
  if (!kept.empty()) {
    expect(entry->client_verify == kept, "the log has the override of its context");
    return {};
  }
  if (!given.empty()) {
    expect(entry->client_verify == given, "or the last verdict that was given in it");
    return {};
  }
  PhaseContext context{Phase::access};
  fuzz::expect_agrees(*ClientTls{current->ssl, context}.verdict(), entry->client_verify);
  const bool has_leaf = SSL_get0_peer_certificate(current->ssl) != nullptr;
  expect((entry->client_verify == "NONE") == !has_leaf, "NONE is for no certificate");
  expect(entry->client_verify != "SUCCESS" || (has_leaf && trusted()),
         "SUCCESS is for a certificate that was asked for");
  return {};
}

std::string text_of(const Verdict& verdict) {
  if (verdict.success()) return "SUCCESS";
  if (verdict.status() != Verdict::Status::failed) return "NONE";
  return "FAILED:" + std::string(verdict.reasons().back().text);
}

// What another policy than the connection's own trusts.
enum class Asked : std::uint8_t { own, ca1, ca2, nothing };

const ClientAuthPolicy& policy_of(Asked asked) {
  const test::Pki& pki = test::Pki::get();
  static const PolicyPtr trusts1 = test::make_policy(test::asking(ClientAuth::optional, {&pki.ca1}));
  static const PolicyPtr trusts2 = test::make_policy(test::asking(ClientAuth::required, {&pki.ca2}));
  static const PolicyPtr nothing = test::make_policy();
  return asked == Asked::ca1 ? *trusts1 : (asked == Asked::ca2 ? *trusts2 : *nothing);
}

// A client has Client 1's certificate, or none.
void check_status(Verdict::Status status, Asked asked) {
  using Status = Verdict::Status;
  if (SSL_get0_peer_certificate(current->ssl) == nullptr) {
    const bool nobody_asked = !current->requested && !current->late_request && !current->left_over && !resumed();
    expect(!nobody_asked || status == Status::not_asked, "where nobody asks nothing was asked");
    expect(nobody_asked || status == Status::none || status == Status::not_asked, "no certificate is not success");
    expect(!current->requested || current->left_over || status == Status::none, "who was asked has none");
    return;
  }
  expect(status == Status::success || status == Status::failed, "a certificate is verified");
  if (asked == Asked::ca2 || !trusted()) {
    expect(status == Status::failed, "no success without trust");
  } else {
    expect(current->left_over || status == Status::success, "a certificate that was asked for and verifies is success");
  }
}

Answer check_verdict(const ClientTls& tls, unsigned variant, std::string& given) {
  const Asked asked{static_cast<std::uint8_t>(variant % 4)};
  const auto verdict = asked == Asked::own ? tls.verdict() : tls.verdict(policy_of(asked));
  if (!verdict) return Answer::of(verdict);
  expect(verdict->resumed() == resumed(), "the verdict says whether the connection was resumed");
  check_status(verdict->status(), asked);
  given = text_of(*verdict);
  return {};
}

Answer perform(const Call& call, const ClientTls& tls) {
  std::string& kept = current->overrides.at(call.other_context ? 1 : 0);
  std::string& given = current->given.at(call.other_context ? 1 : 0);
  switch (call.operation) {
    case bind_session:
      return bind(tls, call.variant);
    case request_certificate:
      return request(tls, call.variant, call.moment);
    case disable_reuse:
      return disable(tls);
    case get_chain:
      return check_chain(tls);
    case set_text:
      return set_by_text(tls, call.variant, kept);
    case set_value:
      return set_by_value(tls, call.variant, kept);
    case log_entry:
      return check_log(tls, kept, given);
    default:
      return check_verdict(tls, call.variant, given);
  }
}

// The ClientHello after a HelloRetryRequest is bound once, if the first one was, and to the same scope.
Answer answer_to_bind(const Call& call) {
  if (call.moment == Moment::before) return {Errc::too_early};
  if (call.moment == Moment::after) return {Errc::handshake_over};
  if (call.moment != Moment::client_hello) return {Errc::too_late};
  const bool again = current->hellos > 1;
  if (again && (!current->scope || current->bound_again)) return {Errc::too_late};
  const std::string scope = scope_of(call.variant);
  if (!good_options(call.variant)) return {Errc::invalid_argument};
  if (scope.empty() || scope.size() > max_scope_size) return {Errc::invalid_argument};
  return again && scope != current->scope ? Answer{Errc::too_late} : Answer{};
}

// The documented answer to a call in the right phase on the server's SSL. (A moment between the callbacks, where
// OpenSSL may or may not heed what is set, has no documented answer to the operations of the certificate phase:
// nothing.)
std::optional<Answer> documented_answer(const Call& call) {
  const bool finished = call.moment == Moment::after;
  const bool in_force = plan->policies && call.moment != Moment::before;
  switch (call.operation) {
    case bind_session:
      return in_force ? Answer{Errc::policy_in_force} : answer_to_bind(call);
    case request_certificate:
    case disable_reuse:
      if (in_force && call.operation == request_certificate) return Answer{Errc::policy_in_force};
      if (call.moment == Moment::before || call.moment == Moment::client_hello) return Answer{Errc::too_early};
      if (finished) return Answer{Errc::handshake_over};
      if (call.moment == Moment::servername) return std::nullopt;
      if (call.moment == Moment::first_flight && plan->retries())
        return Answer{Errc::too_early};  // a HelloRetryRequest
      if (resumed()) return Answer{Errc::too_late};
      return call.operation == disable_reuse || good_request(call.variant) ? Answer{} : Answer{Errc::invalid_argument};
    case get_chain:
      if (!finished) return Answer{Errc::too_early};
      if (resumed() && !current->scope && SSL_get0_peer_certificate(current->ssl) != nullptr) {
        return Answer{Errc::chain_not_carried};
      }
      return Answer{};
    case set_text:
    case set_value:
      return call.variant % 2 == 0 ? Answer{} : Answer{Errc::invalid_argument};
    default:
      return finished ? Answer{} : Answer{Errc::too_early};
  }
}

// A policy that asks for nothing is no policy to judge a server's connection by, at any moment.
bool asks_nothing(const Call& call) {
  return call.operation == verdict && Asked{static_cast<std::uint8_t>(call.variant % 4)} == Asked::nothing;
}

std::optional<Answer> expected(const Call& call) {
  if (!documented(call.operation, call.phase)) return Answer{Errc::wrong_phase};
  const bool needs_ssl = call.operation != set_text && call.operation != set_value;
  if (needs_ssl && call.target == Target::null) return Answer{Errc::no_tls};
  if (needs_ssl && (call.target == Target::client || call.target == Target::dtls)) return Answer{Errc::unsupported};
  if (asks_nothing(call)) return Answer{Errc::invalid_argument};
  if (needs_ssl && call.target == Target::fresh) return Answer{Errc::too_early};
  return documented_answer(call);
}

SSL* ssl_of(Target target) {
  static const SslCtxPtr dtls_ctx{SSL_CTX_new(DTLS_server_method())};
  static const SslCtxPtr tls_ctx{SSL_CTX_new(TLS_server_method())};
  static const SslPtr dtls{SSL_new(dtls_ctx.get())};
  static const SslPtr fresh{SSL_new(tls_ctx.get())};
  switch (target) {
    case Target::null:
      return nullptr;
    case Target::client:
      return current->client;
    case Target::dtls:
      return dtls.get();
    case Target::fresh:
      return fresh.get();
    default:
      return current->ssl;
  }
}

void make(const Call& call) {
  SSL* ssl = ssl_of(call.target);
  PhaseContext& context = current->contexts.at(call.other_context ? 1 : 0);
  context.enter(static_cast<Phase>(call.phase));
  const auto allowed_answer = expected(call);
  const Snapshot before = look(ssl);
  Answer answer;
  {
    const fuzz::QueueGuard guard;
    answer = perform(call, ClientTls{ssl, context});
  }
  if (allowed_answer) expect(answer.code == allowed_answer->code, "the answer is the documented one");
  if (answer.code) expect(look(ssl) == before, "an error changes nothing");
  fuzz::note(3000 + call.operation * 100U + static_cast<unsigned>(call.moment) * 16U +
             (answer.code ? 1U + static_cast<unsigned>(*answer.code) : 0U));
}

void make_calls(Moment moment) {
  for (const Call& call : plan->calls) {
    if (call.moment == moment && call.in_second == current->second) make(call);
  }
}

void begin_client_hello() {
  ++current->hellos;
  current->bound_again = false;
}

// A host with its own callbacks.
int on_client_hello(SSL*, int*, void*) {
  begin_client_hello();
  make_calls(Moment::client_hello);
  return SSL_CLIENT_HELLO_SUCCESS;
}

int on_server_name(SSL*, int*, void*) {
  make_calls(Moment::servername);
  return SSL_TLSEXT_ERR_OK;
}

int on_certificate(SSL*, void*) {
  current->certificate_callback = true;
  make_calls(Moment::certificate);
  return 1;
}

// A host with policies, whose hooks come after the library has done its part.
Hooks make_hooks() {
  Hooks hooks;
  hooks.client_hello = [](Handshake&) {
    begin_client_hello();
    note_bound("by the policy", false);
    make_calls(Moment::client_hello);
    return Decision::proceed;
  };
  hooks.certificate = [](Handshake&) {
    current->certificate_callback = current->requested = true;
    make_calls(Moment::certificate);
    return Decision::proceed;
  };
  hooks.error = [](const HandshakeError&) { expect(false, "no handshake is ended"); };
  return hooks;
}

void install_policies(SSL_CTX* ctx) {
  const PolicyPtr policy = test::make_policy(test::asking());
  expect(install(ctx, std::make_shared<CurrentPolicies>(PolicyTable{policy, policy}), make_hooks()).has_value(),
         "the policies are installed");
}

// The sessions that an input has put into the cache.
std::vector<SslSessionPtr>& cached() {
  static std::vector<SslSessionPtr> sessions;
  return sessions;
}

int note_session(SSL*, SSL_SESSION* session) {
  cached().emplace_back(session);
  return 1;  // it is ours
}

SslCtxPtr make_server(int version, bool stateful, bool policies) {
  SslCtxPtr ctx{SSL_CTX_new(TLS_server_method())};
  const test::Pki& pki = test::Pki::get();
  SSL_CTX_set_min_proto_version(ctx.get(), version);
  SSL_CTX_set_max_proto_version(ctx.get(), version);
  SSL_CTX_use_certificate(ctx.get(), pki.server.get());
  SSL_CTX_use_PrivateKey(ctx.get(), pki.server.key.get());
  SSL_CTX_set1_groups_list(ctx.get(), "X25519:P-256");
  SSL_CTX_set_num_tickets(ctx.get(), 1);
  if (stateful) SSL_CTX_set_options(ctx.get(), SSL_OP_NO_TICKET);
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx.get()), pki.ca1.get());
  SSL_CTX_sess_set_new_cb(ctx.get(), note_session);
  SSL_CTX_set_tlsext_servername_callback(ctx.get(), on_server_name);
  if (policies) {
    install_policies(ctx.get());
    return ctx;
  }
  SSL_CTX_set_client_hello_cb(ctx.get(), on_client_hello, nullptr);
  SSL_CTX_set_cert_cb(ctx.get(), on_certificate, nullptr);
  return ctx;
}

SslCtxPtr make_client(bool presents) {
  SslCtxPtr ctx = fuzz::make_client_ctx(presents ? test::client1() : test::ClientOptions{});
  SSL_CTX_set_cert_verify_callback(ctx.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  return ctx;
}

struct Fixture {
  std::array<SslCtxPtr, 8> servers{make_server(TLS1_2_VERSION, false, false), make_server(TLS1_3_VERSION, false, false),
                                   make_server(TLS1_2_VERSION, true, false),  make_server(TLS1_3_VERSION, true, false),
                                   make_server(TLS1_2_VERSION, false, true),  make_server(TLS1_3_VERSION, false, true),
                                   make_server(TLS1_2_VERSION, true, true),   make_server(TLS1_3_VERSION, true, true)};
  std::array<SslCtxPtr, 2> clients{make_client(false), make_client(true)};

  [[nodiscard]] SSL_CTX* server(const Plan& of) const {
    return servers.at((of.tls13 ? 1U : 0U) + (of.stateful ? 2U : 0U) + (of.policies ? 4U : 0U)).get();
  }
  [[nodiscard]] SSL_CTX* client(const Plan& of) const { return clients.at(of.presents ? 1 : 0).get(); }
};

Plan read_plan(Input& input) {
  const unsigned choice = input.byte();
  Plan result{.tls13 = choice % 2 == 1,
              .stateful = choice / 2 % 2 == 1,
              .presents = choice / 4 % 2 == 1,
              .second = choice / 8 % 2 == 1,
              .reuses_ssl = choice / 16 % 2 == 1,
              .retried = choice / 32 % 2 == 1,
              .policies = choice / 64 % 2 == 1,
              .calls = {}};
  while (!input.empty() && result.calls.size() < max_calls) {
    const unsigned when = input.byte();
    const unsigned what = input.byte();
    const unsigned where = input.byte();
    const unsigned target = where / 16 % targets;
    result.calls.push_back({.moment = static_cast<Moment>(when % moments),
                            .in_second = when / 64 % 2 == 1,
                            .operation = what % operations,
                            .variant = what / operations,
                            .phase = where % 16,
                            .target = target < 4 ? Target::server : static_cast<Target>(target - 3),
                            .other_context = when / 128 == 1});
  }
  return result;
}

// The handshake, as far as it goes. The client offers the session, and keeps the one that it gets.
void shake_hands(SSL* client) {
  SSL* server = current->ssl;
  make_calls(Moment::before);
  for (int round = 0; round < max_rounds; ++round) {
    fuzz::advance(client);
    const bool sent = fuzz::move_bytes(client, server) > 0;
    fuzz::advance(server);
    if (round == 0 && SSL_is_init_finished(server) == 0) make_calls(Moment::first_flight);
    if (fuzz::move_bytes(server, client) == 0 && !sent) break;
  }
}

void connect(const Fixture& fixture, SSL* server, SslSessionPtr& session) {
  const SslPtr client{SSL_new(fixture.client(*plan))};
  current->ssl = server;
  current->client = client.get();
  for (SSL* ssl : {server, client.get()}) fuzz::connect_to_memory(ssl);
  SSL_set_accept_state(server);
  SSL_set_connect_state(client.get());
  SSL_set_tlsext_host_name(client.get(), "a.test");
  SSL_set1_groups_list(client.get(), plan->retried ? "P-384:X25519:P-256" : "X25519:P-256");
  SSL_set_app_data(client.get(), &session);
  const SslSessionPtr offered = std::move(session);
  if (offered != nullptr) SSL_set_session(client.get(), offered.get());
  shake_hands(client.get());
  const bool done = SSL_is_init_finished(server) == 1;
  expect(done || (current->strict && plan->presents), "nothing but a limit ends the handshake");
  if (done) make_calls(Moment::after);
  for (SSL* ssl : {server, client.get()}) test::close_in_order(ssl);
  if (!done) session.reset();
  current->client = nullptr;
}

// The first connection's session was offered in the second one.
void check_resumption(const Connection& first, const Connection& second) {
  const bool resumed = SSL_session_reused(second.ssl) == 1;
  expect(resumed != second.certificate_callback, "the certificate callback is for full handshakes");
  // After SSL_clear the SSL has the scope that it had, unless it is bound again.
  const auto& scope = second.scope || !second.reused_ssl ? second.scope : first.scope;
  if (resumed) {
    expect(!first.disabled, "a session whose reuse was disabled never resumes");
    expect(scope == first.scope, "a session resumes in its own scope only");
  } else {
    const bool whole = !first.disabled && !(first.strict && first.requested) && !first.late_request;
    expect(!whole || scope != first.scope, "and it does resume there");
  }
}

void second_connection(const Fixture& fixture, SslPtr& server, SslSessionPtr& session, const Connection& first) {
  Connection second;
  second.second = true;
  second.reused_ssl = plan->reuses_ssl;
  current = &second;
  if (plan->reuses_ssl && SSL_is_init_finished(server.get()) == 0) {
    second.left_over = true;
    second.requested = first.requested || first.late_request;
    second.strict = first.strict;
  }
  const bool offered = session != nullptr && SSL_SESSION_is_resumable(session.get()) == 1;
  if (plan->reuses_ssl) {
    SSL_clear(server.get());
  } else {
    server.reset(SSL_new(fixture.server(*plan)));
  }
  connect(fixture, server.get(), session);
  if (offered && SSL_is_init_finished(server.get()) == 1) check_resumption(first, second);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  fuzz::begin();
  static const Fixture fixture;
  fuzz::begin();
  Input input{data, size};
  const Plan this_plan = read_plan(input);
  plan = &this_plan;
  Connection first;
  current = &first;
  SslPtr server{SSL_new(fixture.server(*plan))};
  SslSessionPtr session;
  connect(fixture, server.get(), session);
  if (plan->second) second_connection(fixture, server, session, first);
  server.reset();
  for (const SslSessionPtr& one : cached()) SSL_CTX_remove_session(fixture.server(*plan), one.get());
  cached().clear();
  current = nullptr;
  plan = nullptr;
  return 0;
}

// Whole mutual-TLS handshakes with a real client of OpenSSL. The input says what it presents, and what is changed: in
// its bytes on the wire, in a certificate before it is sent, and in its messages where the server is about to decode
// them. The last is after decryption and after the transcript's hash was taken, so it is what a client that signs
// anything could send: the cryptography does not end the handshake at the first changed byte.
//
// Once the handshake is complete: the chain is what the server was sent, leaf first; SUCCESS is for chains that verify;
// and a session brings both back unchanged, under its own name, or not at all. Where the policy requires a certificate,
// no handshake is complete without one that verifies.
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <optional>
#include <string>

#include "fuzz.hpp"
#include "openssl_version.hpp"
#include "support/policies.hpp"

namespace {

using namespace client_tls;
using fuzz::Bytes;
using fuzz::ByteView;
using fuzz::expect;
using fuzz::Input;

constexpr int max_flights = 5;
constexpr std::size_t max_presented = 3;
constexpr std::size_t piece = 400;  // of a flight that arrives in pieces
constexpr std::size_t header_size = 4;
constexpr std::size_t few_certificates = 2;
constexpr std::size_t may_be_carried = 2048;  // Limits::max_carried_bytes

// What is done after the first connection.
enum class Second : std::uint8_t { same_name, changed_envelope, other_name, none };

// What an edit is about: a message by its type, the wire by the flight, a certificate before it is sent, the envelope.
constexpr std::array<unsigned, 5> message_types{SSL3_MT_CLIENT_HELLO, SSL3_MT_CERTIFICATE, SSL3_MT_CLIENT_KEY_EXCHANGE,
                                                SSL3_MT_CERTIFICATE_VERIFY, SSL3_MT_FINISHED};
constexpr unsigned wire = 5;
constexpr unsigned certificate = 8;
constexpr unsigned envelope = 9;
constexpr unsigned targets = 10;

struct TargetedEdit {
  unsigned target;
  fuzz::Edit edit;
};

// What the input says.
struct Plan {
  int version;
  bool in_pieces;
  bool few;       // certificates allowed
  bool required;  // a certificate that verifies
  Second second;
  std::vector<unsigned> presented;  // indices of certificates, leaf first
  std::vector<TargetedEdit> edits;

  [[nodiscard]] bool changes(unsigned target) const {
    return std::ranges::any_of(edits, [&](const TargetedEdit& edit) { return edit.target == target; });
  }
};

// What the server has seen in the connection that goes on.
struct Seen {
  const Plan* plan;
  bool edited = false;                     // the plan's edits are made
  bool edits_envelope = false;             // in the session that is offered
  bool done = false;                       // the handshake is complete
  std::optional<Bytes> certificates = {};  // the body of the client's Certificate message
  bool proof_changed = false;              // CertificateVerify or Finished
};
Seen* seen = nullptr;

std::vector<test::Certificate> make_certificates() {
  const test::Pki& pki = test::Pki::get();
  const auto copy = [](const test::Certificate& original) {
    X509_up_ref(original.get());
    EVP_PKEY_up_ref(original.key.get());
    return test::Certificate{.certificate = X509Ptr(original.get()), .key = EvpPkeyPtr(original.key.get())};
  };
  std::vector<test::Certificate> all;
  for (const test::Certificate* one :
       {&pki.client1, &pki.intermediate1, &pki.ca1, &pki.client2, &pki.intermediate2, &pki.ca2, &pki.server}) {
    all.push_back(copy(*one));
  }
  constexpr long day = 86400;
  all.push_back(test::issue({.common_name = "expired", .ends_in = -day}, &pki.intermediate1));
  all.push_back(test::issue({.common_name = "not yet", .starts_in = day}, &pki.intermediate1));
  all.push_back(test::issue({.common_name = "for an hour", .ends_in = day / 24}, &pki.intermediate1));
  all.push_back(test::issue({.common_name = "large", .extra_bytes = 3000}, &pki.intermediate1));
  all.push_back(test::issue({.common_name = "Unknown CA", .usage = test::Usage::ca}));
  all.push_back(test::issue({.common_name = "stranger"}, &all.back()));
  all.push_back(test::issue({.common_name = "direct"}, &pki.ca1));
  all.push_back(test::issue({.common_name = "server only", .usage = test::Usage::server}, &pki.intermediate1));
  all.push_back(test::issue({.common_name = ""}, &pki.ca1));
  return all;
}

Plan read_plan(Input& input, std::size_t certificates) {
  const unsigned choice = input.byte();
  Plan plan{.version = choice % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION,
            .in_pieces = choice / 2 % 2 == 1,
            .few = choice / 4 % 2 == 1,
            .required = choice / 128 == 1,
            .second = static_cast<Second>(std::min(choice / 8 % 16, 3U)),
            .presented = {},
            .edits = {}};
  for (std::size_t left = input.byte() % (max_presented + 1); left > 0; --left) {
    plan.presented.push_back(input.byte() % static_cast<unsigned>(certificates));
  }
  while (!input.empty()) {
    const unsigned target = input.byte() % targets;
    plan.edits.push_back({.target = target, .edit = fuzz::Edit::read(input)});
  }
  return plan;
}

bool change(std::span<unsigned char> body, unsigned type) {
  const Bytes before(body.begin(), body.end());
  for (const auto& [target, edit] : seen->plan->edits) {
    if (target < message_types.size() && message_types[target] == type) edit.apply_in_place(body);
  }
  return !std::ranges::equal(before, body);
}

// The server's message callback. OpenSSL calls it with its own buffer, between hashing a message and decoding it.
void see_message(int sent, int, int type, const void* data, std::size_t size, SSL*, void*) {
  if (sent != 0 || type != SSL3_RT_HANDSHAKE || size < header_size || seen == nullptr) return;
  auto* message = static_cast<unsigned char*>(const_cast<void*>(data));
  const std::span body{message + header_size, size - header_size};
  const bool changed = seen->edited && change(body, message[0]);
  if (message[0] == SSL3_MT_CERTIFICATE_VERIFY || message[0] == SSL3_MT_FINISHED) seen->proof_changed |= changed;
  if (message[0] == SSL3_MT_CERTIFICATE) seen->certificates.emplace(body.begin(), body.end());
}

void see_progress(const SSL*, int where, int) {
  if (where == SSL_CB_HANDSHAKE_DONE) seen->done = true;
}

// Changes the envelope in a ticket that is offered, before OpenSSL goes on with it.
SSL_TICKET_RETURN open_ticket(SSL*, SSL_SESSION* session, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
                              void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  void* data = nullptr;
  std::size_t size = 0;
  if (seen->edits_envelope && SSL_SESSION_get0_ticket_appdata(session, &data, &size) == 1) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    Bytes changed(bytes, bytes + size);
    for (const auto& [target, edit] : seen->plan->edits) {
      if (target == envelope) edit.apply(changed);
    }
    SSL_SESSION_set1_ticket_appdata(session, changed.data(), changed.size());
  }
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

PolicyPtr make_policy(bool few, bool required) {
  PolicyOptions options = test::asking(required ? ClientAuth::required : ClientAuth::optional,
                                       {&test::Pki::get().ca1, &test::Pki::get().ca2});
  options.hints.emplace();
  if (few) options.limits.max_chain_certificates = few_certificates;
  return test::make_policy(std::move(options));
}

std::size_t max_certificates() {
  return seen->plan->few ? few_certificates : Limits{}.max_chain_certificates;
}

SslCtxPtr make_server(const PolicyPtr& policy) {
  SslCtxPtr ctx = fuzz::make_server_ctx();
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(ctx.get(), 1);
  SSL_CTX_set_timeout(ctx.get(), 24L * 3600);
  SSL_CTX_set_msg_callback(ctx.get(), see_message);
  SSL_CTX_set_info_callback(ctx.get(), see_progress);
  SSL_CTX_set_session_ticket_cb(ctx.get(), nullptr, open_ticket, nullptr);
  expect(install(ctx.get(), std::make_shared<CurrentPolicies>(PolicyTable{policy, policy})).has_value(),
         "the policies are installed");
  return ctx;
}

SslCtxPtr make_client() {
  SslCtxPtr ctx = fuzz::make_client_ctx();
  SSL_CTX_set1_groups_list(ctx.get(), "X25519:P-256");
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_NO_AUTO_CHAIN);
  SSL_CTX_set_cert_verify_callback(ctx.get(), [](X509_STORE_CTX*, void*) { return 1; }, nullptr);
  return ctx;
}

struct Fixture {
  std::vector<test::Certificate> certificates = make_certificates();
  std::array<SslCtxPtr, 4> servers{make_server(make_policy(false, false)), make_server(make_policy(true, false)),
                                   make_server(make_policy(false, true)), make_server(make_policy(true, true))};
  SslCtxPtr client = make_client();

  [[nodiscard]] SSL_CTX* server(const Plan& plan) const {
    return servers.at((plan.few ? 1U : 0U) + (plan.required ? 2U : 0U)).get();
  }
};

// Decoding a certificate and verifying a chain take longer than the rest of a handshake: what was seen before is kept.
template <class Value>
class Memory {
 public:
  template <class Make>
  const Value& get(const Bytes& key, Make make) {
    if (const auto found = kept_.find(key); found != kept_.end()) return found->second;
    if (kept_.size() == most) kept_.clear();
    return kept_.emplace(key, make()).first->second;
  }

 private:
  static constexpr std::size_t most = 5000;
  std::map<Bytes, Value> kept_;
};

Bytes der_of(const X509* one) {
  Bytes der(static_cast<std::size_t>(i2d_X509(one, nullptr)));
  unsigned char* out = der.data();
  i2d_X509(one, &out);
  return der;
}

X509Ptr decode(ByteView der) {
  const unsigned char* in = der.data();
  X509Ptr result{d2i_X509(nullptr, &in, static_cast<long>(der.size()))};
  ERR_clear_error();
  return result != nullptr && in == der.data() + der.size() ? std::move(result) : nullptr;
}

// One of the certificates, or what the edits make of it if it is one still.
X509Ptr presented(const test::Certificate& original, const Plan& plan, std::size_t position) {
  X509_up_ref(original.get());
  X509Ptr result{original.get()};
  if (!plan.changes(certificate)) return result;
  Bytes der = der_of(original.get());
  for (const auto& [target, edit] : plan.edits) {
    if (target == certificate && edit.kind / 16 == position) edit.apply(der);
  }
  X509Ptr changed = decode(der);
  return changed != nullptr ? std::move(changed) : std::move(result);
}

void present(SSL* client, const Fixture& fixture, const Plan& plan) {
  for (std::size_t i = 0; i < plan.presented.size(); ++i) {
    const test::Certificate& original = fixture.certificates[plan.presented[i]];
    const X509Ptr one = presented(original, plan, i);
    if (i == 0) {
      SSL_use_certificate(client, one.get());
      SSL_use_PrivateKey(client, original.key.get());
    } else {
      SSL_add1_chain_cert(client, one.get());
    }
  }
  ERR_clear_error();
}

void give_in_pieces(SSL* ssl, ByteView bytes) {
  while (bytes.size() > piece) {
    fuzz::give(ssl, bytes.first(piece));
    bytes = bytes.subspan(piece);
    fuzz::advance(ssl);
  }
  fuzz::give(ssl, bytes);
}

void run_handshake(SSL* server, SSL* client) {
  for (unsigned flight = 0; flight < max_flights; ++flight) {
    fuzz::advance(client);
    Bytes sent = fuzz::take_written(client);
    for (const auto& [target, edit] : seen->plan->edits) {
      if (seen->edited && target == wire + flight && target < certificate) edit.apply(sent);
    }
    seen->plan->in_pieces ? give_in_pieces(server, sent) : fuzz::give(server, sent);
    fuzz::advance(server);
    if (fuzz::move_bytes(server, client) == 0 && sent.empty()) return;
  }
}

struct Connection {
  SslPtr server;
  SslPtr client;
  SslSessionPtr session;

  [[nodiscard]] bool resumed() const { return SSL_session_reused(server.get()) == 1; }
};

void close(const Connection& connection) {
  for (SSL* ssl : {connection.server.get(), connection.client.get()}) test::close_in_order(ssl);
}

void connect(Connection& connection, const Fixture& fixture, const char* name, SSL_SESSION* session) {
  connection.server.reset(SSL_new(fixture.server(*seen->plan)));
  connection.client.reset(SSL_new(fixture.client.get()));
  SSL* client = connection.client.get();
  for (SSL* ssl : {connection.server.get(), client}) fuzz::connect_to_memory(ssl);
  SSL_set_accept_state(connection.server.get());
  if (seen->plan->second == Second::none) SSL_set_num_tickets(connection.server.get(), 0);  // they cost a lot of time
  SSL_set_connect_state(client);
  SSL_set_min_proto_version(client, seen->plan->version);
  SSL_set_max_proto_version(client, seen->plan->version);
  SSL_set_tlsext_host_name(client, name);
  SSL_set_app_data(client, &connection.session);
  if (session != nullptr) SSL_set_session(client, session);
  present(client, fixture, *seen->plan);
  run_handshake(connection.server.get(), client);
}

std::size_t take_number(ByteView& bytes, std::size_t width) {
  expect(bytes.size() >= width, "a Certificate message that was taken is whole");
  std::size_t value = 0;
  for (const unsigned char byte : bytes.first(width)) value = value * 256 + byte;
  bytes = bytes.subspan(width);
  return value;
}

// RFC 8446, section 4.4.2, and RFC 5246, section 7.4.2.
std::vector<X509Ptr> certificates_in(ByteView body, int version) {
  if (version == TLS1_3_VERSION) body = body.subspan(1);
  expect(take_number(body, 3) == body.size(), "a Certificate message that was taken is one list");
  static Memory<X509Ptr> decoded;
  std::vector<X509Ptr> result;
  while (!body.empty()) {
    const std::size_t size = take_number(body, 3);
    expect(size <= body.size(), "a certificate that was taken is whole");
    const Bytes der(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
    const X509Ptr& one = decoded.get(der, [&] { return decode(der); });
    expect(one != nullptr, "a certificate that was taken decodes");
    X509_up_ref(one.get());
    result.emplace_back(one.get());
    body = body.subspan(size);
    if (version != TLS1_3_VERSION) continue;
    const std::size_t extensions = take_number(body, 2);
    expect(extensions <= body.size(), "its extensions are whole");
    body = body.subspan(extensions);
  }
  return result;
}

X509StorePtr make_trusted() {
  X509StorePtr store{X509_STORE_new()};
  X509_STORE_add_cert(store.get(), test::Pki::get().ca1.get());
  X509_STORE_add_cert(store.get(), test::Pki::get().ca2.get());
  return store;
}

// Strictly, and by itself: the verification in the handshake went on after each error.
bool verifies(SSL* server, const std::vector<X509Ptr>& chain) {
  using StorePtr = OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;
  static const X509StorePtr trusted = make_trusted();
  constexpr int least_level = 2;  // a policy's
  const StorePtr store{X509_STORE_CTX_new()};
  STACK_OF(X509)* untrusted = sk_X509_new_null();
  for (const X509Ptr& one : chain) sk_X509_push(untrusted, one.get());
  X509_STORE_CTX_init(store.get(), trusted.get(), chain.front().get(), untrusted);
  X509_STORE_CTX_set_default(store.get(), "ssl_client");
  X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store.get()),
                                   std::max(SSL_get_security_level(server), least_level));
  const bool good = X509_verify_cert(store.get()) == 1;
  sk_X509_free(untrusted);
  ERR_clear_error();
  return good;
}

Bytes concatenated(const std::vector<X509Ptr>& chain) {
  Bytes result;
  for (const X509Ptr& one : chain) std::ranges::copy(der_of(one.get()), std::back_inserter(result));
  return result;
}

std::string pem_of(const std::vector<X509Ptr>& chain) {
  std::vector<X509*> plain;
  for (const X509Ptr& one : chain) plain.push_back(one.get());
  return test::pem_of(plain);
}

// What the library says of a connection in the log phase.
struct Answer {
  Result<std::optional<std::string_view>> chain;
  Result<LogEntry> entry;
  Result<Verdict> verdict;
};

Answer ask(SSL* server) {
  PhaseContext log{Phase::log};
  PhaseContext request{Phase::access};
  const ClientTls tls{server, request};
  const fuzz::QueueGuard guard;
  return {.chain = tls.get_full_client_certificate_chain(),
          .entry = ClientTls{server, log}.log_entry(),
          .verdict = tls.verdict()};
}

void check_incomplete(const Answer& answer) {
  expect(!answer.chain && answer.chain.error().code == Errc::too_early, "no chain before the handshake is complete");
  expect(!answer.entry && answer.entry.error().code == Errc::too_early, "no log entry either");
  expect(!answer.verdict && answer.verdict.error().code == Errc::too_early, "and no verdict");
}

// The three answers agree with each other.
void check_agreement(const Answer& answer) {
  expect(answer.entry && answer.verdict, "a complete handshake has a log entry and a verdict");
  fuzz::expect_agrees(*answer.verdict, answer.entry->client_verify);
  const bool success = answer.verdict->success();
  const bool refused = !answer.chain && answer.chain.error().code == Errc::not_authenticated;
  expect(refused == (seen->plan->required && !success), "where success is required nothing else gets the chain");
}

// What the connection's policy says of the chain by itself is what its handshake said.
void check_own_policy(SSL* server, const Answer& answer) {
  PhaseContext context{Phase::access};
  const fuzz::QueueGuard guard;
  const auto verdict = ClientTls{server, context}.verdict(*get0_policy(server));
  expect(verdict && verdict->status() == answer.verdict->status(), "the policy says the same again");
}

// After a full handshake: the chain that was sent.
std::vector<X509Ptr> check_full(SSL* server, const Answer& answer) {
  expect(seen->certificates.has_value(), "a client that was asked has answered");
  expect(!seen->proof_changed, "no handshake completes with another CertificateVerify or Finished");
  auto chain = certificates_in(*seen->certificates, SSL_version(server));
  expect(chain.size() <= max_certificates(), "no more certificates than allowed");
  check_agreement(answer);
  expect(answer.chain.has_value(), "a full handshake has its chain");
  check_own_policy(server, answer);
  expect(!seen->plan->required || answer.entry->client_verify == "SUCCESS", "what is required is there");
  if (chain.empty()) {
    expect(!*answer.chain && answer.entry->client_verify == "NONE", "no certificate is NONE");
    return chain;
  }
  expect(*answer.chain && **answer.chain == pem_of(chain), "the chain is what the client sent, leaf first");
  static Memory<bool> verdicts;
  const bool success = answer.entry->client_verify == "SUCCESS";
  const bool good = verdicts.get(concatenated(chain), [&] { return verifies(server, chain); });
  expect(success == good, "SUCCESS is for chains that verify");
  expect(success || answer.entry->client_verify.starts_with("FAILED:"), "and FAILED for the others");
  return chain;
}

// Whether nothing stands in the way of the handshake, whatever the chain is worth.
bool must_complete(const Plan& plan) {
  return !plan.required && plan.edits.empty() && plan.presented.size() <= max_certificates();
}

bool must_resume(const Plan& plan, const Answer& first, const std::vector<X509Ptr>& chain) {
  std::size_t carried = 0;
  for (const X509Ptr& one : chain) {
    carried += 3 + der_of(one.get()).size();
    // In its last second a session has no time left.
    if (ASN1_TIME_cmp_time_t(X509_get0_notAfter(one.get()), std::time(nullptr) + 1) <= 0) return false;
  }
  const bool whole = std::ranges::none_of(plan.edits, [](const TargetedEdit& edit) {
    return edit.target == 0 || (edit.target >= wire && edit.target < certificate);
  });
  return whole && plan.second == Second::same_name && first.entry->client_verify == "SUCCESS" &&
         carried <= may_be_carried;
}

// No certificate of the chain ends before the session does; one whose end cannot be read has ended.
void check_end(SSL_SESSION* session, const std::vector<X509Ptr>& chain) {
  const std::time_t end = client_tls::session_time(session) + SSL_SESSION_get_timeout(session);
  for (const X509Ptr& one : chain) {
    expect(ASN1_TIME_cmp_time_t(X509_get0_notAfter(one.get()), end) > 0, "a session ends before its chain does");
  }
  ERR_clear_error();
}

void check_resumed(SSL* server, const Answer& first, const Answer& second, const std::vector<X509Ptr>& chain) {
  check_end(SSL_get_session(server), chain);
  check_agreement(second);
  expect(second.verdict->resumed(), "its verdict says that it is resumed");
  if (!seen->edits_envelope) {  // what a changed one says is the envelope target's
    expect(second.entry->client_verify == first.entry->client_verify,
           "a resumed connection has the first one's verdict");
    expect(second.verdict->ends_at() <= first.verdict->ends_at(), "and no longer one");
    check_own_policy(server, second);
  }
  if (!second.chain) {
    expect(seen->edits_envelope, "the chain comes back");
    expect(second.entry->client_verify.starts_with("FAILED:"), "without its chain nothing is SUCCESS");
    return;
  }
  if (!seen->edits_envelope) expect(*second.chain == *first.chain, "it comes back unchanged");
  if (first.chain && *first.chain) {
    expect(*second.chain && (*second.chain)->starts_with(test::pem_of({chain.front().get()})),
           "and begins with the leaf");
  }
}

void offer_session(const Fixture& fixture, const Plan& plan, const Connection& first, const Answer& answer,
                   const std::vector<X509Ptr>& chain) {
  Seen seen_second{.plan = &plan, .edits_envelope = plan.second == Second::changed_envelope};
  seen = &seen_second;
  const bool other = plan.second == Second::other_name;
  Connection second;
  connect(second, fixture, other ? "b.test" : "a.test", first.session.get());
  if (!seen->done) return;
  const Answer second_answer = ask(second.server.get());
  close(second);
  if (!second.resumed()) {
    expect(!must_resume(plan, answer, chain), "a session resumes in its own scope");
    check_full(second.server.get(), second_answer);
    return;
  }
  expect(!other || plan.changes(0), "a session resumes nowhere else");
  check_resumed(second.server.get(), answer, second_answer, chain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  fuzz::begin();
  static const Fixture fixture;
  fuzz::begin();
  Input input{data, size};
  const Plan plan = read_plan(input, fixture.certificates.size());
  Seen seen_first{.plan = &plan, .edited = true};
  seen = &seen_first;
  Connection first;
  connect(first, fixture, "a.test", nullptr);
  const Answer answer = ask(first.server.get());
  if (!seen_first.done) {
    expect(!must_complete(plan), "the handshake completes whatever the chain is worth");
    check_incomplete(answer);
  } else {
    close(first);
    const auto chain = check_full(first.server.get(), answer);
    if (plan.second != Second::none && first.session != nullptr) offer_session(fixture, plan, first, answer, chain);
  }
  seen = nullptr;
  return 0;
}

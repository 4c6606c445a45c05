// The envelope: whatever bytes stand in the ticket appdata of a resumed session, the chain and the verdict are those
// that they carry for the session's own leaf, whole, or it is chain_not_carried and never SUCCESS. By another policy's
// rules the verdict is success for a chain that it trusts, while its time lasts.
//
// A handshake is far too slow for this. A connection is resumed once for each client, and what OpenSSL would have
// restored is put into its session; from there everything is as in a handshake.
#include "fuzz.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "connection.hpp"
#include "session_binding.hpp"
#include "support/policies.hpp"
#include "verdict.hpp"

namespace {

using namespace client_tls;
using fuzz::expect;
using fuzz::Input;

constexpr std::size_t reasons_at = 55;  // docs/design.md, "What travels"
constexpr std::size_t max_reasons = 8;
constexpr std::int64_t tolerance = 300;        // of a clock that was set back
constexpr std::int64_t others_max_age = 1000;  // of the other policy
constexpr std::size_t max_edits = 12;
constexpr long session_timeout = 7200;
constexpr std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> alive{1};

struct Client {
  std::unique_ptr<test::Pair> resumed;
  std::string verdict;   // on the connection where the client proved itself
  fuzz::Bytes envelope;  // the right one
  std::array<unsigned char, 32> leaf_digest;
  std::string leaf_pem;
  std::string chain;
  std::string issuer_pem;
};

// What an envelope says.
struct Documented {
  std::int64_t ends_at = 0;
  std::int64_t authenticated_at = 0;
  std::vector<std::pair<int, int>> reasons = {};  // code, depth
  unsigned leniency = 0;
  std::string chain = {};
};

std::uint64_t number(fuzz::ByteView bytes) {
  std::uint64_t value = 0;
  for (const unsigned char byte : bytes) value = value * 256 + byte;
  return value;
}

std::string pem(fuzz::ByteView der) {
  std::string text(der.size() * 2 + 4, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), der.data(), static_cast<int>(der.size()));
  text.resize(static_cast<std::size_t>(size));
  std::string result = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t at = 0; at < text.size(); at += 64) result += text.substr(at, 64) + "\n";
  return result + "-----END CERTIFICATE-----\n";
}

fuzz::Bytes envelope_in(SSL_SESSION* session) {
  void* data = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket_appdata(session, &data, &size);
  const auto* bytes = static_cast<const unsigned char*>(data);
  return {bytes, bytes + size};
}

test::ClientOptions with_chain(std::vector<X509*> chain, const test::Certificate& leaf) {
  return {.chain = std::move(chain), .key = leaf.key.get()};
}

Client resume(test::Server& server, test::ClientOptions options, X509* issuer) {
  const test::Pair first{server, options};
  const auto session = first.session();
  const X509* leaf = options.chain.front();
  options.session = session.get();
  auto resumed = std::make_unique<test::Pair>(server, options);
  expect(resumed->resumed(), "the session resumes");
  fuzz::Bytes envelope = envelope_in(SSL_get_session(resumed->server()));
  Client client{.resumed = std::move(resumed),
                .verdict = first.verify(),
                .envelope = std::move(envelope),
                .leaf_digest = {},
                .leaf_pem = test::pem_of({options.chain.front()}),
                .chain = test::pem_of(options.chain),
                .issuer_pem = test::pem_of({issuer})};
  X509_digest(leaf, EVP_sha256(), client.leaf_digest.data(), nullptr);
  return client;
}

std::vector<Client> make_clients() {
  fuzz::begin();
  static test::Server server{test::Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return test::ask(ssl); };
  const test::Pki& pki = test::Pki::get();
  std::vector<Client> clients;
  clients.push_back(resume(server, test::client1(), pki.intermediate1.get()));
  clients.push_back(resume(server, test::client2(), pki.intermediate2.get()));
  X509* issuer = pki.intermediate1.get();
  clients.push_back(resume(server, with_chain({pki.client1.get()}, pki.client1), issuer));
  clients.push_back(resume(server, with_chain({pki.client1.get(), issuer, pki.ca1.get()}, pki.client1), issuer));
  return clients;
}

// The certificates that the bytes are, in PEM.
std::optional<std::string> documented_certificates(fuzz::ByteView bytes) {
  std::string chain;
  while (!bytes.empty()) {
    if (bytes.size() < 3) return std::nullopt;
    const std::size_t size = number(bytes.first(3));
    bytes = bytes.subspan(3);
    if (size == 0 || size > bytes.size()) return std::nullopt;
    chain += pem(bytes.first(size));
    bytes = bytes.subspan(size);
  }
  return chain;
}

// What the bytes say of this leaf by docs/design.md's table, read in another way than the library does.
std::optional<Documented> read_documented(fuzz::ByteView bytes, const Client& client) {
  constexpr std::array<unsigned char, 5> tag_and_version{'C', 'T', 'L', 'S', 2};
  if (bytes.size() < reasons_at || !std::ranges::equal(bytes.first(5), tag_and_version)) return std::nullopt;
  if (!std::ranges::equal(bytes.subspan(21, 32), client.leaf_digest) || bytes[53] > max_reasons) return std::nullopt;
  Documented result{.ends_at = static_cast<std::int64_t>(number(bytes.subspan(5, 8))),
                    .authenticated_at = static_cast<std::int64_t>(number(bytes.subspan(13, 8))),
                    .leniency = bytes[54]};
  fuzz::ByteView rest = bytes.subspan(reasons_at);
  for (unsigned left = bytes[53]; left > 0; --left) {
    if (rest.size() < 3) return std::nullopt;
    result.reasons.emplace_back(static_cast<int>(number(rest.first(2))), rest[2]);
    rest = rest.subspan(3);
  }
  if (rest.size() < 3 || number(rest.first(3)) != rest.size() - 3) return std::nullopt;
  const auto others = documented_certificates(rest.subspan(3));
  if (!others) return std::nullopt;
  result.chain = client.leaf_pem + *others;
  return result;
}

bool in_future(const Documented& documented) {
  return documented.authenticated_at > std::time(nullptr) + tolerance;
}

std::string documented_verdict(const Documented& documented) {
  if (!documented.reasons.empty()) {
    return "FAILED:" + std::string(text_of_reason(documented.reasons.back().first));
  }
  if (documented.ends_at <= std::time(nullptr)) return "FAILED:authentication has ended";
  return in_future(documented) ? "FAILED:the clock is before the authentication" : "SUCCESS";
}

std::int64_t seconds_of(const std::optional<std::chrono::sys_seconds>& time) {
  expect(time.has_value(), "the times of an authentication that is carried are known");
  return time->time_since_epoch().count();
}

// All that the verdict says beside its text.
void check_verdict(const Verdict& verdict, const Documented& documented) {
  expect(verdict.resumed(), "the client proved itself on an earlier connection");
  expect(seconds_of(verdict.authenticated_at()) == documented.authenticated_at, "at the time that is carried");
  expect(seconds_of(verdict.ends_at()) == documented.ends_at, "until the time that is carried");
  std::vector<std::pair<int, int>> reasons;
  for (const Reason& reason : verdict.reasons()) reasons.emplace_back(reason.code, reason.depth);
  if (!documented.reasons.empty()) {
    expect(reasons == documented.reasons, "the reasons are those that are carried");
  } else {
    const unsigned warnings = documented.leniency % 2 + documented.leniency / 2 % 2;
    expect(verdict.warnings().size() == warnings, "the warnings are those that are carried");
  }
  using Status = Verdict::Status;
  expect(verdict.status_at(*verdict.ends_at()) != Status::success, "no success lasts beyond its end");
  for (const auto time : {std::chrono::sys_seconds::min(), std::chrono::sys_seconds::max()}) {
    expect(verdict.status() == Status::success || verdict.status_at(time) == Status::failed, "what failed has failed");
  }
}

// Whether it can be another one by another policy's rules: the key is proved, and the clock is right.
bool depends_on_policy(const Documented& documented) {
  if (documented.reasons.empty()) return documented.ends_at <= std::time(nullptr) || !in_future(documented);
  const int last = documented.reasons.back().first;
  return last < Reason::first_code || last == Reason::authentication_ended || last == Reason::not_verified;
}

PolicyPtr make_other_policy() {
  PolicyOptions options = test::asking(ClientAuth::required, {&test::Pki::get().ca1, &test::Pki::get().ca2});
  options.max_age = std::chrono::seconds{others_max_age};
  return test::make_policy(std::move(options));
}

const ClientAuthPolicy& other_policy() {
  static const PolicyPtr policy = make_other_policy();
  return *policy;
}

// Beside the connection's own verdict.
void check_other_policy(const Client& client, const Documented& documented, const Verdict& own) {
  PhaseContext context{Phase::access};
  const ClientTls tls{client.resumed->server(), context};
  const auto verdict = tls.verdict(other_policy());
  if (!verdict) {
    expect(verdict.error().code == Errc::openssl, "nothing but a certificate that does not decode is in the way");
    expect(documented.chain != client.chain, "and it is none of the client's");
    return;
  }
  expect(tls.verdict(other_policy())->status() == verdict->status(), "what is remembered is the same");
  if (!depends_on_policy(documented)) {
    expect(!verdict->success() && verdict->reasons().back() == own.reasons().back(), "no policy makes up for it");
    return;
  }
  const bool ended = documented.authenticated_at <= std::time(nullptr) - others_max_age;
  const bool in_time = !ended && !in_future(documented);
  const bool has_issuer = documented.chain.find(client.issuer_pem) != std::string::npos;
  expect(!verdict->success() || (in_time && has_issuer), "success is for a chain that verifies, in its time");
  if (documented.chain == client.chain) expect(verdict->success() == (in_time && has_issuer), "and is there for it");
}

// What was found out about the envelope before.
void forget(Connection& connection) {
  connection.settled = connection.carried = false;
  connection.not_after = std::numeric_limits<std::int64_t>::max();
  connection.leaf.reset();
  connection.authentication.reset();
  connection.answers.reset();
}

void check_not_carried(const ClientTls& tls, std::string_view client_verify, const Verdict& verdict) {
  const auto chain = tls.get_full_client_certificate_chain();
  expect(!chain && chain.error().code == Errc::chain_not_carried, "anything else is chain_not_carried");
  expect(client_verify == "FAILED:the resumed session does not carry its client's chain", "and not SUCCESS");
  expect(!verdict.authenticated_at() && !verdict.ends_at(), "nothing else is known of it");
  const auto other = tls.verdict(other_policy());
  expect(other && !other->success(), "nor by another policy's rules");
}

// What the library says once the bytes are in the session and OpenSSL says that the handshake goes on.
void check_connection(const Client& client, Connection& connection, const std::optional<Documented>& documented,
                      bool by_other_policy) {
  SSL* ssl = client.resumed->server();
  PhaseContext log{Phase::log};
  PhaseContext request{Phase::access};
  const ClientTls tls{ssl, request};
  forget(connection);
  const fuzz::QueueGuard guard;
  settle(ssl, connection);
  const auto entry = ClientTls{ssl, log}.log_entry();
  const auto verdict = tls.verdict();
  expect(entry && verdict, "there are a log entry and a verdict");
  fuzz::expect_agrees(*verdict, entry->client_verify);
  if (!documented) return check_not_carried(tls, entry->client_verify, *verdict);
  const auto chain = tls.get_full_client_certificate_chain();
  expect(chain && *chain && **chain == documented->chain, "the chain is the one that the session carries");
  expect(entry->client_verify == documented_verdict(*documented),
         "with a whole envelope the verdict is the carried one");
  check_verdict(*verdict, *documented);
  if (by_other_policy) check_other_policy(client, *documented, *verdict);
}

// The ticket that a resumed TLS 1.3 connection sends ends when the envelope says, or is dead.
void check_ticket(SSL* ssl, const Connection& connection, std::optional<std::int64_t> not_after) {
  SSL_SESSION* session = SSL_get_session(ssl);
  SSL_SESSION_set_timeout(session, session_timeout);
  SSL_SESSION_set1_id_context(session, alive.data(), alive.size());
  const std::time_t now = std::time(nullptr);
  prepare_ticket(ssl, connection);
  unsigned size = 0;
  const unsigned char* id_context = SSL_SESSION_get0_id_context(session, &size);
  if (!std::ranges::equal(fuzz::ByteView{id_context, size}, alive)) {
    expect(!not_after || *not_after <= std::time(nullptr) + 1, "a ticket is alive while its chain is valid");
    return;
  }
  expect(not_after.has_value(), "a ticket without its chain is dead");
  expect(*not_after > now && SSL_SESSION_get_timeout(session) <= *not_after - now, "no ticket outlives its chain");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  static const std::vector<Client> clients = make_clients();
  Input input{data, size};
  const unsigned choice = input.byte();
  const Client& client = clients[choice % 4];
  fuzz::Bytes envelope;
  if (choice / 16 % 2 == 0) {  // somebody's envelope, and what is changed in it
    envelope = clients[choice / 4 % 4].envelope;
    for (std::size_t i = 0; i < max_edits && !input.empty(); ++i) fuzz::Edit::read(input).apply(envelope);
  } else {
    envelope.assign(input.rest().begin(), input.rest().end());
  }
  SSL* ssl = client.resumed->server();
  SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), envelope.data(), envelope.size());
  const auto documented = read_documented(envelope, client);
  Connection& connection = *find_connection(ssl);
  check_connection(client, connection, documented, choice / 32 % 2 == 1);
  if (envelope == client.envelope) {
    expect(documented && documented_verdict(*documented) == client.verdict, "the right envelope has the first verdict");
  }
  check_ticket(ssl, connection, documented ? std::optional(documented->ends_at) : std::nullopt);
  return 0;
}

// The envelope: whatever bytes stand in the ticket appdata of a resumed session, the chain is the one that they carry
// for the session's own leaf, whole, or it is chain_not_carried and never SUCCESS.
//
// A handshake is far too slow for this. A connection is resumed once for each client, and what OpenSSL would have
// restored is put into its session; from there everything is as in a handshake.
#include "fuzz.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <optional>

#include "connection.hpp"
#include "session_binding.hpp"
#include "support/pair.hpp"

namespace {

using namespace client_tls;
using fuzz::expect;
using fuzz::Input;

constexpr std::size_t chain_at = 56;  // docs/design.md, "What travels"
constexpr std::size_t max_edits = 12;
constexpr long session_timeout = 7200;
constexpr std::array<unsigned char, SSL_MAX_SID_CTX_LENGTH> alive{1};

struct Client {
  std::unique_ptr<test::Pair> resumed;
  std::string verdict;   // on the connection where the client proved itself
  fuzz::Bytes envelope;  // the right one
  std::array<unsigned char, 32> leaf_digest;
  std::string leaf_pem;
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

Client resume(test::Server& server, test::ClientOptions options) {
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
                .leaf_pem = test::pem_of({options.chain.front()})};
  X509_digest(leaf, EVP_sha256(), client.leaf_digest.data(), nullptr);
  return client;
}

std::vector<Client> make_clients() {
  fuzz::begin();
  static test::Server server{test::Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return test::ask(ssl); };
  const test::Pki& pki = test::Pki::get();
  std::vector<Client> clients;
  clients.push_back(resume(server, test::client1()));
  clients.push_back(resume(server, test::client2()));
  clients.push_back(resume(server, with_chain({pki.client1.get()}, pki.client1)));
  clients.push_back(
      resume(server, with_chain({pki.client1.get(), pki.intermediate1.get(), pki.ca1.get()}, pki.client1)));
  return clients;
}

// The chain that the bytes carry for this leaf by docs/design.md's table, read in another way than the library does.
std::optional<std::string> documented_chain(fuzz::ByteView bytes, const Client& client) {
  constexpr std::array<unsigned char, 5> tag_and_version{'C', 'T', 'L', 'S', 1};
  if (bytes.size() < chain_at || !std::ranges::equal(bytes.first(5), tag_and_version)) return std::nullopt;
  if (!std::ranges::equal(bytes.subspan(21, 32), client.leaf_digest)) return std::nullopt;
  if (number(bytes.subspan(53, 3)) != bytes.size() - chain_at) return std::nullopt;
  std::string chain = client.leaf_pem;
  for (std::size_t at = chain_at; at < bytes.size();) {
    if (bytes.size() - at < 3) return std::nullopt;
    const std::size_t size = number(bytes.subspan(at, 3));
    at += 3;
    if (size == 0 || size > bytes.size() - at) return std::nullopt;
    chain += pem(bytes.subspan(at, size));
    at += size;
  }
  return chain;
}

// What the library says once the bytes are in the session and OpenSSL says that the handshake goes on.
void check_connection(const Client& client, Connection& connection, const std::optional<std::string>& expected) {
  SSL* ssl = client.resumed->server();
  PhaseContext context{Phase::log};
  const ClientTls tls{ssl, context};
  connection.settled = connection.carried = false;
  connection.leaf.reset();
  connection.pem_leaf.reset();
  connection.pem = {};
  const fuzz::QueueGuard guard;
  settle(ssl, connection);
  const auto chain = tls.get_full_client_certificate_chain();
  const auto entry = tls.log_entry();
  expect(entry.has_value(), "there is a log entry");
  if (expected) {
    expect(chain && *chain && **chain == *expected, "the chain is the one that the session carries");
    expect(entry->client_verify == client.verdict, "with a whole envelope the verdict is the first one");
  } else {
    expect(!chain && chain.error().code == Errc::chain_not_carried, "anything else is chain_not_carried");
    expect(entry->client_verify == "FAILED:the resumed session does not carry its client's chain", "and not SUCCESS");
  }
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
  const auto chain = documented_chain(envelope, client);
  std::optional<std::int64_t> not_after;
  if (chain) not_after = static_cast<std::int64_t>(number(std::span(envelope).subspan(5, 8)));
  Connection& connection = *find_connection(ssl);
  check_connection(client, connection, chain);
  check_ticket(ssl, connection, not_after);
  return 0;
}

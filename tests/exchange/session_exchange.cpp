// Sessions made on one OpenSSL and offered to another: `make` here, `offer` there, with the same keys, the same
// policies and what the external cache held. A proxy's fleet is not upgraded in one moment.
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "client_tls/install.hpp"
#include "client_tls/pem.hpp"
#include "support/pair.hpp"
#include "support/pki.hpp"
#include "support/policies.hpp"
#include "support/text_file.hpp"

using namespace client_tls;
using namespace test;

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<unsigned char>;
using Cache = std::map<std::string, Bytes>;

constexpr std::string_view usage =
    "session_exchange make FOLDER NAME   writes sessions of this OpenSSL into FOLDER/NAME; the certificates that all\n"
    "                                    names share are in FOLDER, or are made there\n"
    "session_exchange offer FOLDER       offers all that is in FOLDER to this OpenSSL, and prints what came of it\n"
    "\n"
    "Exits with 1 if a session comes back as it must not, or something is missing; with 2 for a wrong command line.\n";

// The mechanisms whose sessions outlive a process.
constexpr std::array travelling{Mechanism::ticket12, Mechanism::stateless13, Mechanism::external12,
                                Mechanism::external13};

enum class Presents : std::uint8_t { nothing, good, stranger };

struct Situation {
  std::string_view name;
  std::string server_name;
  Presents client;
  std::string_view verdict;  // how it begins
};

const std::vector<Situation>& situations() {
  static const std::vector<Situation> all{
      {"optional, a good certificate", "a.test", Presents::good, "SUCCESS"},
      {"optional, no certificate", "a.test", Presents::nothing, "NONE"},
      {"optional, a stranger's certificate", "a.test", Presents::stranger, "FAILED:"},
      {"required, a good certificate", "b.test", Presents::good, "SUCCESS"},
  };
  return all;
}

// A session that came back as it must not.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};

void require(bool good, const std::string& what) {
  if (!good) throw std::runtime_error(what);
}

void write_file(const fs::path& file, std::string_view text) {
  std::ofstream out(file, std::ios::binary);
  out << text;
  out.close();
  require(out.good(), "cannot write " + file.string());
}

// What the names share: certificates, which each policy's digest is made of, and the keys of the two sides.

struct Shared {
  Certificate ca, intermediate, client, stranger, server;
};

void write_certificate(const fs::path& folder, const std::string& name, const Certificate& certificate) {
  const BioPtr key{BIO_new_file((folder / (name + ".key")).c_str(), "w")};
  require(key != nullptr &&
              PEM_write_bio_PrivateKey(key.get(), certificate.key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1,
          "cannot write the key of " + name);
  write_file(folder / (name + ".pem"), pem_of({certificate.get()}));
}

Certificate read_certificate(const fs::path& folder, const std::string& name) {
  auto certificates = read_certificates(folder / (name + ".pem"));
  require(certificates && certificates->size() == 1, "cannot read the certificate of " + name);
  Certificate result;
  result.certificate = std::move(certificates->front());
  const BioPtr key{BIO_new_file((folder / (name + ".key")).c_str(), "r")};
  require(key != nullptr, "cannot read the key of " + name);
  result.key.reset(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
  require(result.key != nullptr, "cannot read the key of " + name);
  return result;
}

void make_shared_files(const fs::path& folder) {
  const Certificate ca = issue({.common_name = "CA", .usage = Usage::ca});
  const Certificate intermediate = issue({.common_name = "Intermediate", .usage = Usage::ca}, &ca);
  const Certificate other_ca = issue({.common_name = "Another CA", .usage = Usage::ca});
  write_certificate(folder, "ca", ca);
  write_certificate(folder, "intermediate", intermediate);
  write_certificate(folder, "client", issue({.common_name = "Client"}, &intermediate));
  write_certificate(folder, "stranger", issue({.common_name = "Stranger"}, &other_ca));
  write_certificate(folder, "server", issue({.common_name = "server", .usage = Usage::server}));
}

Shared read_shared_files(const fs::path& folder) {
  Shared shared;
  shared.ca = read_certificate(folder, "ca");
  shared.intermediate = read_certificate(folder, "intermediate");
  shared.client = read_certificate(folder, "client");
  shared.stranger = read_certificate(folder, "stranger");
  shared.server = read_certificate(folder, "server");
  return shared;
}

// The names below each one have the same policy: it is the name alone in which they differ.
NamedPolicies policies_of(const Shared& shared, bool exchanged = false) {
  const PolicyPtr optional = make_policy(asking(ClientAuth::optional, {&shared.ca}));
  const PolicyPtr required = make_policy(asking(ClientAuth::required, {&shared.ca}));
  const PolicyPtr& a = exchanged ? required : optional;
  const PolicyPtr& b = exchanged ? optional : required;
  return {{"a.test", a}, {"*.a.test", a}, {"b.test", b}, {"*.b.test", b}};
}

// The same keys in every process, as a fleet has them.
void set_ticket_keys(SSL_CTX* ssl_ctx) {
  Bytes keys(static_cast<std::size_t>(SSL_CTX_get_tlsext_ticket_keys(ssl_ctx, nullptr, 0)));
  std::iota(keys.begin(), keys.end(), static_cast<unsigned char>(1));
  require(SSL_CTX_set_tlsext_ticket_keys(ssl_ctx, keys.data(), static_cast<int>(keys.size())) == 1, "ticket keys");
}

std::unique_ptr<PolicyServer> serve(const Shared& shared, Mechanism mechanism, const NamedPolicies& policies,
                                    Cache cache = {}) {
  auto server = std::make_unique<PolicyServer>(mechanism, make_policies(policies));
  SSL_CTX* ssl_ctx = server->ssl_ctx();
  require(SSL_CTX_use_certificate(ssl_ctx, shared.server.get()) == 1, "server certificate");
  require(SSL_CTX_use_PrivateKey(ssl_ctx, shared.server.key.get()) == 1, "server key");
  set_ticket_keys(ssl_ctx);
  server->external_cache = std::move(cache);
  return server;
}

ClientOptions client_of(const Shared& shared, Presents what, std::string server_name) {
  ClientOptions options;
  options.server_name = std::move(server_name);
  if (what == Presents::good) {
    options.chain = {shared.client.get(), shared.intermediate.get()};
    options.key = shared.client.key.get();
  } else if (what == Presents::stranger) {
    options.chain = {shared.stranger.get()};
    options.key = shared.stranger.key.get();
  }
  return options;
}

// Who a client is to the server: before, and when it comes back.
struct Identity {
  std::string verdict;
  std::string chain;
};

Identity identity_of(const ClientOptions& client, std::string verdict) {
  return {std::move(verdict), client.chain.empty() ? "none" : pem_of(client.chain)};
}

// A file holds one session: blocks, each with its size before it.

std::string block_of(std::string_view bytes) {
  std::string block(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) block[i] = static_cast<char>(bytes.size() >> (8 * (3 - i)) & 0xFF);
  return block.append(bytes);
}

std::string take_block(std::string_view& text) {
  require(text.size() >= 4, "a file of sessions is cut off");
  std::size_t size = 0;
  for (const char c : text.substr(0, 4)) size = size << 8 | static_cast<unsigned char>(c);
  text.remove_prefix(4);
  require(text.size() >= size, "a file of sessions is cut off");
  std::string block{text.substr(0, size)};
  text.remove_prefix(size);
  return block;
}

struct Made {
  std::string verdict;
  std::string session;  // the client's, as i2d_SSL_SESSION writes it
  Cache cache;          // what the server's external cache held
};

std::string text_of(const Made& made) {
  std::string text = block_of(made.verdict) + block_of(made.session);
  for (const auto& entry : made.cache) {
    text += block_of(entry.first) + block_of({reinterpret_cast<const char*>(entry.second.data()), entry.second.size()});
  }
  return text;
}

Made made_of(std::string_view text) {
  Made made;
  made.verdict = take_block(text);
  made.session = take_block(text);
  while (!text.empty()) {
    const std::string id = take_block(text);
    const std::string stored = take_block(text);
    made.cache[id] = Bytes(stored.begin(), stored.end());
  }
  return made;
}

std::string serialise(SSL_SESSION* session) {
  std::string bytes(static_cast<std::size_t>(i2d_SSL_SESSION(session, nullptr)), '\0');
  auto* out = reinterpret_cast<unsigned char*>(bytes.data());
  i2d_SSL_SESSION(session, &out);
  return bytes;
}

// Null where this OpenSSL cannot read it.
SslSessionPtr deserialise(std::string_view bytes) {
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
  SslSessionPtr session{d2i_SSL_SESSION(nullptr, &in, static_cast<long>(bytes.size()))};
  ERR_clear_error();
  return session;
}

std::string file_name(Mechanism mechanism, const Situation& situation) {
  return std::string(to_string(mechanism)) + ", " + std::string(situation.name);
}

Made make_session(const Shared& shared, Mechanism mechanism, const Situation& situation) {
  const std::string name = file_name(mechanism, situation);
  const auto server = serve(shared, mechanism, policies_of(shared));
  const Pair pair{*server, client_of(shared, situation.client, situation.server_name)};
  require(pair.done() && pair.verify().starts_with(situation.verdict), name + ": " + pair.verify());
  const SslSessionPtr session = pair.session();
  require(session != nullptr, name + ": no session");
  if (!is_external(mechanism)) return {pair.verify(), serialise(session.get()), {}};
  require(!server->external_cache.empty(), name + ": the external cache is empty");
  return {pair.verify(), serialise(session.get()), server->external_cache};
}

int make(const fs::path& folder, const std::string& name) {
  require(!fs::exists(folder / name), (folder / name).string() + " is there already");
  fs::create_directories(folder / name);
  if (!fs::exists(folder / "server.pem")) make_shared_files(folder);
  const Shared shared = read_shared_files(folder);
  for (const Mechanism mechanism : travelling) {
    for (const Situation& situation : situations()) {
      write_file(folder / name / file_name(mechanism, situation), text_of(make_session(shared, mechanism, situation)));
    }
  }
  write_file(folder / name / "openssl", OpenSSL_version(OPENSSL_VERSION_STRING));
  return 0;
}

// The client is who it should be, whichever way. Returns whether the session was resumed.
bool check_identity(const Pair& pair, const PolicyServer& server, const Identity& expected) {
  if (!pair.done()) {
    std::string text = "the handshake failed";
    if (pair.seen().alert) text += ", alert " + std::to_string(*pair.seen().alert);
    for (const std::string& error : server.errors) text += ", " + error;
    throw Wrong(text);
  }
  const std::string way = pair.resumed() ? "resumed" : "full";
  if (pair.verify() != expected.verdict) throw Wrong(way + ", " + pair.verify() + " instead of " + expected.verdict);
  if (pair.chain() != expected.chain) throw Wrong(way + ", another chain: " + pair.chain());
  const int asked = pair.resumed() ? 0 : 1;
  if (pair.seen().certificate_requests != asked || server.certificate_calls != asked) {
    throw Wrong(way + ", and asked for a certificate " + std::to_string(pair.seen().certificate_requests) + " times");
  }
  return pair.resumed();
}

// What one session of another OpenSSL comes to on this one.
class Offered {
 public:
  Offered(const Shared& shared, Mechanism mechanism, const Situation& situation, const Made& made, SSL_SESSION* session)
      : shared_(shared), mechanism_(mechanism), situation_(situation), made_(made), session_(session) {}

  bool at_its_own_name() const {
    const auto server = serve(shared_, mechanism_, policies_of(shared_), made_.cache);
    Pair pair{*server, client(situation_.client, situation_.server_name, session_)};
    const bool resumed = check(pair, *server);
    if (!pair.echo()) throw Wrong("no data passes");
    if (resumed) and_again(pair, server->external_cache);
    return resumed;
  }

  void at_another_name() const {
    must_be_full(policies_of(shared_), "other." + situation_.server_name, "at another name, of the same policy");
  }

  void under_another_policy() const {
    must_be_full(policies_of(shared_, true), situation_.server_name, "under another policy");
  }

  // What a server cannot decode is as if it were not there.
  void from_a_cache_cut_off() const {
    Cache cache = made_.cache;
    for (auto& entry : cache) entry.second.resize(entry.second.size() / 2);
    const auto server = serve(shared_, mechanism_, policies_of(shared_), std::move(cache));
    const Pair pair{*server, client(situation_.client, situation_.server_name, session_)};
    if (check(pair, *server)) throw Wrong("resumed from a cache that was cut off");
  }

 private:
  [[nodiscard]] ClientOptions client(Presents what, const std::string& server_name, SSL_SESSION* session) const {
    ClientOptions options = client_of(shared_, what, server_name);
    options.session = session;
    return options;
  }

  [[nodiscard]] bool check(const Pair& pair, const PolicyServer& server) const {
    const ClientOptions same = client(situation_.client, situation_.server_name, nullptr);
    return check_identity(pair, server, identity_of(same, made_.verdict));
  }

  // The session as it is after this server has resumed it, and given the client tickets of its own.
  void and_again(const Pair& pair, const Cache& cache) const {
    const SslSessionPtr renewed = pair.session();
    if (renewed == nullptr) throw Wrong("resumed, and afterwards there is no session");
    const auto server = serve(shared_, mechanism_, policies_of(shared_), cache);
    const Pair second{*server, client(situation_.client, situation_.server_name, renewed.get())};
    if (!check(second, *server)) throw Wrong("resumed, but not a second time");
  }

  // The client has a good certificate there: it is known by what it presents, not by what the session says.
  void must_be_full(const NamedPolicies& policies, const std::string& server_name, const std::string& where) const {
    const auto server = serve(shared_, mechanism_, policies, made_.cache);
    const ClientOptions options = client(Presents::good, server_name, session_);
    const Pair pair{*server, options};
    try {
      if (check_identity(pair, *server, identity_of(options, "SUCCESS"))) throw Wrong("resumed");
    } catch (const Wrong& wrong) {
      throw Wrong(where + ": " + wrong.what());
    }
  }

  const Shared& shared_;
  Mechanism mechanism_;
  const Situation& situation_;
  const Made& made_;
  SSL_SESSION* session_;
};

// What one line of the table is about.
struct Origin {
  fs::path folder;
  std::string version;
};

std::string offer_session(const Shared& shared, const Origin& origin, Mechanism mechanism, const Situation& situation) {
  const bool same_openssl = origin.version == OpenSSL_version(OPENSSL_VERSION_STRING);
  const Made made = made_of(read_text((origin.folder / file_name(mechanism, situation)).string()));
  const SslSessionPtr session = deserialise(made.session);
  if (session == nullptr && same_openssl) throw Wrong("not readable, on the same OpenSSL");
  if (session == nullptr) return "not readable by this client";
  const Offered offered{shared, mechanism, situation, made, session.get()};
  const bool resumed = offered.at_its_own_name();
  offered.at_another_name();
  offered.under_another_policy();
  if (is_external(mechanism)) offered.from_a_cache_cut_off();
  if (!resumed && same_openssl) throw Wrong("full, on the same OpenSSL");
  return resumed ? "resumed" : "full";
}

// Prints the line of one mechanism: one word where all its situations came to the same.
bool offer_sessions(const Shared& shared, const Origin& origin, Mechanism mechanism) {
  const std::string ways = origin.version + " → " + OpenSSL_version(OPENSSL_VERSION_STRING);
  std::vector<std::string> outcomes;
  std::string each;
  bool good = true;
  for (const Situation& situation : situations()) {
    try {
      outcomes.push_back(offer_session(shared, origin, mechanism, situation));
    } catch (const Wrong& wrong) {
      std::cerr << "session_exchange: " << ways << ", " << file_name(mechanism, situation) << ": " << wrong.what()
                << '\n';
      outcomes.emplace_back("WRONG");
      good = false;
    }
    each += (each.empty() ? "" : "; ") + std::string(situation.name) + ": " + outcomes.back();
  }
  const bool all_the_same = std::equal(outcomes.begin() + 1, outcomes.end(), outcomes.begin());
  std::cout << ways << ", " << to_string(mechanism) << ": " << (all_the_same ? outcomes.front() : each) << '\n';
  return good;
}

std::vector<Origin> origins_in(const fs::path& folder) {
  std::vector<Origin> origins;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    Origin origin;
    origin.folder = entry.path();
    origin.version = read_text((origin.folder / "openssl").string());
    origins.push_back(std::move(origin));
  }
  std::sort(origins.begin(), origins.end(), [](const Origin& a, const Origin& b) {
    return std::tie(a.version, a.folder) < std::tie(b.version, b.folder);
  });
  return origins;
}

int offer(const fs::path& folder) {
  const std::vector<Origin> origins = origins_in(folder);
  require(!origins.empty(), "there are no sessions in " + folder.string());
  const Shared shared = read_shared_files(folder);
  bool good = true;
  for (const Origin& origin : origins) {
    for (const Mechanism mechanism : travelling) good = offer_sessions(shared, origin, mechanism) && good;
  }
  return good ? 0 : 1;
}

bool is_name(std::string_view text) {
  return !text.empty() && text.front() != '.' && text.find('/') == std::string_view::npos;
}

}  // namespace

int main(int count, char** texts) {
  const std::vector<std::string> arguments(texts + 1, texts + count);
  try {
    if (arguments.size() == 3 && arguments[0] == "make" && is_name(arguments[2])) {
      return make(arguments[1], arguments[2]);
    }
    if (arguments.size() == 2 && arguments[0] == "offer") return offer(arguments[1]);
  } catch (const std::exception& error) {
    std::cerr << "session_exchange: " << error.what() << '\n';
    return 1;
  }
  std::cerr << usage;
  return 2;
}

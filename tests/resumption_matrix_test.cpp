// The resumption matrix: on each of OpenSSL's six mechanisms, what comes of a session that is offered again. One table
// says what should; `unit_tests "resumption matrix*"` prints a line a cell.
#include <openssl/err.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <functional>

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

enum class Outcome : std::uint8_t {
  resumed_whole,    // with the same leaf, chain and verdict
  resumed_as_none,  // as the client without a certificate that it was
  resumed_as_failed,
  full_asked,      // a full handshake with a CertificateRequest; known is what the client presents now: nothing
  full_not_asked,  // a full handshake without one; nobody is known
  without_early_data,
  refused,      // an alert
  not_offered,  // afterwards; what is known stays, and no ticket comes of it
  stranger,     // full, or resumed as somebody of whom nothing is known
};

std::string_view to_string(Outcome outcome) {
  static constexpr std::string_view names[] = {"resumed, the same chain and verdict",
                                               "resumed, NONE",
                                               "resumed, FAILED",
                                               "full, asked",
                                               "full, nothing asked, no identity",
                                               "early data rejected",
                                               "refused",
                                               "not offered, or refused",
                                               "no identity"};
  return names[static_cast<std::size_t>(outcome)];
}

constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;
constexpr long a_day = 24L * 3600;

PolicyPtr open_policy() {
  return make_policy();
}
PolicyPtr optional_policy() {
  return make_policy(asking(optional));
}
PolicyPtr required_policy(Refusal refusal = Refusal::handshake) {
  PolicyOptions options = asking(required);
  options.refusal = refusal;
  return make_policy(std::move(options));
}
PolicyPtr policy_of_ca2() {
  return make_policy(asking(optional, {&Pki::get().ca2}));
}
template <class Change>
PolicyPtr changed(Change change) {
  PolicyOptions options = asking();
  change(options);
  return make_policy(std::move(options));
}

// What a scenario has at hand: its mechanism, its servers, the session that is made and then offered.
class Cell {
 public:
  explicit Cell(Mechanism which) : mechanism(which) {}

  PolicyServer& serve(const NamedPolicies& names) {
    return *servers_.emplace_back(std::make_unique<PolicyServer>(mechanism, make_policies(names)));
  }

  // A full handshake; its session is kept, where there is one that the client could offer.
  void make(PolicyServer& server, const ClientOptions& options) {
    Pair first{server, options};
    REQUIRE(first.done());
    REQUIRE_FALSE(first.resumed());
    chain = first.chain();
    session = first.session();
  }

  // Offers it, with no certificate at hand unless the options have one, and keeps what came of it.
  void offer(PolicyServer& server, ClientOptions options) {
    options.session = session.get();
    certificate_calls_ = server.certificate_calls;
    server_ = &server;
    pair = std::make_unique<Pair>(server, options);
  }
  void offer(PolicyServer& server, std::string name) { offer(server, ClientOptions{.server_name = std::move(name)}); }

  // A full handshake and nothing weaker: with the certificate phase.
  [[nodiscard]] bool full() const {
    return pair->done() && !pair->resumed() && server_->certificate_calls == certificate_calls_ + 1;
  }

  const Mechanism mechanism;

 private:
  ClockRestorer clock_;
  std::vector<std::unique_ptr<PolicyServer>> servers_;  // they outlive the connections

 public:
  SslSessionPtr session;
  std::string chain;
  std::unique_ptr<Pair> pair;
  bool early_data_rejected = false;
  bool not_offered = false;

 private:
  PolicyServer* server_ = nullptr;
  int certificate_calls_ = 0;
};

Outcome outcome_of(const Cell& cell) {
  if (cell.not_offered) return Outcome::not_offered;
  const Pair& pair = *cell.pair;
  if (cell.early_data_rejected) return Outcome::without_early_data;
  if (!pair.done()) return Outcome::refused;
  if (pair.resumed() && pair.seen().certificate_requests == 0) {
    if (pair.verify() == "SUCCESS" && pair.chain() == cell.chain && cell.chain != "none") return Outcome::resumed_whole;
    if (pair.verify() == "NONE" && pair.chain() == "none") return Outcome::resumed_as_none;
    if (pair.verify().starts_with("FAILED:") && pair.chain() == cell.chain) return Outcome::resumed_as_failed;
    const bool nobody = pair.verify().starts_with("FAILED:") && pair.chain().starts_with("error: ");
    if (nobody) return Outcome::stranger;
  }
  const bool nobody = pair.verify() == "NONE" && (pair.chain() == "none" || pair.chain() == Pair::not_authenticated);
  if (cell.full() && nobody) {
    return pair.seen().certificate_requests == 1 ? Outcome::full_asked : Outcome::full_not_asked;
  }
  FAIL("neither resumed as it should be nor a full handshake: " << pair.verify() << ", " << pair.chain());
  return Outcome::stranger;
}

bool as_it_should_be(Outcome expected, Outcome outcome) {
  return outcome == expected || (expected == Outcome::stranger && outcome == Outcome::full_asked);
}

// What servers have for each other's sessions: with tickets it is the keys, with an external cache the cache.
void share_sessions(PolicyServer& from, PolicyServer& to) {
  std::vector<unsigned char> keys(static_cast<std::size_t>(SSL_CTX_get_tlsext_ticket_keys(from.ssl_ctx(), nullptr, 0)));
  SSL_CTX_get_tlsext_ticket_keys(from.ssl_ctx(), keys.data(), static_cast<int>(keys.size()));
  SSL_CTX_set_tlsext_ticket_keys(to.ssl_ctx(), keys.data(), static_cast<int>(keys.size()));
  to.external_cache = from.external_cache;
}

void other_ssl_ctx(Cell& cell, const PolicyPtr& first, const PolicyPtr& second) {
  PolicyServer& here = cell.serve({{"a.test", first}});
  PolicyServer& there = cell.serve({{"a.test", second}});
  cell.make(here, client1());
  share_sessions(here, there);
  cell.offer(there, "a.test");
}

// The bytes of a file descriptor, to its end.
std::string read_all(int file) {
  std::string text;
  char piece[4096];
  for (ssize_t size = 0; (size = ::read(file, piece, sizeof piece)) > 0;)
    text.append(piece, static_cast<std::size_t>(size));
  return text;
}

void write_block(int file, const void* data, std::size_t size) {
  const auto header = static_cast<std::uint32_t>(size);
  if (::write(file, &header, sizeof header) != sizeof header) std::abort();
  if (::write(file, data, size) != static_cast<ssize_t>(size)) std::abort();
}

std::string take_block(std::string& text) {
  std::uint32_t size = 0;
  REQUIRE(text.size() >= sizeof size);
  text.copy(reinterpret_cast<char*>(&size), sizeof size);
  REQUIRE(text.size() >= sizeof size + size);
  std::string block = text.substr(sizeof size, size);
  text.erase(0, sizeof size + size);
  return block;
}

// The session is made by another process, which builds its policies itself; it and the external cache come by a pipe.
void other_process(Cell& cell, const PolicyPtr& second) {
  PolicyServer& here = cell.serve({{"a.test", second}});
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    PolicyServer& there = cell.serve({{"a.test", optional_policy()}});
    share_sessions(here, there);
    Pair pair{there, client1()};
    const auto session = pair.session();
    const auto bytes = bytes_of(session.get());
    write_block(ends[1], bytes.data(), bytes.size());
    for (const auto& [id, stored] : there.external_cache) {
      write_block(ends[1], id.data(), id.size());
      write_block(ends[1], stored.data(), stored.size());
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  const std::string bytes = take_block(text);
  const auto* in = reinterpret_cast<const unsigned char*>(bytes.data());
  cell.session.reset(d2i_SSL_SESSION(nullptr, &in, static_cast<long>(bytes.size())));
  REQUIRE(cell.session);
  while (!text.empty()) {
    const std::string id = take_block(text);
    const std::string stored = take_block(text);
    here.external_cache[id] = {stored.begin(), stored.end()};
  }
  cell.chain = chain_of_client1();
  cell.offer(here, "a.test");
}

// A host that has an SSL_CTX for each name, and goes to it in its servername callback: when the session has been looked
// up, in the SSL_CTX of the listener.
void switched_ssl_ctx(Cell& cell, const PolicyPtr& listener, const PolicyPtr& other, const std::string& second_name) {
  const NamedPolicies names{{"a.test", listener}, {"b.test", other}};
  PolicyServer& first = cell.serve(names);
  PolicyServer& last = cell.serve(names);
  SSL_CTX_set_app_data(last.ssl_ctx(), &first);  // where the external cache is
  SSL_CTX_set_tlsext_servername_arg(first.ssl_ctx(), last.ssl_ctx());
  SSL_CTX_set_tlsext_servername_callback(
      first.ssl_ctx(), +[](SSL* ssl, int*, void* ssl_ctx) {
        SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ssl_ctx));
        return SSL_TLSEXT_ERR_OK;
      });
  // The certificate phase is counted where it takes place.
  cell.make(first, client1());
  const int calls = last.certificate_calls;
  cell.offer(first, second_name);
  first.certificate_calls += last.certificate_calls - calls;
}

void replace(PolicyServer& server, const NamedPolicies& names) {
  server.policies->replace(make_table(names));
}

void policy_replaced(Cell& cell, const PolicyPtr& first, const PolicyPtr& second, const ClientOptions& client) {
  PolicyServer& server = cell.serve({{"a.test", first}});
  cell.make(server, client);
  replace(server, {{"a.test", second}});
  cell.offer(server, "a.test");
}

// Within the policy's time a session can be renewed as often as the client likes.
void renew_every_2_s_until_after_5_s(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", changed([](auto& o) { o.max_age = std::chrono::seconds{5}; })}});
  cell.make(server, client1());
  for (int i = 0; i < 2; ++i) {
    advance_time(2);
    cell.offer(server, "a.test");
    REQUIRE(outcome_of(cell) == Outcome::resumed_whole);
    cell.session = cell.pair->session();
  }
  advance_time(2);
  cell.offer(server, "a.test");
}

void certificate_expires(Cell& cell, bool leaf_expires) {
  const Pki& pki = Pki::get();
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
  const Certificate intermediate =
      issue({.common_name = "i", .usage = Usage::ca, .ends_in = leaf_expires ? a_day : 100}, &pki.ca1);
  const Certificate leaf = issue({.ends_in = leaf_expires ? 100 : a_day}, &intermediate);
  cell.make(server, {.chain = {leaf.get(), intermediate.get()}, .key = leaf.key.get()});
  advance_time(99);
  cell.offer(server, "a.test");
  REQUIRE(outcome_of(cell) == Outcome::resumed_whole);
  cell.session = cell.pair->session();
  advance_time(2);
  cell.offer(server, "a.test");
}

void flip_a_byte(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
  cell.make(server, client1());
  const unsigned char* ticket = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket(cell.session.get(), &ticket, &size);
  if (size > 0) {
    const_cast<unsigned char*>(ticket)[size / 2] ^= 1;
  } else {
    unsigned id_size = 0;
    const unsigned char* id = SSL_SESSION_get_id(cell.session.get(), &id_size);
    std::vector<unsigned char> other(id, id + id_size);
    other[0] ^= 1;
    SSL_SESSION_set1_id(cell.session.get(), other.data(), id_size);
  }
  cell.offer(server, "a.test");
}

void other_keys(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
  cell.make(server, client1());
  std::vector<unsigned char> keys(
      static_cast<std::size_t>(SSL_CTX_get_tlsext_ticket_keys(server.ssl_ctx(), nullptr, 0)), 7);
  SSL_CTX_set_tlsext_ticket_keys(server.ssl_ctx(), keys.data(), static_cast<int>(keys.size()));
  forget_sessions(server.ssl_ctx());
  server.external_cache.clear();
  cell.offer(server, "a.test");
}

// Another program writes into the external cache, or the host's own ticket callback into the ticket.
void foreign_appdata(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
  if (cell.mechanism == Mechanism::stateless13) {
    SSL_CTX_set_session_ticket_cb(
        server.ssl_ctx(), [](SSL* ssl, void*) { return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), "x", 1); },
        [](SSL*, SSL_SESSION*, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
           void*) -> SSL_TICKET_RETURN {
          const bool good = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
          return good ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_IGNORE;
        },
        nullptr);
  }
  cell.make(server, client1());
  for (auto& [id, bytes] : server.external_cache) {
    const SslSessionPtr stored = session_of(bytes);
    SSL_SESSION_set1_ticket_appdata(stored.get(), "x", 1);
    bytes = bytes_of(stored.get());
  }
  cell.offer(server, "a.test");
}

// The bytes that the server can read before the client's Finished, all the while that the handshake goes on.
std::size_t early_bytes(Pair& pair) {
  std::size_t total = 0;
  char data[64];
  for (int i = 0; i < 4; ++i) {
    std::size_t size = 0;
    const int result = SSL_read_early_data(pair.server(), data, sizeof data, &size);
    if (result == SSL_READ_EARLY_DATA_SUCCESS) total += size;
    if (result == SSL_READ_EARLY_DATA_FINISH) break;
    ERR_clear_error();
    SSL_do_handshake(pair.client());
  }
  return total;
}

// The client sends early data with a session that says it may: the name's own, or one of a name where it may indeed.
void early_data(Cell& cell, const std::string& made_at) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}, {"open.test", open_policy()}});
  SSL_CTX_set_max_early_data(server.ssl_ctx(), 16'384);
  cell.make(server, client1(made_at));
  if (made_at == "open.test") CHECK(SSL_SESSION_get_max_early_data(cell.session.get()) > 0);
  SSL_SESSION_set_max_early_data(cell.session.get(), 16'384);
  ClientOptions options = client1();
  options.session = cell.session.get();
  cell.pair = std::make_unique<Pair>(server, options, false);
  std::size_t written = 0;
  REQUIRE(SSL_write_early_data(cell.pair->client(), "early", 5, &written) == 1);
  const std::size_t early = early_bytes(*cell.pair);
  SSL_do_handshake(cell.pair->client());  // SSL_read would not end the sending of early data
  REQUIRE(cell.pair->run());
  CHECK(cell.pair->verify() == "SUCCESS");
  CHECK(cell.pair->echo());
  cell.early_data_rejected = early == 0 && SSL_get_early_data_status(cell.pair->server()) == SSL_EARLY_DATA_REJECTED;
}

// Between the two ClientHellos the client goes from one name to another.
void renamed_after_retry(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}, {"open.test", open_policy()}});
  const ClientOptions options = retrying(server.ssl_ctx(), {.server_name = "open.test"});
  cell.pair = std::make_unique<Pair>(server, options, false);
  SSL_do_handshake(cell.pair->client());
  SSL_do_handshake(cell.pair->server());  // HelloRetryRequest
  ERR_clear_error();
  SSL_set_tlsext_host_name(cell.pair->client(), "a.test");
  CHECK_FALSE(cell.pair->run());
  CHECK(server.client_hello_calls == 1);
  CHECK(server.errors == std::vector<std::string>{"the client changed its server name in mid-handshake"});
  CHECK(cell.pair->seen().alert == SSL_AD_ILLEGAL_PARAMETER);
}

// Where it can be refused, no handshake follows, nothing that is known changes, and no ticket comes of it.
void authentication_afterwards(Cell& cell) {
  PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
  SSL_CTX_set_verify(server.ssl_ctx(), SSL_VERIFY_PEER, nullptr);  // what the host says is not what counts
  SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
  ClientOptions options = client1();
  options.post_handshake_auth = true;
  Pair pair{server, options};
  REQUIRE(pair.done());
  const int tickets = pair.seen().tickets;
  const int hellos = server.client_hello_calls;
  if (is_tls13(cell.mechanism)) {
    CHECK(SSL_verify_client_post_handshake(pair.server()) == 0);
  } else {
    SSL_renegotiate(pair.client());
    SSL_do_handshake(pair.client());
  }
  ERR_clear_error();
  pair.run();
  CHECK(pair.seen().certificate_requests == 1);
  CHECK(pair.seen().tickets == tickets);
  CHECK(server.client_hello_calls == hellos);
  CHECK(pair.verify() == "SUCCESS");
  // A warning, of which OpenSSL's client makes an end.
  if (!is_tls13(cell.mechanism)) CHECK(pair.seen().alert == SSL_AD_NO_RENEGOTIATION);
  cell.not_offered = true;
}

bool on_all(Mechanism /*mechanism*/) {
  return true;
}
bool is_stateless13_or_external(Mechanism mechanism) {
  return mechanism == Mechanism::stateless13 || is_external(mechanism);
}
// An internal cache belongs to one SSL_CTX.
bool is_shared(Mechanism mechanism) {
  return mechanism == Mechanism::ticket12 || is_stateless13_or_external(mechanism);
}

struct Scenario {
  std::string name;
  Outcome outcome;
  std::function<void(Cell&)> run;
  bool (*applies)(Mechanism) = on_all;
};

std::vector<Scenario> scenarios() {
  using enum Outcome;
  const auto at_other_name = [](PolicyPtr (*first)(), PolicyPtr (*second)()) {
    return [=](Cell& cell) {
      PolicyServer& server = cell.serve({{"a.test", first()}, {"b.test", second()}});
      cell.make(server, client1());
      cell.offer(server, "b.test");
    };
  };
  const auto at_same_name = [](const ClientOptions& client) {
    return [=](Cell& cell) {
      PolicyServer& server = cell.serve({{"a.test", optional_policy()}});
      cell.make(server, client);
      cell.offer(server, "a.test");
    };
  };
  // The client presents its good certificate when it comes to the required name; that it did not before is what counts.
  const auto at_required_name = [](const ClientOptions& client) {
    return [=](Cell& cell) {
      PolicyServer& server = cell.serve({{"a.test", optional_policy()}, {"b.test", required_policy(Refusal::host)}});
      cell.make(server, client);
      cell.offer(server, "b.test");
    };
  };
  const auto again_at_required_name = [](const ClientOptions& client) {
    return [=](Cell& cell) {
      PolicyServer& server = cell.serve({{"a.test", required_policy(Refusal::host)}});
      cell.make(server, client);
      cell.offer(server, "a.test");
    };
  };
  const ClientOptions nothing{};
  const ClientOptions failing = client2();  // of a CA that the policy does not know
  const auto no_resumption = [](auto& o) { o.resumption = false; };

  std::vector<Scenario> all{
      {"same name, same policy", resumed_whole, at_same_name(client1())},
      {"other name, same policy", full_asked, at_other_name(optional_policy, optional_policy)},
      {"other name, other CA", full_asked, at_other_name(optional_policy, policy_of_ca2)},
      {"made where nothing was asked, at a name that asks", full_asked, at_other_name(open_policy, optional_policy)},
      {"made with a certificate, at a name that asks nothing", full_not_asked,
       at_other_name(optional_policy, open_policy)},
      {"made without a certificate, at the same optional name", resumed_as_none, at_same_name(nothing)},
      {"made with one that failed, at the same optional name", resumed_as_failed, at_same_name(failing)},
      {"made without a certificate, at a required name", full_asked, at_required_name(nothing)},
      {"made with one that failed, at a required name", full_asked, at_required_name(failing)},
      {"made without a certificate, at the same required name", full_asked, again_at_required_name(nothing)},
      {"made with one that failed, at the same required name", full_asked, again_at_required_name(failing)},
      {"made with a verified one, at the same required name", resumed_whole, again_at_required_name(client1())},
      {"the same, where the handshake refuses others", resumed_whole,
       [](Cell& cell) {
         PolicyServer& server = cell.serve({{"a.test", required_policy()}});
         cell.make(server, client1());
         cell.offer(server, "a.test");
       }},
      {"made at an optional name, which then refuses in the handshake", refused,
       [=](Cell& cell) { policy_replaced(cell, optional_policy(), required_policy(), nothing); }},
      {"same policy, table replaced by an equal one", resumed_whole,
       [](Cell& cell) { policy_replaced(cell, optional_policy(), optional_policy(), client1()); }},
      {"the leaf has expired", full_asked, [](Cell& cell) { certificate_expires(cell, true); }},
      {"another certificate of the chain has expired", full_asked,
       [](Cell& cell) { certificate_expires(cell, false); }},
      {"the maximum age has passed, however often renewed", full_asked, renew_every_2_s_until_after_5_s},
      {"no reuse when it was made", full_asked,
       [=](Cell& cell) { policy_replaced(cell, changed(no_resumption), changed(no_resumption), client1()); }},
      {"no reuse when it is offered", full_asked,
       [=](Cell& cell) { policy_replaced(cell, optional_policy(), changed(no_resumption), client1()); }},
      {"other SSL_CTX, same policy", resumed_whole,
       [](Cell& cell) { other_ssl_ctx(cell, optional_policy(), optional_policy()); }, is_shared},
      {"other SSL_CTX, other policy", full_asked,
       [](Cell& cell) { other_ssl_ctx(cell, optional_policy(), policy_of_ca2()); }, is_shared},
      {"other process, same policy", resumed_whole, [](Cell& cell) { other_process(cell, optional_policy()); },
       is_shared},
      {"other process, other policy", full_asked, [](Cell& cell) { other_process(cell, policy_of_ca2()); }, is_shared},
      {"SSL_CTX switched for the name, same policy", resumed_whole,
       [](Cell& cell) { switched_ssl_ctx(cell, optional_policy(), policy_of_ca2(), "a.test"); }},
      {"SSL_CTX switched for the name, other policy", full_asked,
       [](Cell& cell) { switched_ssl_ctx(cell, optional_policy(), policy_of_ca2(), "b.test"); }},
      {"SSL_CTX switched for the name, made where nothing was asked", full_asked,
       [](Cell& cell) { switched_ssl_ctx(cell, open_policy(), optional_policy(), "b.test"); }},
      {"tampered", full_asked, flip_a_byte},
      {"other key, or emptied cache", full_asked, other_keys},
      {"foreign appdata", stranger, foreign_appdata, is_stateless13_or_external},
      {"0-RTT where a certificate is asked for, its own session", without_early_data,
       [](Cell& cell) { early_data(cell, "a.test"); }, is_tls13},
      {"0-RTT where a certificate is asked for, a foreign session", without_early_data,
       [](Cell& cell) { early_data(cell, "open.test"); }, is_tls13},
      {"HelloRetryRequest, name changed between the two hellos", refused, renamed_after_retry, is_tls13},
      {"post-handshake authentication, renegotiation", not_offered, authentication_afterwards},
  };
  for (const PolicyChange& change : policy_changes().subspan(1)) {
    const bool handshake_refuses = std::string_view(change.option) == "request";
    all.push_back(
        {std::string("policy changed: ") + change.option, handshake_refuses ? refused : full_asked,
         [&change](Cell& cell) { policy_replaced(cell, optional_policy(), changed(change.change), client1()); }});
  }
  return all;
}

}  // namespace

TEST_CASE("resumption matrix: every scenario comes out as it should on each of the six mechanisms") {
  for (const Scenario& scenario : scenarios()) {
    for (const Mechanism mechanism : all_mechanisms) {
      if (!scenario.applies(mechanism)) continue;
      DYNAMIC_SECTION(scenario.name << " | " << to_string(mechanism)) {
        Cell cell{mechanism};
        scenario.run(cell);
        const Outcome outcome = outcome_of(cell);
        std::printf("%-62s | %-20s | %s\n", scenario.name.c_str(), std::string(to_string(mechanism)).c_str(),
                    std::string(to_string(outcome)).c_str());
        INFO("it should be: " << to_string(scenario.outcome));
        CHECK(as_it_should_be(scenario.outcome, outcome));
      }
    }
  }
}

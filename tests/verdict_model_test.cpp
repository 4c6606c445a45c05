// Random lives of a server, against a small model of who may be called authenticated: by hand and under policies, with
// clients of all kinds, hosts whose callbacks interfere, post-handshake authentication, reloads and time.

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/external_psk.hpp"
#include "support/model.hpp"
#include "support/verdicts.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr ClientAuth none = ClientAuth::none;
constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;

// What is asked for under a name. By hand the server trusts both CAs, and cannot require.
struct Rule {
  Way way = Way::by_policy;
  ClientAuth request = none;
  Refusal refusal = Refusal::handshake;
  bool ca1 = false;
  bool ca2 = false;
  long max_age = 1'000'000;
  Purpose purpose = Purpose::client;
  long tolerance = 0;
  bool resumption = true;
};

constexpr Rule rules[] = {
    {},
    {.request = optional, .ca1 = true},
    {.request = optional, .ca2 = true, .max_age = 60},
    {.request = optional, .ca1 = true, .ca2 = true, .tolerance = 40},
    {.request = optional, .ca1 = true, .purpose = Purpose::client_or_server},
    {.request = optional, .ca1 = true, .resumption = false},
    {.request = required, .ca1 = true},
    {.request = required, .ca1 = true, .ca2 = true, .max_age = 80, .tolerance = 20},
    {.request = required, .refusal = Refusal::host, .ca1 = true},
    {.request = required, .refusal = Refusal::host, .ca2 = true, .purpose = Purpose::client_or_server},
    {.way = Way::by_hand},
    {.way = Way::by_hand, .request = optional, .ca1 = true, .ca2 = true},
    {.way = Way::by_hand, .request = optional, .ca1 = true, .ca2 = true, .max_age = 50},
    {.way = Way::by_hand, .request = optional, .ca1 = true, .ca2 = true, .resumption = false},
};
constexpr const char* names[] = {"a.test", "b.test", "c.test"};

PolicyPtr policy_of(const Rule& rule) {
  PolicyOptions options;
  options.request = rule.request;
  options.refusal = rule.refusal;
  options.resumption = rule.resumption;
  options.max_age = std::chrono::seconds{rule.max_age};
  options.purpose = rule.purpose;
  options.expired_tolerance = std::chrono::seconds{rule.tolerance};
  if (rule.ca1) options.anchors = share({&Pki::get().ca1});
  if (rule.ca2) options.anchors.push_back(std::move(share({&Pki::get().ca2}).front()));
  return make_policy(std::move(options));
}

// The model: a client that has proved the key of a certificate.
struct Proof {
  bool presented = false;  // if not, there is no such client
  bool bypassed = false;   // nobody looked at the certificate
  bool by_psk = false;     // a session that no full handshake has made
  int ca = 0;
  bool for_servers = false;
  std::time_t end = 0;
  std::time_t at = 0;
  std::string chain = {};
};

// Whether the client may be called authenticated now, where the rule decides on whatever was verified.
bool authenticated_by(const Proof& proof, const Rule& rule) {
  const std::time_t now = std::time(nullptr);
  const bool trusted = (proof.ca == 1 && rule.ca1) || (proof.ca == 2 && rule.ca2);
  const bool suitable = !proof.for_servers || rule.purpose == Purpose::client_or_server;
  const std::time_t end = std::min(proof.end + rule.tolerance, proof.at + rule.max_age);
  return proof.presented && trusted && suitable && now < end && proof.at <= now + 300;
}

// The same where the rule was the one when the client proved itself: it must have been in time then.
bool authenticated(const Proof& proof, const Rule& rule) {
  // From OpenSSL 4.0 on a certificate is good in the second of its end.
  const std::time_t last_second = OPENSSL_VERSION_MAJOR >= 4 && rule.tolerance == 0 ? 1 : 0;
  const bool in_time = proof.at < proof.end + rule.tolerance + last_second;
  return !proof.bypassed && in_time && authenticated_by(proof, rule);
}

// What the host's callbacks do on a connection.
struct Interference {
  bool longer_sessions = false;   // its new-session callback sets a timeout of its own,
  bool own_context = false;       // or an id context
  bool own_session_ids = false;   // SSL_set_generate_session_id, after the library
  bool says_yes = false;          // SSL_CTX_set_cert_verify_callback
  bool takes_compressed = false;  // switched on again, after the library
};

// A server whose host interferes as it is told for the next connection.
class MeddledServer {
 public:
  MeddledServer(Mechanism mechanism, const std::shared_ptr<CurrentPolicies>& policies) : server_(mechanism) {
    allow_others();
    if (policies == nullptr) {
      bind_by_hand();
      return;
    }
    Hooks hooks;
    hooks.certificate = [this](Handshake& handshake) { return meddle(handshake.ssl()), Decision::proceed; };
    if (!install(ctx(), policies, std::move(hooks))) throw std::runtime_error("install");
  }

  [[nodiscard]] SSL_CTX* ctx() const { return server_.ssl_ctx(); }

  void prepare(const Interference& interference, std::size_t rule) {
    now_ = interference;
    rule_ = rule;
    SSL_CTX_set_cert_verify_callback(ctx(), now_.says_yes ? say_yes : nullptr, nullptr);
    SSL_CTX_sess_set_new_cb(ctx(), now_.longer_sessions ? store_longer : now_.own_context ? store_own : store());
  }

 private:
  using NewSession = int (*)(SSL*, SSL_SESSION*);
  static NewSession store() {
    static const NewSession original = SSL_CTX_sess_get_new_cb(Server(Mechanism::id12).ssl_ctx());
    return original;
  }
  static int store_longer(SSL* ssl, SSL_SESSION* session) {
    SSL_SESSION_set_timeout(session, 24L * 3600);
    return store()(ssl, session);
  }
  static int store_own(SSL* ssl, SSL_SESSION* session) {
    SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>("host"), 4);
    return store()(ssl, session);
  }

  // Clients that have no certificate, but a key.
  void allow_others() {
    SSL_CTX_set_psk_find_session_callback(ctx(), find_psk);
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    static constexpr std::array<unsigned char, 2> types{TLSEXT_cert_type_rpk, TLSEXT_cert_type_x509};
    SSL_CTX_set1_client_cert_type(ctx(), types.data(), types.size());
#endif
  }

  void bind_by_hand() {
    server_.on_client_hello = [this](SSL* ssl) {
      const auto name = ServerName::from_client_hello(ssl);
      const std::string scope = std::string(name->view()) + std::to_string(rule_);
      return bind_to(ssl, scope, {.limits = {}, .max_age = std::chrono::seconds{rules[rule_].max_age}});
    };
    server_.on_certificate = [this](SSL* ssl) {
      const Rule& rule = rules[rule_];
      const bool good = (rule.request == none || ask(ssl) == 1) && (rule.resumption || disable_reuse(ssl) == 1);
      meddle(ssl);
      return good ? 1 : 0;
    };
  }

  void meddle(SSL* ssl) const {
    if (now_.own_session_ids) SSL_set_generate_session_id(ssl, own_session_id);
#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION)
    if (now_.takes_compressed) SSL_clear_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
  }

  Server server_;
  Interference now_;
  std::size_t rule_ = 0;
};

struct Credentials {
  Proof proof;  // what it comes to if it is asked for, and presents it
  Certificate leaf;
  bool psk = false;
  bool raw_key = false;

  [[nodiscard]] std::vector<X509*> chain() const {
    if (proof.ca == 0) return {};
    const Pki& pki = Pki::get();
    return {leaf.get(), (proof.ca == 1 ? pki.intermediate1 : pki.intermediate2).get()};
  }
};

// Where a connection has got to with its post-handshake authentication.
enum class Again : std::uint8_t { not_asked, cut, done };

// A connection that is kept, and what the model knows of it.
struct Kept {
  std::unique_ptr<Pair> pair;
  std::size_t server = 0;
  std::size_t name = 0;
  std::size_t rule = 0;
  Proof proof;
  Again again = Again::not_asked;
  std::string rest;  // of the client's answer that is on its way
  X509Ptr leaf;      // from the handshake
  Certificate other;
};

// A session in a client's hands.
struct Held {
  SslSessionPtr session;
  std::size_t server = 0;
  std::size_t name = 0;
  std::size_t rule = 0;
  Proof proof;
};

class World {
 public:
  explicit World(std::mt19937_64& random) : random_(random) {
    for (std::size_t& rule : in_force_) rule = any(std::size(rules));
    policies_ = std::make_shared<CurrentPolicies>(table());
    for (const Mechanism mechanism : all_mechanisms) {
      servers_.push_back(std::make_unique<MeddledServer>(mechanism, nullptr));
      servers_.push_back(std::make_unique<MeddledServer>(mechanism, policies_));
    }
  }

  struct Counts {
    std::uint64_t connections, resumptions, successes, answers;
  };
  [[nodiscard]] const Counts& counts() const { return counts_; }

  void step() {
    switch (any(12)) {
      case 0:
      case 1:
        pass_time();
        break;
      case 2:
        reload();
        break;
      case 3:
      case 4:
        if (!kept_.empty()) authenticate_again(kept_[any(kept_.size())]);
        break;
      default:
        connect();
    }
  }

 private:
  std::size_t any(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }
  bool one_in(std::size_t number) { return any(number) == 0; }

  PolicyTable table() {
    NamedPolicies all;
    for (std::size_t i = 0; i < std::size(names); ++i) all.emplace_back(names[i], policy_of(rules[in_force_[i]]));
    return make_table(all);
  }

  void reload() {
    if (one_in(2)) in_force_[any(std::size(names))] = any(std::size(rules));
    policies_->replace(table());
    check_all();
  }

  void pass_time() {
    // Sometimes back, but never to before this life.
    const auto back = static_cast<long>(any(1000));
    if (one_in(6) && back <= elapsed_) {
      set_back_ = true;
      elapsed_ -= back;
      advance_time(-back);
    } else {
      const auto time = static_cast<long>(any(40));
      elapsed_ += time;
      advance_time(time);
    }
    check_all();
  }

  Credentials any_credentials(bool tls13) {
    Credentials client;
    if (one_in(8)) client.psk = tls13;
    if (one_in(8)) client.raw_key = OPENSSL_VERSION_NUMBER >= 0x30200000L;
    client.proof.ca = static_cast<int>(any(3));
    if (client.proof.ca == 0) {
      client.raw_key = false;
      return client;
    }
    const Pki& pki = Pki::get();
    const long lifetime = one_in(2) ? static_cast<long>(any(150)) - 50 : 20L * 24 * 3600;
    client.proof.for_servers = one_in(5);
    const Usage usage = client.proof.for_servers ? Usage::server : Usage::client;
    client.leaf =
        issue({.usage = usage, .ends_in = lifetime}, client.proof.ca == 1 ? &pki.intermediate1 : &pki.intermediate2);
    client.proof.end = std::time(nullptr) + lifetime;
    client.proof.chain = pem_of(client.chain());
    return client;
  }

  Interference any_interference() {
    return {.longer_sessions = one_in(4),
            .own_context = one_in(6),
            .own_session_ids = one_in(3),
            .says_yes = one_in(6),
            .takes_compressed = one_in(4)};
  }

  static ClientOptions options_of(const Credentials& client, const char* name) {
    ClientOptions options{.server_name = name, .chain = client.chain(), .key = client.leaf.key.get()};
    options.post_handshake_auth = true;
    if (client.psk) options.adjust = [](SSL* ssl) { SSL_set_psk_use_session_callback(ssl, use_psk); };
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    static constexpr std::array<unsigned char, 1> raw{TLSEXT_cert_type_rpk};
    if (client.raw_key) {
      options.adjust_ctx = [](SSL_CTX* ctx) { SSL_CTX_set1_client_cert_type(ctx, raw.data(), raw.size()); };
    }
#endif
    return options;
  }

  void connect() {
    const Held* offered = held_.empty() || one_in(4) ? nullptr : &held_[any(held_.size())];
    // Mostly where it belongs.
    const std::size_t name = offered != nullptr && !one_in(6) ? offered->name : any(std::size(names));
    const std::size_t rule = in_force_[name];
    const std::size_t mechanism = offered != nullptr && !one_in(8) ? offered->server / 2 : any(all_mechanisms.size());
    const std::size_t server = 2 * mechanism + (rules[rule].way == Way::by_policy ? 1 : 0);
    Credentials client = any_credentials(is_tls13(all_mechanisms[mechanism]));
    if (offered != nullptr) client.psk = false;
    ClientOptions options = options_of(client, names[name]);
    if (offered != nullptr) options.session = offered->session.get();
    const Interference interference = any_interference();
    servers_[server]->prepare(interference, rule);
    auto pair = std::make_unique<Pair>(servers_[server]->ctx(), options);
    ++counts_.connections;
    CAPTURE(to_string(all_mechanisms[mechanism]), rule, names[name], client.psk, client.raw_key, client.proof.ca,
            client.proof.for_servers, interference.says_yes, offered != nullptr);
    const bool resumed = pair->resumed() && !client.psk;
    if (resumed) check_may_resume(offered, server, name, rule);
    const Proof proof = resumed ? offered->proof : proof_of(client, *pair, rules[rule], interference);
    if (!resumed) check_completes(*pair, proof, rules[rule]);
    counts_.resumptions += resumed ? 1 : 0;
    if (!pair->done()) return;
    Kept kept;
    kept.leaf.reset(SSL_get1_peer_certificate(pair->server()));
    kept.pair = std::move(pair);
    kept.server = server;
    kept.name = name;
    kept.rule = rule;
    kept.proof = proof;
    keep(std::move(kept));
  }

  // By nobody whose verification was bypassed, and only where it was made.
  static void check_may_resume(const Held* offered, std::size_t server, std::size_t name, std::size_t rule) {
    REQUIRE(offered != nullptr);
    REQUIRE(offered->server == server);
    REQUIRE(offered->name == name);
    REQUIRE(offered->rule == rule);
    // By hand it is forbidden in the certificate phase, which a client with an external PSK does not come to.
    REQUIRE((rules[rule].resumption || (rules[rule].way == Way::by_hand && offered->proof.by_psk)));
    REQUIRE_FALSE(offered->proof.bypassed);
  }

  static Proof proof_of(const Credentials& client, const Pair& pair, const Rule& rule, const Interference& meddled) {
    Proof proof = client.proof;
    proof.by_psk = client.psk && pair.resumed();
    proof.presented = rule.request != none && proof.ca != 0 && !client.raw_key && !proof.by_psk;
    proof.bypassed = proof.presented && meddled.says_yes;
    proof.at = std::time(nullptr);
    return proof;
  }

  static void check_completes(const Pair& pair, const Proof& proof, const Rule& rule) {
    if (proof.at == proof.end) return;  // the versions differ in the second of the end
    const bool refused = rule.request == required && rule.refusal == Refusal::handshake && !authenticated(proof, rule);
    REQUIRE(pair.done() == !refused);
  }

  void keep(Kept kept) {
    check(kept);
    hold(kept);
    (kept_.size() < 8 ? kept_.emplace_back() : kept_[any(kept_.size())]) = std::move(kept);
  }

  void hold(const Kept& kept) {
    Held held{kept.pair->session(), kept.server, kept.name, kept.rule, kept.proof};
    if (!held.session) return;
    if (kept.again == Again::done) held.proof = {.by_psk = kept.proof.by_psk};  // it is nobody's any more
    (held_.size() < 12 ? held_.emplace_back() : held_[any(held_.size())]) = std::move(held);
  }

  // The host asks for another certificate; the answer arrives in part, and perhaps the rest of it later.
  void authenticate_again(Kept& kept) {
    SSL* ssl = kept.pair->server();
    if (SSL_version(ssl) != TLS1_3_VERSION || kept.again == Again::done) return;
    if (kept.again == Again::not_asked && !request_again(kept)) return;
    kept.again = Again::cut;
    const std::size_t size = one_in(2) ? kept.rest.size() : any(kept.rest.size() + 1);
    deliver(kept, size);
    // An answer that is refused (a raw key, which nobody verifies) ends the connection, and changes nobody.
    if (kept.rest.empty() && SSL_is_init_finished(ssl) == 1) kept.again = Again::done;
    check(kept);
    if (kept.again != Again::done) return;
    test::step(kept.pair->client());  // tickets
    hold(kept);
  }

  bool request_again(Kept& kept) {
    SSL* ssl = kept.pair->server();
    SSL* client = kept.pair->client();
    kept.other = issue({.common_name = "other"}, one_in(2) ? &Pki::get().ca1 : &Pki::get().ca2);
    REQUIRE(answer_with(client, &kept.other));
    SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
    if (SSL_verify_client_post_handshake(ssl) != 1 || SSL_do_handshake(ssl) != 1) return false;
    test::step(client);
    kept.rest = take_off_wire(ssl);
    return !kept.rest.empty();
  }

  static void deliver(Kept& kept, std::size_t size) {
    put_on_wire(kept.pair->client(), std::string_view{kept.rest}.substr(0, size));
    kept.rest.erase(0, size);
    test::step(kept.pair->server());
  }

  void check_all() {
    for (const Kept& kept : kept_) check(kept);
  }

  void check(const Kept& kept) {
    const Rule& rule = rules[kept.rule];
    CAPTURE(kept.rule, names[kept.name], static_cast<int>(kept.again), kept.proof.presented, kept.proof.bypassed);
    PhaseContext context{Phase::access};
    const auto verdict = ClientTls{kept.pair->server(), context}.verdict();
    const bool success = verdict && verdict->success();
    const bool changed = SSL_get0_peer_certificate(kept.pair->server()) != kept.leaf.get();
    const bool may_be = authenticated(kept.proof, rule) && kept.again != Again::done && !changed;
    CAPTURE(changed, may_be, kept.pair->verify());
    if (kept.again == Again::cut) {
      REQUIRE((may_be || !success));  // it can be too early
      if (!verdict) REQUIRE(verdict.error().code == Errc::too_early);
    } else {
      REQUIRE(verdict);
      REQUIRE(success == may_be);
    }
    ++counts_.answers;
    counts_.successes += success ? 1 : 0;
    check_what_is_said(kept, rule, success);
    check_by_rule_in_force(kept, changed);
  }

  static void check_what_is_said(const Kept& kept, const Rule& rule, bool success) {
    REQUIRE((kept.pair->verify() == "SUCCESS") == success);
    const std::string chain = kept.pair->chain();
    if (success) REQUIRE(chain == kept.proof.chain);
    if (!success && rule.request == required) REQUIRE(chain.starts_with("error: "));
  }

  // By the rule that the connection's name has now, whatever it had then.
  void check_by_rule_in_force(const Kept& kept, bool changed) {
    const Rule& rule = rules[in_force_[kept.name]];
    if (rule.request == none) return;
    const auto verdict = verdict_by(*kept.pair, *policy_of(rule));
    const bool success = verdict && verdict->success();
    const bool may_be = authenticated_by(kept.proof, rule) && kept.again != Again::done && !changed;
    CAPTURE(in_force_[kept.name], may_be);
    REQUIRE((may_be || !success));
    // What was found out by an hour that has been taken back since is remembered.
    if (kept.again == Again::not_asked && !set_back_) REQUIRE(success == may_be);
  }

  std::mt19937_64& random_;
  std::size_t in_force_[std::size(names)];
  std::shared_ptr<CurrentPolicies> policies_;
  std::vector<std::unique_ptr<MeddledServer>> servers_;  // for each mechanism: by hand, by policy
  std::vector<Kept> kept_;
  std::vector<Held> held_;
  long elapsed_ = 0;
  bool set_back_ = false;
  Counts counts_{};
};

}  // namespace

TEST_CASE("verdict model: in a random life the clients whom the model allows are success, and nobody else") {
  World::Counts all{};
  constexpr std::uint64_t steps_of_a_life = 250;
  live<World>(steps_of_a_life, [&](const World& world) {
    all.connections += world.counts().connections;
    all.resumptions += world.counts().resumptions;
    all.successes += world.counts().successes;
    all.answers += world.counts().answers;
  });
  std::printf("%llu connections, %llu of them resumed; %llu verdicts, %llu of them success\n",
              static_cast<unsigned long long>(all.connections), static_cast<unsigned long long>(all.resumptions),
              static_cast<unsigned long long>(all.answers), static_cast<unsigned long long>(all.successes));
  CHECK(all.resumptions > all.connections / 20);
  CHECK(all.successes > all.answers / 20);
}

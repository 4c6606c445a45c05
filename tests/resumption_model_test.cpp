// Random lives of a server, against a small model of who may resume what: connections under several names, with several
// certificates and sessions, on all six mechanisms, while the policies are replaced and time passes.
#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/model.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

// A policy as the model sees it.
struct Rule {
  ClientAuth request = ClientAuth::none;
  Refusal refusal = Refusal::handshake;
  bool ca1 = false;
  bool ca2 = false;
  bool resumption = true;
  long max_age = 1'000'000;

  friend bool operator==(const Rule&, const Rule&) = default;
};

constexpr ClientAuth none = ClientAuth::none;
constexpr ClientAuth optional = ClientAuth::optional;
constexpr ClientAuth required = ClientAuth::required;

constexpr Rule rules[] = {
    {},
    {.resumption = false},
    {.request = optional, .ca1 = true},
    {.request = optional, .ca2 = true},
    {.request = optional, .ca1 = true, .ca2 = true},
    {.request = optional, .ca1 = true, .max_age = 50},
    {.request = optional, .ca1 = true, .resumption = false},
    {.request = required, .ca1 = true},
    {.request = required, .ca1 = true, .ca2 = true, .max_age = 80},
    {.request = required, .refusal = Refusal::host, .ca1 = true},
};
constexpr const char* names[] = {"a.test", "b.test", "c.test"};

struct Client {
  int ca = 0;  // 0: it has no certificate
  std::time_t end = 0;
  Certificate leaf;

  [[nodiscard]] std::vector<X509*> chain() const {
    const Pki& pki = Pki::get();
    if (ca == 0) return {};
    return {leaf.get(), (ca == 1 ? pki.intermediate1 : pki.intermediate2).get()};
  }
};

// A session in a client's hands, and what the model knows of it.
struct Held {
  SslSessionPtr session;
  std::size_t mechanism = 0;
  std::size_t name = 0;
  Rule rule;
  bool alive = false;
  std::time_t end = 0;
  std::string chain;
  std::string verify;
};

class World {
 public:
  explicit World(std::mt19937_64& random) : random_(random) {
    for (Rule& rule : in_force_) rule = rules[any(std::size(rules))];
    policies_ = std::make_shared<CurrentPolicies>(table());
    for (const Mechanism mechanism : all_mechanisms) {
      servers_.push_back(std::make_unique<PolicyServer>(mechanism, policies_));
    }
  }

  [[nodiscard]] std::uint64_t connections() const { return connections_; }
  [[nodiscard]] std::uint64_t resumptions() const { return resumptions_; }

  void step() {
    switch (any(8)) {
      case 0:
        advance_time(std::chrono::milliseconds{any(40'000)});
        break;
      case 1:
        if (any(2) == 0) in_force_[any(std::size(names))] = rules[any(std::size(rules))];
        policies_->replace(table());  // built anew, also where nothing changes
        break;
      default:
        connect();
    }
  }

 private:
  std::size_t any(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  PolicyPtr policy_of(const Rule& rule) {
    const Pki& pki = Pki::get();
    PolicyOptions options;
    options.request = rule.request;
    options.refusal = rule.refusal;
    options.resumption = rule.resumption;
    options.max_age = std::chrono::seconds{rule.max_age};
    if (rule.ca1) options.anchors = share({&pki.ca1});
    if (rule.ca2) options.anchors.push_back(std::move(share({&pki.ca2}).front()));
    if (any(2) == 0) std::ranges::reverse(options.anchors);
    return make_policy(std::move(options));
  }

  PolicyTable table() {
    NamedPolicies all;
    for (std::size_t i = 0; i < std::size(names); ++i) all.emplace_back(names[i], policy_of(in_force_[i]));
    return make_table(all);
  }

  Client any_client() {
    Client client;
    client.ca = static_cast<int>(any(3));
    if (client.ca == 0) return client;
    const long lifetime = any(3) == 0 ? static_cast<long>(any(120)) - 10 : 20L * 24 * 3600;
    client.end = std::time(nullptr) + lifetime;
    const Pki& pki = Pki::get();
    client.leaf = issue({.ends_in = lifetime}, client.ca == 1 ? &pki.intermediate1 : &pki.intermediate2);
    return client;
  }

  static bool verifies(const Client& client, const Rule& rule) {
    const bool trusted = (client.ca == 1 && rule.ca1) || (client.ca == 2 && rule.ca2);
    return trusted && std::time(nullptr) < client.end;  // in the second of its end it is over
  }

  // What the model says a full handshake comes to.
  static Held after_full_handshake(const Client& client, const Rule& rule) {
    Held held{.session = nullptr, .rule = rule, .chain = "none", .verify = "NONE"};
    const std::time_t now = std::time(nullptr);
    const bool presented = client.ca != 0 && rule.request != none;
    const bool verified = presented && verifies(client, rule);
    held.alive = rule.resumption && (rule.request != required || verified);
    held.end = std::numeric_limits<std::time_t>::max();
    if (!presented) return held;
    held.chain = pem_of(client.chain());
    held.verify = verified ? "SUCCESS" : "FAILED:";
    held.end = std::min(client.end, now + rule.max_age);
    held.alive = held.alive && now < held.end;
    return held;
  }

  void connect() {
    const std::size_t mechanism = any(all_mechanisms.size());
    const std::size_t name = any(std::size(names));
    const Client client = any_client();
    const Held* offered = held_.empty() || any(8) == 0 ? nullptr : &held_[any(held_.size())];
    // Mostly where it belongs: elsewhere it is refused for many reasons at once.
    const bool at_home = offered != nullptr && any(4) != 0;
    connect(at_home ? offered->mechanism : mechanism, at_home && any(4) != 0 ? offered->name : name, client, offered);
  }

  void connect(std::size_t mechanism, std::size_t name, const Client& client, const Held* offered) {
    const Rule& rule = in_force_[name];
    const std::time_t now = std::time(nullptr);
    // From 4.0 on OpenSSL verifies a certificate in the second of its end, too, and lets in whom the verdict does not.
    if (OPENSSL_VERSION_MAJOR >= 4 && client.ca != 0 && client.end == now) return;
    bool may_resume = offered != nullptr && offered->alive && offered->mechanism == mechanism &&
                      offered->name == name && offered->rule == rule && now < offered->end;
    ClientOptions options{.server_name = names[name], .chain = client.chain(), .key = client.leaf.key.get()};
    if (offered != nullptr) options.session = offered->session.get();
    const Pair pair{*servers_[mechanism], options};
    CAPTURE(to_string(all_mechanisms[mechanism]), names[name], may_resume, pair.resumed(), pair.verify());
    // In its last two seconds a session may be over: its end is reckoned in whole seconds, never too late.
    if (may_resume && now + 2 >= offered->end) may_resume = pair.resumed();
    REQUIRE(pair.resumed() == may_resume);
    ++connections_;
    resumptions_ += may_resume ? 1 : 0;
    const Held expected = may_resume ? Held{.session = nullptr,
                                            .rule = rule,
                                            .alive = true,
                                            .end = offered->end,
                                            .chain = offered->chain,
                                            .verify = offered->verify}
                                     : after_full_handshake(client, rule);
    const bool refused =
        !may_resume && rule.request == required && rule.refusal == Refusal::handshake && expected.verify != "SUCCESS";
    REQUIRE(pair.done() == !refused);
    REQUIRE(pair.seen().certificate_requests == (may_resume || rule.request == none ? 0 : 1));
    if (refused) return;
    REQUIRE(pair.verify().starts_with(expected.verify));
    const bool closed = rule.request == required && expected.verify != "SUCCESS";  // to a host that asks for it alone
    REQUIRE(pair.chain() == (closed ? Pair::not_authenticated : expected.chain));
    keep(pair, mechanism, name, expected);
  }

  void keep(const Pair& pair, std::size_t mechanism, std::size_t name, const Held& expected) {
    Held held{.session = pair.session(),
              .mechanism = mechanism,
              .name = name,
              .rule = expected.rule,
              .alive = expected.alive,
              .end = expected.end,
              .chain = expected.chain,
              .verify = pair.verify()};
    if (!held.session) return;
    if (held_.size() < 12) {
      held_.push_back(std::move(held));
    } else {
      held_[any(held_.size())] = std::move(held);
    }
  }

  std::mt19937_64& random_;
  Rule in_force_[std::size(names)];
  std::shared_ptr<CurrentPolicies> policies_;
  std::vector<std::unique_ptr<PolicyServer>> servers_;
  std::vector<Held> held_;
  std::uint64_t connections_ = 0;
  std::uint64_t resumptions_ = 0;
};

}  // namespace

TEST_CASE("resumption model: a random life resumes what the model allows, and nothing else") {
  std::uint64_t connections = 0;
  std::uint64_t resumptions = 0;
  constexpr std::uint64_t steps_of_a_life = 500;
  live<World>(steps_of_a_life, [&](const World& world) {
    connections += world.connections();
    resumptions += world.resumptions();
  });
  std::printf("%llu connections, %llu of them resumed\n", static_cast<unsigned long long>(connections),
              static_cast<unsigned long long>(resumptions));
  CHECK(resumptions > connections / 20);  // it does resume
}

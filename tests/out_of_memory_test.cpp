// Memory runs out, at each allocation in turn: once, and from there on. Whatever comes of it: no crash, no leak, no
// client that looks verified and is not, no session that resumes where it must not or without its chain.
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/allocations.hpp"
#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace test;
using client_tls::ClientAuth;
using client_tls::ClientTls;
using client_tls::ClientVerify;
using client_tls::Decision;
using client_tls::Errc;
using client_tls::Handshake;
using client_tls::HandshakeReport;
using client_tls::Hooks;
using client_tls::Phase;
using client_tls::PhaseContext;
using client_tls::SslCtxPtr;
using client_tls::SslPtr;
using client_tls::SslSessionPtr;
using client_tls::Verdict;

namespace {

enum class Presents : std::uint8_t { nothing, trusted, untrusted };

// Whether a hook chooses the policy (Handshake::use), and goes on where that fails.
enum class Chooses : std::uint8_t { nothing, rejects, ignores };

struct Scenario {
  const char* name;
  int version;
  Presents presents = Presents::trusted;
  bool resumed = false;
  bool hints = false;
  bool disable_reuse = false;
  bool suspend = false;
  bool reject = false;
  std::optional<ClientAuth> policy = {};  // otherwise all is by hand
  Chooses chooses = Chooses::nothing;     // the policy: a hook does, where the table's would be optional

  [[nodiscard]] bool requires_certificate() const { return policy == ClientAuth::required; }
  [[nodiscard]] bool completes() const { return !reject && (!requires_certificate() || presents == Presents::trusted); }
};
constexpr auto optional = ClientAuth::optional;
constexpr auto required = ClientAuth::required;

const Scenario scenarios[] = {
    {.name = "1.2, full, no certificate", .version = TLS1_2_VERSION, .presents = Presents::nothing},
    {.name = "1.3, full, no certificate", .version = TLS1_3_VERSION, .presents = Presents::nothing},
    {.name = "1.2, full, certificate", .version = TLS1_2_VERSION},
    {.name = "1.3, full, certificate", .version = TLS1_3_VERSION},
    {.name = "1.2, full, untrusted certificate", .version = TLS1_2_VERSION, .presents = Presents::untrusted},
    {.name = "1.3, full, untrusted certificate", .version = TLS1_3_VERSION, .presents = Presents::untrusted},
    {.name = "1.2, resumed, no certificate", .version = TLS1_2_VERSION, .presents = Presents::nothing, .resumed = true},
    {.name = "1.3, resumed, no certificate", .version = TLS1_3_VERSION, .presents = Presents::nothing, .resumed = true},
    {.name = "1.2, resumed, certificate", .version = TLS1_2_VERSION, .resumed = true},
    {.name = "1.3, resumed, certificate", .version = TLS1_3_VERSION, .resumed = true},
    {.name = "1.2, asked with hints", .version = TLS1_2_VERSION, .hints = true},
    {.name = "1.3, asked with hints", .version = TLS1_3_VERSION, .hints = true},
    {.name = "1.2, reuse disabled", .version = TLS1_2_VERSION, .disable_reuse = true},
    {.name = "1.3, reuse disabled", .version = TLS1_3_VERSION, .disable_reuse = true},
    {.name = "1.2, suspended by a hook", .version = TLS1_2_VERSION, .suspend = true, .policy = optional},
    {.name = "1.3, suspended by a hook", .version = TLS1_3_VERSION, .suspend = true, .policy = optional},
    {.name = "1.3, rejected by a hook", .version = TLS1_3_VERSION, .reject = true, .policy = optional},
    {.name = "1.3, reuse disabled by a hook", .version = TLS1_3_VERSION, .disable_reuse = true, .policy = optional},
    {.name = "1.2, required", .version = TLS1_2_VERSION, .policy = required},
    {.name = "1.3, required", .version = TLS1_3_VERSION, .policy = required},
    {.name = "1.2, required, resumed", .version = TLS1_2_VERSION, .resumed = true, .policy = required},
    {.name = "1.3, required, resumed", .version = TLS1_3_VERSION, .resumed = true, .policy = required},
    {.name = "1.2, required, none", .version = TLS1_2_VERSION, .presents = Presents::nothing, .policy = required},
    {.name = "1.3, required, none", .version = TLS1_3_VERSION, .presents = Presents::nothing, .policy = required},
    {.name = "1.2, required, untrusted",
     .version = TLS1_2_VERSION,
     .presents = Presents::untrusted,
     .policy = required},
    {.name = "1.3, required, untrusted",
     .version = TLS1_3_VERSION,
     .presents = Presents::untrusted,
     .policy = required},
    {.name = "1.2, required by a hook", .version = TLS1_2_VERSION, .policy = required, .chooses = Chooses::rejects},
    {.name = "1.3, required by a hook", .version = TLS1_3_VERSION, .policy = required, .chooses = Chooses::rejects},
    {.name = "1.3, required by a hook, resumed",
     .version = TLS1_3_VERSION,
     .resumed = true,
     .policy = required,
     .chooses = Chooses::rejects},
    {.name = "1.2, required by a hook that ignores errors",
     .version = TLS1_2_VERSION,
     .policy = required,
     .chooses = Chooses::ignores},
    {.name = "1.3, required by a hook that ignores errors, none",
     .version = TLS1_3_VERSION,
     .presents = Presents::nothing,
     .policy = required,
     .chooses = Chooses::ignores},
};

// The host: what its callbacks do, without an allocation of its own.
const Scenario* current = nullptr;
std::string_view current_scope = "scope";
const char* current_name = "a.test";
bool suspended_once = false;
client_tls::PolicyPtr chosen_policy;     // by a hook
client_tls::PolicyPtr own_policy;        // another one with the anchors that the server trusts
client_tls::PolicyPtr strangers_policy;  // one that trusts none of the clients
int reports = 0;
bool false_report = false;  // that cannot be true of what the client presents

bool decide(const ClientTls& tls) {
  X509* const hints[] = {Pki::get().ca1.get(), Pki::get().ca2.get()};
  if (current->disable_reuse && !tls.disable_session_reuse()) return false;
  return tls.request_client_certificate(current->hints ? std::span<X509* const>(hints) : std::span<X509* const>{})
      .has_value();
}

int on_client_hello(SSL* ssl, int* alert, void* /*argument*/) {
  *alert = SSL_AD_INTERNAL_ERROR;
  if (current_scope.empty()) return SSL_CLIENT_HELLO_SUCCESS;  // a host that forgets
  PhaseContext context{Phase::client_hello};
  return ClientTls{ssl, context}.bind_session(current_scope) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

int on_certificate(SSL* ssl, void* /*argument*/) {
  PhaseContext context{Phase::certificate};
  return decide(ClientTls{ssl, context}) ? 1 : 0;
}

Hooks make_hooks() {
  Hooks hooks;
  hooks.client_hello = [](Handshake& handshake) {
    const bool used = current->chooses == Chooses::nothing || handshake.use(chosen_policy).has_value();
    return used || current->chooses == Chooses::ignores ? Decision::proceed : Decision::reject;
  };
  hooks.certificate = [](Handshake& handshake) {
    if (current->reject) return Decision::reject;
    if (current->suspend && !std::exchange(suspended_once, true)) return Decision::suspend;
    const bool done = !current->disable_reuse || handshake.tls().disable_session_reuse();
    return done ? Decision::proceed : Decision::reject;
  };
  hooks.handshake_done = [](const HandshakeReport& report) {
    ++reports;
    const bool may_be = report.completed && current->presents == Presents::trusted;
    false_report = false_report || (report.verdict.success() && !may_be);
  };
  return hooks;
}

// One policy for every name.
std::shared_ptr<const client_tls::CurrentPolicies> policies_of(const Scenario& scenario) {
  const auto policy = make_policy(asking(scenario.chooses == Chooses::nothing ? *scenario.policy : optional));
  return std::make_shared<client_tls::CurrentPolicies>(client_tls::PolicyTable{policy, policy});
}

// Rules of the host's own that have to be copied when a policy takes their place: no client has either name.
constexpr const char* own_host = "nobody.test";
constexpr const char* own_email = "nobody@nobody.test";
void add_own_rules(SSL_CTX* ctx) {
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(ctx);
  REQUIRE(X509_VERIFY_PARAM_set1_host(param, own_host, 0) == 1);
  REQUIRE(X509_VERIFY_PARAM_set1_email(param, own_email, 0) == 1);
}

SslCtxPtr make_bare_ctx(const Scenario& scenario) {
  const Pki& pki = Pki::get();
  SslCtxPtr ctx{SSL_CTX_new(TLS_server_method())};
  SSL_CTX_set_min_proto_version(ctx.get(), scenario.version);
  SSL_CTX_set_max_proto_version(ctx.get(), scenario.version);
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_use_certificate(ctx.get(), pki.server.get());
  SSL_CTX_use_PrivateKey(ctx.get(), pki.server.key.get());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx.get()), pki.ca1.get());
  return ctx;
}

SslCtxPtr make_server_ctx(const Scenario& scenario) {
  SslCtxPtr ctx = make_bare_ctx(scenario);
  if (scenario.policy) {
    add_own_rules(ctx.get());
    REQUIRE(client_tls::install(ctx.get(), policies_of(scenario), make_hooks()));
  } else {
    SSL_CTX_set_client_hello_cb(ctx.get(), on_client_hello, nullptr);
    SSL_CTX_set_cert_cb(ctx.get(), on_certificate, nullptr);
  }
  return ctx;
}

// Which of them an SSL has: OpenSSL makes one without them, too, when memory is lacking. OpenSSL 4.0 copies their texts
// without the NUL at the end, so that no more than their own length may be read there, and of an email nothing.
std::string own_rules_of(const SSL* ssl) {
  X509_VERIFY_PARAM* param = SSL_get0_param(const_cast<SSL*>(ssl));
  const char* host = X509_VERIFY_PARAM_get0_host(param, 0);
  const char* email = OPENSSL_VERSION_MAJOR < 4 ? X509_VERIFY_PARAM_get0_email(param) : nullptr;
  const std::size_t host_size = std::string_view(own_host).size();
  return std::string(host != nullptr ? std::string_view(host, strnlen(host, host_size)) : "") + " " +
         (email != nullptr ? email : "");
}

SslSessionPtr* newest_session = nullptr;

int keep_session(SSL* /*ssl*/, SSL_SESSION* session) {
  newest_session->reset(session);
  return 1;
}

SslCtxPtr make_client_ctx(const Scenario& scenario) {
  const Pki& pki = Pki::get();
  SslCtxPtr ctx{SSL_CTX_new(TLS_client_method())};
  SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx.get(), keep_session);
  if (scenario.presents == Presents::nothing) return ctx;
  const bool trusted = scenario.presents == Presents::trusted;
  const Certificate& client = trusted ? pki.client1 : pki.client2;
  SSL_CTX_use_certificate(ctx.get(), client.get());
  SSL_CTX_use_PrivateKey(ctx.get(), client.key.get());
  SSL_CTX_add1_chain_cert(ctx.get(), (trusted ? pki.intermediate1 : pki.intermediate2).get());
  return ctx;
}

// One connection; the server's side, and what the host asks the library, are where allocations fail.
struct Connection {
  SslPtr server;
  SslPtr client;
  SslSessionPtr session;  // that the client has got
  std::string chain;      // what the host was told: "none", "error: ..." or the PEM
  std::string verify;
  std::string own_rules;  // of the host's, before the handshake

  [[nodiscard]] bool done() const { return server && SSL_is_init_finished(server.get()) == 1; }
  [[nodiscard]] bool resumed() const { return done() && SSL_session_reused(server.get()) == 1; }
};

void drive(Connection& connection) {
  char byte = 0;
  for (int i = 0; i < 12; ++i) {
    SSL_read(connection.client.get(), &byte, 1);
    ERR_clear_error();
    const Failing::Here here;
    const int result = SSL_read(connection.server.get(), &byte, 1);
    const int error = SSL_get_error(connection.server.get(), result);
    ERR_clear_error();
    if (error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL) break;
  }
  SSL_read(connection.client.get(), &byte, 1);
  ERR_clear_error();
}

bool may_fail(const client_tls::Result<Verdict>& verdict) {
  return verdict || verdict.error().code == Errc::out_of_memory || verdict.error().code == Errc::openssl;
}

// The verdict, and those by other policies' rules: right or an error, whatever fails, and right where nothing does.
void ask_for_verdicts(const SSL* ssl) {
  PhaseContext context{Phase::access};
  const ClientTls tls{const_cast<SSL*>(ssl), context};
  const auto here = [](auto ask) {
    const Failing::Here failing;
    return ask();
  };
  const auto verdict = here([&] { return tls.verdict(); });
  REQUIRE(may_fail(verdict));
  if (current->presents == Presents::trusted) REQUIRE((verdict || Failing::has_failed()));
  if (verdict && current->presents != Presents::trusted) REQUIRE_FALSE(verdict->success());
  if (verdict && current->presents == Presents::untrusted && !verdict->resumed())
    REQUIRE(!verdict->presented().empty());
  for (int i = 0; i < 2; ++i) {
    const auto by_stranger = here([&] { return tls.verdict(*strangers_policy); });
    REQUIRE(may_fail(by_stranger));
    REQUIRE_FALSE((by_stranger && by_stranger->success()));
    const auto by_own = here([&] { return tls.verdict(*own_policy); });
    REQUIRE(may_fail(by_own));
    REQUIRE_FALSE((by_own && by_own->success() && current->presents != Presents::trusted));
  }
  // Once memory has lacked for a verification, it may stay a failure.
  const auto afterwards = tls.verdict(*own_policy);
  const bool right = afterwards && afterwards->success();
  if (right) REQUIRE(current->presents == Presents::trusted);
  if (!right) REQUIRE((!verdict || !verdict->success() || Failing::has_failed()));
}

void use_in_request(const SSL* ssl) {
  PhaseContext context{Phase::access};
  const ClientTls tls{const_cast<SSL*>(ssl), context};
  const Failing::Here here;
  (void)tls.get_full_client_certificate_chain();
  auto value = ClientVerify::parse("FAILED:a reason that is longer than a short string");
  if (value) (void)tls.set_client_verify(*std::move(value));
  context.enter(Phase::log);
  const auto entry = tls.log_entry();
  // An error, or the override: nothing else.
  if (entry && context.client_verify() && entry->client_verify != context.client_verify()->text()) std::abort();
}

void ask_library(Connection& connection) {
  PhaseContext context{Phase::access};
  const ClientTls tls{connection.server.get(), context};
  const auto chain = tls.get_full_client_certificate_chain();
  connection.chain = !chain ? "error: " + std::string(chain.error().message) : std::string(chain->value_or("none"));
  context.enter(Phase::log);
  const auto entry = tls.log_entry();
  connection.verify = entry ? entry->client_verify : "error: " + std::string(entry.error().message);
}

Connection connect(SSL_CTX* server_ctx, SSL_CTX* client_ctx, SSL_SESSION* session) {
  Connection connection;
  newest_session = &connection.session;
  suspended_once = false;
  reports = 0;
  connection.client.reset(SSL_new(client_ctx));
  if (session != nullptr) {
    const SslSessionPtr copy{SSL_SESSION_dup(session)};
    SSL_set_session(connection.client.get(), copy.get());
  }
  if (current->policy && current_name != nullptr) SSL_set_tlsext_host_name(connection.client.get(), current_name);
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  BIO_new_bio_pair(&server_end, 1 << 16, &client_end, 1 << 16);
  SSL_set_bio(connection.client.get(), client_end, client_end);
  SSL_set_connect_state(connection.client.get());
  {
    const Failing::Here here;
    connection.server.reset(SSL_new(server_ctx));
    ERR_clear_error();
  }
  if (!connection.server) {
    BIO_free(server_end);
    return connection;
  }
  connection.own_rules = own_rules_of(connection.server.get());
  SSL_set_bio(connection.server.get(), server_end, server_end);
  SSL_set_accept_state(connection.server.get());
  drive(connection);
  if (connection.done()) {
    ask_for_verdicts(connection.server.get());
    use_in_request(connection.server.get());
    ask_library(connection);
    REQUIRE(reports <= 1);
    if (current->policy && client_tls::get0_policy(connection.server.get()) != nullptr) REQUIRE(reports == 1);
    SSL_set_shutdown(connection.server.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }
  return connection;
}

// Whether no certificate would be verified on the server's SSL, as it stands, whatever its name.
bool trusts_nobody(const Connection& connection) {
  using StoreCtxPtr = client_tls::OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free>;
  const Pki& pki = Pki::get();
  const StoreCtxPtr store{X509_STORE_CTX_new()};
  const client_tls::X509StorePtr trusted{X509_STORE_new()};
  X509_STORE_add_cert(trusted.get(), pki.ca1.get());
  X509_STORE_CTX_init(store.get(), trusted.get(), pki.ca1.get(), nullptr);
  X509_VERIFY_PARAM_set1(X509_STORE_CTX_get0_param(store.get()), SSL_get0_param(connection.server.get()));
  X509_STORE_CTX_set_verify_cb(store.get(), [](int good, X509_STORE_CTX* at) {
    const int error = X509_STORE_CTX_get_error(at);
    return good == 1 || error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_EMAIL_MISMATCH ? 1 : 0;
  });
  const bool refused = X509_verify_cert(store.get()) != 1;
  ERR_clear_error();
  return refused;
}

// What a connection may look like, given the one where nothing failed.
bool as_it_should_be(const Connection& connection, const Connection& good) {
  const bool failed = connection.verify.starts_with("FAILED:") || connection.verify.starts_with("error: ");
  if (connection.verify != good.verify && !(failed && good.verify != "NONE")) return false;
  if (current->requires_certificate() && !connection.resumed() && connection.verify != "SUCCESS") return false;
  return connection.chain == good.chain || connection.chain.starts_with("error: ");
}

void check_it_stays_there(SSL_CTX* server_ctx, SSL_CTX* client_ctx, const Connection& connection) {
  const Connection other = connect(server_ctx, client_ctx, connection.session.get());
  REQUIRE(other.done());
  REQUIRE_FALSE(other.resumed());
}

// Offers the session in another scope, and to a host that forgets to bind; or under another name, and without one.
void check_elsewhere(SSL_CTX* server_ctx, SSL_CTX* client_ctx, const Connection& connection) {
  for (const std::string_view scope : {"another scope", ""}) {
    if (current->policy) break;
    current_scope = scope;
    check_it_stays_there(server_ctx, client_ctx, connection);
    current_scope = "scope";
  }
  for (const char* name : {"b.test", static_cast<const char*>(nullptr)}) {
    if (!current->policy) break;
    current_name = name;
    check_it_stays_there(server_ctx, client_ctx, connection);
    current_name = "a.test";
  }
}

// Offers the session again, with nothing failing.
void check_what_it_left(SSL_CTX* server_ctx, SSL_CTX* client_ctx, const Connection& connection,
                        const Connection& good) {
  if (!connection.session || SSL_SESSION_is_resumable(connection.session.get()) != 1) return;
  const Connection again = connect(server_ctx, client_ctx, connection.session.get());
  REQUIRE(again.done());
  REQUIRE(again.chain == good.chain);
  // The verdict stays with the session, also where it is that the memory for the verification was lacking.
  REQUIRE(again.verify == (again.resumed() ? connection : good).verify);
  if (current->disable_reuse) REQUIRE_FALSE(again.resumed());
  check_elsewhere(server_ctx, client_ctx, connection);
}

void make_other_policies() {
  const Pki& pki = Pki::get();
  const Certificate& other = current->presents == Presents::untrusted ? pki.ca1 : pki.ca2;
  chosen_policy = current->policy ? make_policy(asking(*current->policy)) : nullptr;
  own_policy = make_policy(asking(required, {&pki.ca1}));
  strangers_policy = make_policy(asking(optional, {&other}));
  false_report = false;
}

void run(const Scenario& scenario) {
  current = &scenario;
  make_other_policies();
  const SslCtxPtr server_ctx = make_server_ctx(scenario);
  const SslCtxPtr client_ctx = make_client_ctx(scenario);
  const Connection first = connect(server_ctx.get(), client_ctx.get(), nullptr);
  REQUIRE(first.done() == scenario.completes());
  SSL_SESSION* offered = scenario.resumed ? first.session.get() : nullptr;
  const Connection good = connect(server_ctx.get(), client_ctx.get(), offered);
  REQUIRE(good.resumed() == scenario.resumed);
  if (scenario.completes()) check_what_it_left(server_ctx.get(), client_ctx.get(), good, good);
  for (const Mode mode : {Mode::once, Mode::from_there_on}) {
    bool failed = true;
    for (std::size_t number = 0; failed; number += allocation_stride()) {
      OPENSSL_thread_stop();  // what OpenSSL keeps for a thread does not count as a leak
      const std::size_t before = blocks_in_use();
      {
        Connection connection;
        {
          const Failing failing(number, mode);
          connection = connect(server_ctx.get(), client_ctx.get(), offered);
          failed = Failing::has_failed();
        }
        if (!scenario.completes()) REQUIRE_FALSE(connection.done());
        REQUIRE_FALSE(false_report);
        if (connection.done()) {
          REQUIRE(as_it_should_be(connection, good));
          REQUIRE((own_rules_of(connection.server.get()) == connection.own_rules || trusts_nobody(connection)));
          check_what_it_left(server_ctx.get(), client_ctx.get(), connection, first);
        }
      }
      OPENSSL_thread_stop();
      if (blocks_in_use() != before) {
        UNSCOPED_INFO("allocation " << number << (mode == Mode::once ? " once" : " and all after it"));
        CHECK(blocks_in_use() == before);
      }
    }
  }
}

void run_all(int version, bool by_policy) {
  REQUIRE(counts_openssl());
  for (const Scenario& scenario : scenarios) {
    if (scenario.version != version || scenario.policy.has_value() != by_policy) continue;
    DYNAMIC_SECTION(scenario.name) {
      run(scenario);
    }
  }
}

}  // namespace

// In parts, which run side by side.
TEST_CASE("out of memory: nothing gets weaker in TLS 1.2, by hand") {
  run_all(TLS1_2_VERSION, false);
}

TEST_CASE("out of memory: nothing gets weaker in TLS 1.2, by policy") {
  run_all(TLS1_2_VERSION, true);
}

TEST_CASE("out of memory: nothing gets weaker in TLS 1.3, by hand") {
  run_all(TLS1_3_VERSION, false);
}

TEST_CASE("out of memory: nothing gets weaker in TLS 1.3, by policy") {
  run_all(TLS1_3_VERSION, true);
}

TEST_CASE("out of memory: install does nothing or everything") {
  static constexpr Scenario scenario{.name = "install", .version = TLS1_3_VERSION, .policy = optional};
  current = &scenario;
  make_other_policies();
  const SslCtxPtr client_ctx = make_client_ctx(scenario);
  // In the first round OpenSSL's table of ex_data indices grows, for the life of the process.
  bool first_round = true;
  for (const Mode mode : {Mode::once, Mode::once, Mode::from_there_on}) {
    bool failed = true;
    for (std::size_t number = 0; failed; ++number) {
      const std::size_t before = blocks_in_use();
      {
        const SslCtxPtr server_ctx = make_bare_ctx(scenario);
        client_tls::Result<void> result;
        {
          const Failing failing(number, mode);
          auto policies = policies_of(scenario);
          Hooks hooks = make_hooks();
          const Failing::Here here;
          result = client_tls::install(server_ctx.get(), std::move(policies), std::move(hooks));
          failed = Failing::has_failed();
        }
        const bool installed = result.has_value();
        CHECK(installed != failed);
        if (!result) CHECK(result.error().code == client_tls::Errc::out_of_memory);
        const Connection connection = connect(server_ctx.get(), client_ctx.get(), nullptr);
        CHECK(connection.verify == (installed ? "SUCCESS" : "NONE"));  // nothing or everything
      }
      OPENSSL_thread_stop();
      if (!first_round) CHECK(blocks_in_use() == before);
    }
    first_round = false;
  }
}

// What a host's own callbacks and settings on the SSL_CTX can and cannot do to a connection of the library's.

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr long day = 24L * 3600;
constexpr std::string_view ended = "FAILED:authentication has ended";

// A client whose certificate ends in an hour.
ClientOptions client_for_an_hour(std::string name) {
  const Certificate leaf = issue({.ends_in = 3600}, &Pki::get().intermediate1);
  static std::vector<std::pair<X509Ptr, EvpPkeyPtr>> kept;  // the options borrow
  X509_up_ref(leaf.get());
  EVP_PKEY_up_ref(leaf.key.get());
  kept.emplace_back(X509Ptr{leaf.get()}, EvpPkeyPtr{leaf.key.get()});
  return {.server_name = std::move(name),
          .chain = {leaf.get(), Pki::get().intermediate1.get()},
          .key = kept.back().second.get()};
}

// Whether the host does what it does in the new-session callback, and where.
int store_for_a_day(SSL* ssl, SSL_SESSION* session) {
  auto& server = *static_cast<Server*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  SSL_SESSION_set_timeout(session, day);
  server.external_cache[id_of(session)] = bytes_of(session);
  return 0;
}

// The host's own id context, on the live session and so on the stored one.
int store_with_own_context(SSL* ssl, SSL_SESSION* session) {
  SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>("host"), 4);
  return store_for_a_day(ssl, session);
}

using NewSession = int (*)(SSL*, SSL_SESSION*);

// The ways in which a host asks: by hand, and under policies. Each ends an authentication after an hour, by the chain
// or by age.
enum class Way : std::uint8_t { by_hand, by_policy, by_age };
constexpr std::array ways{Way::by_hand, Way::by_policy, Way::by_age};
std::string_view to_string(Way way) {
  if (way == Way::by_hand) return "by hand";
  return way == Way::by_policy ? "by policy" : "by age";
}

PolicyPtr policy_of(Way way) {
  PolicyOptions options = asking(ClientAuth::required);
  if (way == Way::by_age) options.max_age = std::chrono::seconds{3600};
  return make_policy(std::move(options));
}

ClientOptions client_of(Way way) {
  return way == Way::by_age ? client1() : client_for_an_hour("a.test");
}

std::unique_ptr<Server> make_server(Mechanism mechanism, Way way, bool own_id) {
  auto server = std::make_unique<Server>(mechanism);
  if (way == Way::by_hand) {
    server->on_certificate = [own_id](SSL* ssl) {
      if (own_id) SSL_set_generate_session_id(ssl, own_session_id);
      return ask(ssl);
    };
    return server;
  }
  Hooks hooks;
  hooks.certificate = [own_id](Handshake& handshake) {
    if (own_id) SSL_set_generate_session_id(handshake.ssl(), own_session_id);
    return Decision::proceed;
  };
  REQUIRE(install(server->ssl_ctx(), make_policies({{"a.test", policy_of(way)}}), std::move(hooks)));
  return server;
}

// Offers the first session, and the last that was got by resuming, over and over until long after the end.
void check_it_ends(Server& server, const ClientOptions& client) {
  const ClockRestorer clock;
  const Pair first{server, client};
  REQUIRE(first.verify() == "SUCCESS");
  std::vector<SslSessionPtr> sessions;
  sessions.push_back(first.session());
  for (int minutes = 25; minutes <= 150; minutes += 25) {
    advance_time(25L * 60);
    const bool over = minutes > 60;
    if (over) CHECK(first.verify() == ended);
    for (std::size_t i = 0, size = sessions.size(); i < size; ++i) {
      // By a client that has nothing but the session.
      const Pair next{server, offering({.server_name = client.server_name}, sessions[i])};
      if (over) CHECK_FALSE(next.verify() == "SUCCESS");
      if (over && next.done() && next.resumed()) CHECK(next.verify() == ended);
      if (next.done() && next.resumed() && next.session()) sessions.push_back(next.session());
    }
    if (sessions.size() > 8) sessions.resize(8);
  }
}

}  // namespace

TEST_CASE("host callbacks: a new-session callback of the host's does not lengthen an authentication") {
  for (const NewSession callback : {store_for_a_day, store_with_own_context}) {
    for (const bool own_id : {false, true}) {
      for (const Way way : ways) {
        for (const Mechanism mechanism : all_mechanisms) {
          DYNAMIC_SECTION((callback == store_for_a_day ? "timeout, " : "context, ")
                          << own_id << ", " << to_string(way) << ", " << to_string(mechanism)) {
            const auto server = make_server(mechanism, way, own_id);
            SSL_CTX_sess_set_new_cb(server->ssl_ctx(), callback);
            check_it_ends(*server, client_of(way));
          }
        }
      }
    }
  }
}

TEST_CASE("host callbacks: session ids of the host's own do not lengthen one either, nor does its SSL_CTX's timeout") {
  for (const bool on_ctx : {false, true}) {
    for (const Way way : ways) {
      for (const Mechanism mechanism : all_mechanisms) {
        DYNAMIC_SECTION((on_ctx ? "timeout, " : "session ids, ") << to_string(way) << ", " << to_string(mechanism)) {
          const auto server = make_server(mechanism, way, !on_ctx);
          if (on_ctx) SSL_CTX_set_generate_session_id(server->ssl_ctx(), own_session_id);
          SSL_CTX_set_timeout(server->ssl_ctx(), 7 * day);
          check_it_ends(*server, client_of(way));
        }
      }
    }
  }
}

namespace {

int bypass(X509_STORE_CTX* store, void* /*argument*/) {
  X509_STORE_CTX_set_error(store, X509_V_OK);
  return 1;
}

// Notes whether the client's proof was looked at; the SSL_CTX's message callback, since the SSL's is nobody's here.
std::vector<int> messages;
void note_message(int sent, int /*version*/, int type, const void* data, std::size_t size, SSL* /*ssl*/, void*) {
  if (sent == 0 && type == SSL3_RT_HANDSHAKE && size > 0) messages.push_back(*static_cast<const unsigned char*>(data));
}

bool have_seen(int message) {
  return std::find(messages.begin(), messages.end(), message) != messages.end();
}

void check_never_resumes(Server& server, const Pair& pair, const ClientOptions& client) {
  const auto session = pair.session();
  if (!session) return;
  const Pair next{server, offering(client, session)};
  CHECK_FALSE(next.resumed());
  CHECK_FALSE(next.verify() == "SUCCESS");
}

}  // namespace

TEST_CASE("host callbacks: a verification that is bypassed ends the handshake before the client's proof") {
  for (const ClientOptions& client : {client1(), client2()}) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION((client.key == client1().key ? "of CA 1, " : "of CA 2, ") << to_string(mechanism)) {
        PolicyServer server{mechanism, make_policies({{"a.test", make_policy(requiring(Refusal::handshake))}})};
        SSL_CTX_set_cert_verify_callback(server.ssl_ctx(), bypass, nullptr);
        messages.clear();
        SSL_CTX_set_msg_callback(server.ssl_ctx(), note_message);
        int finished = 0;
        const Pair pair{server, client};
        CHECK_FALSE(pair.done());
        CHECK(pair.seen().alert.has_value());
        CHECK(have_seen(SSL3_MT_CERTIFICATE));
        CHECK_FALSE(have_seen(SSL3_MT_FINISHED));
        CHECK(SSL_get_peer_finished(pair.server(), &finished, sizeof finished) == 0);
        CHECK(std::string_view{SSL_state_string(pair.server())} == "SSLERR");
        CHECK_FALSE(pair.verify() == "SUCCESS");
        check_never_resumes(server, pair, client);
        CHECK_FALSE(Pair(server, {}).done());
      }
    }
  }
}

TEST_CASE("host callbacks: a verification that is bypassed has failed, where the handshake goes on") {
  struct Row {
    const char* name;
    std::optional<PolicyOptions> policy;
  };
  const auto rows = [] {
    std::vector<Row> made;
    made.push_back({"required, refused by the host", requiring(Refusal::host)});
    made.push_back({"optional", asking(ClientAuth::optional)});
    made.push_back({"by hand", {}});
    return made;
  };
  for (const std::size_t i : {0U, 1U, 2U}) {
    for (const Mechanism mechanism : all_mechanisms) {
      Row row = std::move(rows()[i]);
      DYNAMIC_SECTION(row.name << ", " << to_string(mechanism)) {
        Server server{mechanism};
        server.on_certificate = [](SSL* ssl) { return ask(ssl); };
        if (row.policy) {
          REQUIRE(install(server.ssl_ctx(), make_policies({{"a.test", make_policy(*std::move(row.policy))}})));
        }
        SSL_CTX_set_cert_verify_callback(server.ssl_ctx(), bypass, nullptr);
        for (const ClientOptions& client : {client1(), client2()}) {
          const Pair pair{server, client};
          REQUIRE(pair.done());
          CHECK(pair.verify() == "FAILED:the certificate was not verified by this library's rules");
          CHECK_FALSE(SSL_get_verify_result(pair.server()) == X509_V_OK);
          check_never_resumes(server, pair, client);
        }
      }
    }
  }
}

namespace {

// The SSL_CTX that the host gives to SSL_new, and which it has forgotten to give the policies; its servername callback
// switches to one that has them.
struct Forgotten : Server {
  Forgotten(Mechanism mechanism, SSL_CTX* other) : Server(mechanism) {
    SSL_CTX_set_client_hello_cb(ssl_ctx(), nullptr, nullptr);
    SSL_CTX_set_cert_cb(ssl_ctx(), nullptr, nullptr);
    SSL_CTX_set_tlsext_servername_arg(ssl_ctx(), other);
    SSL_CTX_set_tlsext_servername_callback(
        ssl_ctx(), +[](SSL* ssl, int*, void* ctx) {
          SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ctx));
          return SSL_TLSEXT_ERR_OK;
        });
  }
};

}  // namespace

TEST_CASE("host callbacks: the SSL_CTX without policies is the one given to SSL_new, and nobody is a success") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const char* name : {"open.test", "optional.test", "required.test"}) {
      DYNAMIC_SECTION(name << ", " << to_string(mechanism)) {
        PolicyServer with{mechanism, make_policies({{"open.test", make_policy()},
                                                    {"optional.test", make_policy(asking())},
                                                    {"required.test", make_policy(asking(ClientAuth::required))}})};
        Forgotten server{mechanism, with.ssl_ctx()};
        for (const bool presents : {false, true}) {
          ClientOptions client = presents ? client1(name) : ClientOptions{.server_name = name};
          const Pair pair{server, client};
          CHECK_FALSE(pair.verify() == "SUCCESS");
        }
      }
    }
  }
}

// There an open name is served without the library, and asks for a certificate nobody verifies by a policy.
TEST_CASE("host callbacks: a session of an open name is no success at one that asks, though its SSL_CTX has none") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const ClientAuth request : {ClientAuth::optional, ClientAuth::required}) {
      for (const bool presents : {false, true}) {
        DYNAMIC_SECTION(to_string(mechanism)
                        << ", " << to_string(request) << (presents ? ", with a certificate" : ", without one")) {
          PolicyServer with{mechanism, make_policies({{"a.test", make_policy(asking(request))}})};
          Server server{mechanism};
          SSL_CTX_set_client_hello_cb(server.ssl_ctx(), nullptr, nullptr);
          SSL_CTX_set_cert_cb(server.ssl_ctx(), nullptr, nullptr);
          SSL_CTX_set_verify(server.ssl_ctx(), presents ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
          SSL_CTX_set_session_id_context(server.ssl_ctx(), reinterpret_cast<const unsigned char*>("host"), 4);
          SSL_CTX_set_tlsext_servername_arg(server.ssl_ctx(), with.ssl_ctx());
          SSL_CTX_set_tlsext_servername_callback(
              server.ssl_ctx(), +[](SSL* ssl, int*, void* ctx) {
                const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
                if (name != nullptr && std::string_view{name} == "a.test")
                  SSL_set_SSL_CTX(ssl, static_cast<SSL_CTX*>(ctx));
                return SSL_TLSEXT_ERR_OK;
              });
          const Pair open{server, presents ? client2("open.test") : ClientOptions{.server_name = "open.test"}};
          REQUIRE(open.done());
          const auto session = open.session();
          REQUIRE(session);
          const Pair next{server, offering({.server_name = "a.test"}, session)};
          CHECK_FALSE(next.verify() == "SUCCESS");
          CHECK_FALSE(next.chain().starts_with("-----"));
        }
      }
    }
  }
}

TEST_CASE("host callbacks: a policy's number of tickets never exceeds the SSL_CTX's") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    for (const ClientAuth request : {ClientAuth::none, ClientAuth::optional}) {
      for (const std::size_t host : {0U, 1U, 2U, 5U}) {
        for (const std::size_t policy : {0U, 1U, 3U, 16U}) {  // 0: not set
          DYNAMIC_SECTION(to_string(mechanism) << ", " << to_string(request) << ": " << host << " of the host, "
                                               << policy << " of the policy") {
            PolicyOptions options = request == ClientAuth::none ? PolicyOptions{} : asking(request);
            if (policy != 0) options.tickets = policy;
            PolicyServer server{mechanism, make_policies({{"a.test", make_policy(std::move(options))}})};
            SSL_CTX_set_num_tickets(server.ssl_ctx(), host);
            Pair pair{server, client1()};
            REQUIRE(pair.done());
            const std::size_t expected = policy == 0 ? host : std::min(host, policy);
            CHECK(pair.seen().tickets == static_cast<int>(expected));
            pair.clear(client1());
            CHECK(pair.seen().tickets == static_cast<int>(expected));
          }
        }
      }
    }
  }
}

TEST_CASE("host callbacks: a policy with no hints sends no names, whichever list the host has set") {
  for (const Mechanism mechanism : both_versions) {
    for (const bool on_ssl : {false, true}) {
      DYNAMIC_SECTION(to_string(mechanism) << (on_ssl ? ", on the SSL" : ", on the SSL_CTX")) {
        PolicyOptions silent = asking();
        silent.hints.emplace();
        PolicyServer server{mechanism, make_policies({{"a.test", make_policy(std::move(silent))},
                                                      {"hints.test", make_policy(asking())}})};
        const auto names = [] {
          STACK_OF(X509_NAME)* list = sk_X509_NAME_new_null();
          sk_X509_NAME_push(list, X509_NAME_dup(X509_get_subject_name(Pki::get().ca2.get())));
          return list;
        };
        if (!on_ssl) {
          SSL_CTX_set0_CA_list(server.ssl_ctx(), names());
          SSL_CTX_set_client_CA_list(server.ssl_ctx(), names());
        }
        for (const char* name : {"a.test", "hints.test"}) {
          Pair pair{server, client1(name), false};
          if (on_ssl) {
            SSL_set0_CA_list(pair.server(), names());
            SSL_set_client_CA_list(pair.server(), names());
          }
          REQUIRE(pair.run());
          CHECK(pair.seen().certificate_requests == 1);
          const std::vector<std::string> anchors{"/CN=CA 1"};
          CHECK(pair.seen().ca_names == (name == std::string_view{"a.test"} ? std::vector<std::string>{} : anchors));
          // No connection keeps its own for longer than its handshake.
          CHECK(SSL_get_client_CA_list(pair.server()) == SSL_CTX_get_client_CA_list(server.ssl_ctx()));
          CHECK(SSL_get0_CA_list(pair.server()) == SSL_CTX_get0_CA_list(server.ssl_ctx()));
        }
      }
    }
  }
}

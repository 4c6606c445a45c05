// What a client can offer that no honest one would: sessions in a form that they were not made for, in a handshake that
// changes its version, or two at once. Nothing of it resumes across scopes, and the server stays alive.

#include <memory>

#include "support/catch.hpp"
#include "support/policies.hpp"

using namespace client_tls;
using namespace test;

namespace {

constexpr std::array tickets13{Mechanism::stateless13, Mechanism::stateful13};

enum class Scope : std::uint8_t { one, two };

// A server that speaks both versions and asks for a certificate. One of two scopes is in force, for the one name that
// the clients know: OpenSSL compares names in TLS 1.3 by itself, and would hide whether the scope does anything.
class Host {
 public:
  Host(Mechanism mechanism, bool by_policies) {
    if (by_policies) {
      const auto server = std::make_shared<PolicyServer>(mechanism, make_policies({}));
      policies_ = server->policies;
      server_ = server;
    } else {
      server_ = std::make_shared<Server>(mechanism);
      server_->on_client_hello = [this](SSL* ssl) { return bind_to(ssl, scope_ == Scope::one ? "one" : "two"); };
      server_->on_certificate = [](SSL* ssl) { return ask(ssl); };
    }
    SSL_CTX_set_min_proto_version(ctx(), TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx(), TLS1_3_VERSION);
    enter(Scope::one);
  }
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  [[nodiscard]] SSL_CTX* ctx() const { return server_->ssl_ctx(); }

  void enter(Scope scope) {
    scope_ = scope;
    if (policies_ == nullptr) return;
    const Pki& pki = Pki::get();
    const auto policy = scope == Scope::one ? make_policy(asking(ClientAuth::optional, {&pki.ca1}))
                                            : make_policy(asking(ClientAuth::optional, {&pki.ca1, &pki.ca2}));
    policies_->replace(make_table({{"a.test", policy}}));
  }

  // The session of a client with a certificate, made in a scope, in TLS 1.2 or 1.3.
  SslSessionPtr session(Scope scope, int version) {
    const Scope before = scope_;
    enter(scope);
    ClientOptions options = client1();
    options.adjust_ctx = [version](SSL_CTX* ctx) { SSL_CTX_set_max_proto_version(ctx, version); };
    Pair pair{ctx(), options};
    REQUIRE(pair.done());
    REQUIRE(pair.verify() == "SUCCESS");
    REQUIRE(SSL_version(pair.server()) == version);
    enter(before);
    auto made = pair.session();
    REQUIRE(made != nullptr);
    return made;
  }

 private:
  std::shared_ptr<Server> server_;
  std::shared_ptr<CurrentPolicies> policies_;
  Scope scope_ = Scope::one;
};

// In each section: a host by policies or by hand.
template <class Test>
void with_each_host(std::span<const Mechanism> mechanisms, Test test) {
  for (const Mechanism mechanism : mechanisms) {
    for (const bool by_policies : {true, false}) {
      DYNAMIC_SECTION(to_string(mechanism) << (by_policies ? ", policies" : ", by hand")) {
        Host host{mechanism, by_policies};
        test(host);
        // The server is as it was for everyone else.
        Pair after{host.ctx(), client1()};
        CHECK(after.done());
        CHECK(after.verify() == "SUCCESS");
      }
    }
  }
}

ClientOptions limited_to(int version, SSL_SESSION* session = nullptr) {
  ClientOptions options;
  options.session = session;
  options.adjust_ctx = [version](SSL_CTX* ctx) {
    SSL_CTX_set_min_proto_version(ctx, version);
    SSL_CTX_set_max_proto_version(ctx, version);
  };
  return options;
}

void check_resumed(const Pair& pair) {
  CHECK(pair.done());
  CHECK(pair.resumed());
  CHECK(pair.verify() == "SUCCESS");
}

// The client that made the session had a certificate, and this one has none: whatever the server knows is the other's.
void check_stranger(const Pair& pair) {
  CHECK_FALSE(pair.resumed());
  CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
  CHECK(pair.chain() == (pair.done() ? "none" : "error: the handshake is not complete"));
  CHECK(pair.verify() == (pair.done() ? "NONE" : "error: the handshake is not complete"));
}

void check_full(const Pair& pair) {
  CHECK(pair.done());
  CHECK(pair.seen().certificate_requests == 1);
  check_stranger(pair);
}

void check_refused(const Pair& pair) {
  CHECK_FALSE(pair.done());
  check_stranger(pair);
}

void check_resumed_if(bool right_scope, const Pair& pair) {
  if (right_scope) {
    check_resumed(pair);
  } else {
    check_full(pair);
  }
}

using Bytes = std::vector<unsigned char>;

Bytes ticket_of(const SSL_SESSION* session) {
  const unsigned char* ticket = nullptr;
  std::size_t size = 0;
  SSL_SESSION_get0_ticket(session, &ticket, &size);
  return {ticket, ticket + size};
}

// The same session as another version's, with a cipher that the client could have had there. On the wire nothing of it
// is left but the ticket and the id.
SslSessionPtr disguised(const SSL_SESSION& session, int version) {
  SslSessionPtr copy{SSL_SESSION_dup(&session)};
  const SslCtxPtr ctx{SSL_CTX_new(TLS_client_method())};
  const SslPtr ssl{SSL_new(ctx.get())};
  static constexpr unsigned char ecdhe_aes256_sha384[] = {0xC0, 0x2C};
  static constexpr unsigned char aes256_sha384[] = {0x13, 0x02};
  const SSL_CIPHER* cipher =
      SSL_CIPHER_find(ssl.get(), version == TLS1_3_VERSION ? aes256_sha384 : ecdhe_aes256_sha384);
  REQUIRE(SSL_SESSION_set_protocol_version(copy.get(), version) == 1);
  REQUIRE(SSL_SESSION_set_cipher(copy.get(), cipher) == 1);
  return copy;
}

// Counts the tickets that the server could decrypt: those it could have been taken in by.
void count_decrypted(SSL_CTX* ctx, int& count) {
  SSL_CTX_set_session_ticket_cb(
      ctx, [](SSL*, void*) { return 1; },
      [](SSL*, SSL_SESSION*, const unsigned char*, std::size_t, SSL_TICKET_STATUS status,
         void* counter) -> SSL_TICKET_RETURN {
        if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
        ++*static_cast<int*>(counter);
        return SSL_TICKET_RETURN_USE_RENEW;
      },
      &count);
}

}  // namespace

TEST_CASE("offered: a TLS 1.3 ticket in the session_ticket extension of a TLS 1.2 ClientHello does not resume") {
  static constexpr std::array stateless{Mechanism::stateless13};
  with_each_host(stateless, [](Host& host) {
    int decrypted = 0;
    count_decrypted(host.ctx(), decrypted);
    const auto offer = [&](int made_in, Scope scope) {
      const auto session = disguised(*host.session(scope, made_in), TLS1_2_VERSION);
      decrypted = 0;
      return std::make_unique<Pair>(host.ctx(), limited_to(TLS1_2_VERSION, session.get()));
    };
    check_resumed(*offer(TLS1_2_VERSION, Scope::one));  // so it would be offered
    check_full(*offer(TLS1_2_VERSION, Scope::two));
    for (const Scope scope : {Scope::one, Scope::two}) {  // not in the right scope either
      check_full(*offer(TLS1_3_VERSION, scope));
      CHECK(decrypted == 1);
    }
  });
}

TEST_CASE("offered: a TLS 1.2 ticket as the PSK of a TLS 1.3 ClientHello does not resume") {
  static constexpr std::array stateless{Mechanism::stateless13};
  with_each_host(stateless, [](Host& host) {
    int decrypted = 0;
    count_decrypted(host.ctx(), decrypted);
    const auto offer = [&](int made_in, Scope scope) {
      const auto session = disguised(*host.session(scope, made_in), TLS1_3_VERSION);
      decrypted = 0;
      return std::make_unique<Pair>(host.ctx(), limited_to(TLS1_3_VERSION, session.get()));
    };
    check_resumed(*offer(TLS1_3_VERSION, Scope::one));
    check_full(*offer(TLS1_3_VERSION, Scope::two));
    for (const Scope scope : {Scope::one, Scope::two}) {
      check_stranger(*offer(TLS1_2_VERSION, scope));
      CHECK(decrypted == 1);
    }
  });
}

TEST_CASE("offered: a TLS 1.3 ticket that is a key of the cache does not resume as a TLS 1.2 session id") {
  static constexpr std::array stateful{Mechanism::stateful13};
  with_each_host(stateful, [](Host& host) {
    const auto offer = [&](int made_in, Scope scope) {
      const auto session = host.session(scope, made_in);
      const auto as_id = disguised(*session, TLS1_2_VERSION);
      const Bytes ticket = ticket_of(session.get());
      if (made_in == TLS1_3_VERSION) {
        REQUIRE(SSL_SESSION_set1_id(as_id.get(), ticket.data(), static_cast<unsigned>(ticket.size())) == 1);
      }
      ClientOptions options = limited_to(TLS1_2_VERSION, as_id.get());
      options.adjust = [](SSL* ssl) { SSL_set_options(ssl, SSL_OP_NO_TICKET); };
      return std::make_unique<Pair>(host.ctx(), options);
    };
    check_resumed(*offer(TLS1_2_VERSION, Scope::one));
    check_full(*offer(TLS1_2_VERSION, Scope::two));
    for (const Scope scope : {Scope::one, Scope::two}) check_full(*offer(TLS1_3_VERSION, scope));
  });
}

// Of the two, the ticket counts (RFC 5077, section 3.4).
TEST_CASE("offered: a ticket of one scope with a session id of the other goes by the ticket, and never across") {
  static constexpr std::array stateless{Mechanism::stateless13};
  with_each_host(stateless, [](Host& host) {
    const auto with_id = [&](Scope scope) {
      SSL_CTX_set_options(host.ctx(), SSL_OP_NO_TICKET);
      auto session = host.session(scope, TLS1_2_VERSION);
      SSL_CTX_clear_options(host.ctx(), SSL_OP_NO_TICKET);
      return session;
    };
    const auto offer = [&](Scope scope_of_id, const SslSessionPtr& ticket) {
      unsigned size = 0;
      const auto cached = with_id(scope_of_id);
      const unsigned char* id = SSL_SESSION_get_id(cached.get(), &size);
      const SslSessionPtr both{SSL_SESSION_dup(ticket.get())};
      REQUIRE(SSL_SESSION_set1_id(both.get(), id, size) == 1);
      return std::make_unique<Pair>(host.ctx(), limited_to(TLS1_2_VERSION, both.get()));
    };
    const auto right = host.session(Scope::one, TLS1_2_VERSION);
    const auto wrong = host.session(Scope::two, TLS1_2_VERSION);
    check_resumed(Pair(host.ctx(), limited_to(TLS1_2_VERSION, with_id(Scope::one).get())));
    check_resumed(*offer(Scope::one, right));
    check_resumed(*offer(Scope::two, right));
    check_full(*offer(Scope::one, wrong));
    check_full(*offer(Scope::two, wrong));
  });
}

namespace {

// The ClientHello of a client that gets no further.
std::string first_flight(const ClientOptions& options) {
  Server nobody{Mechanism::ticket12};
  Pair pair{nobody, options, false};
  do_handshake(pair.client());
  std::string bytes = take_off_wire(pair.server());
  REQUIRE_FALSE(bytes.empty());
  return bytes;
}

// A connection to whose first ClientHello the server has answered with a HelloRetryRequest, which is still on the wire.
std::unique_ptr<Pair> retried(const Host& host, SSL_SESSION* session) {
  SSL_CTX_set1_groups_list(host.ctx(), "P-384:P-256");  // no client sends a share of them at first
  auto pair = std::make_unique<Pair>(host.ctx(), limited_to(TLS1_3_VERSION, session), false);
  SSL_do_handshake(pair->client());
  do_handshake(pair->server());
  REQUIRE(BIO_ctrl_pending(SSL_get_rbio(pair->client())) > 0);
  REQUIRE_FALSE(SSL_session_reused(pair->server()));
  return pair;
}

// Puts bytes in the place of the client's answer.
void answer_with(const Pair& pair, std::string_view bytes) {
  REQUIRE(put_on_wire(pair.client(), bytes));
  do_handshake(pair.server());
}

}  // namespace

TEST_CASE("offered: after a TLS 1.3 ticket and a HelloRetryRequest a TLS 1.2 ClientHello is refused") {
  with_each_host(tickets13, [](Host& host) {
    for (const Scope scope : {Scope::one, Scope::two}) {
      const auto session = host.session(scope, TLS1_3_VERSION);
      const auto tls12_session = host.session(scope, TLS1_2_VERSION);
      const auto in_scope = retried(host, session.get());
      in_scope->run();
      check_resumed_if(scope == Scope::one, *in_scope);
      const auto disguise = disguised(*session, TLS1_2_VERSION);
      for (SSL_SESSION* second : {static_cast<SSL_SESSION*>(nullptr), disguise.get(), tls12_session.get()}) {
        const auto pair = retried(host, session.get());
        answer_with(*pair, first_flight(limited_to(TLS1_2_VERSION, second)));
        pair->run();
        check_refused(*pair);
      }
    }
  });
}

TEST_CASE("offered: after a HelloRetryRequest the ticket of another scope does not resume in place of the first") {
  with_each_host(tickets13, [](Host& host) {
    const auto right = host.session(Scope::one, TLS1_3_VERSION);
    const auto wrong = host.session(Scope::two, TLS1_3_VERSION);
    for (SSL_SESSION* second : {right.get(), wrong.get()}) {
      const auto pair = retried(host, right.get());
      // Another client's, which has a share of the group that is asked for. Its binder is not over the first two
      // messages, so that this does not resume even with the right one.
      ClientOptions other = limited_to(TLS1_3_VERSION, second);
      other.adjust = [](SSL* ssl) { SSL_set1_groups_list(ssl, "P-384"); };
      answer_with(*pair, first_flight(other));
      check_refused(*pair);
    }
  });
}

namespace {

// What a client offers besides the session that it resumes: the ticket of another one. OpenSSL makes it the second PSK,
// and computes its binder as one for a PSK that was agreed on otherwise: a server that chose it would refuse the
// binder.
class SecondPsk {
 public:
  explicit SecondPsk(const SSL_SESSION& other) : session_(SSL_SESSION_dup(&other)), ticket_(ticket_of(&other)) {}
  SecondPsk(const SecondPsk&) = delete;
  SecondPsk& operator=(const SecondPsk&) = delete;

  void add_to(SSL* ssl) {
    SSL_set_ex_data(ssl, index(), this);
    SSL_set_psk_use_session_callback(ssl, call);
  }

 private:
  static int index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
  }

  static int call(SSL* ssl, const EVP_MD* /*digest*/, const unsigned char** id, std::size_t* size,
                  SSL_SESSION** session) {
    const auto& self = *static_cast<const SecondPsk*>(SSL_get_ex_data(ssl, index()));
    *id = self.ticket_.data();
    *size = self.ticket_.size();
    *session = SSL_SESSION_dup(self.session_.get());
    return *session != nullptr ? 1 : 0;
  }

  SslSessionPtr session_;
  Bytes ticket_;
};

// Where the bytes are in the client's flight, which stays on the wire.
std::size_t place_on_wire(const Pair& pair, const Bytes& bytes) {
  char* flight = nullptr;
  const int size = BIO_nread0(SSL_get_rbio(pair.server()), &flight);
  REQUIRE(size > 0);
  const std::string_view wanted{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  return std::string_view{flight, static_cast<std::size_t>(size)}.find(wanted);
}

std::unique_ptr<Pair> offer_both(const Host& host, SSL_SESSION& first, const SSL_SESSION& second) {
  SecondPsk second_psk{second};
  ClientOptions options = limited_to(TLS1_3_VERSION, &first);
  options.adjust = [&](SSL* ssl) { second_psk.add_to(ssl); };
  auto pair = std::make_unique<Pair>(host.ctx(), options, false);
  do_handshake(pair->client());
  const std::size_t place = place_on_wire(*pair, ticket_of(&first));
  CHECK(place != std::string_view::npos);
  CHECK(place_on_wire(*pair, ticket_of(&second)) != std::string_view::npos);
  CHECK(place_on_wire(*pair, ticket_of(&second)) > place);
  pair->run();
  SSL_set_psk_use_session_callback(pair->client(), nullptr);
  return pair;
}

}  // namespace

TEST_CASE("offered: of two tickets in one ClientHello the one of the wrong scope does not resume") {
  with_each_host(tickets13, [](Host& host) {
    const auto right = host.session(Scope::one, TLS1_3_VERSION);
    const auto wrong = host.session(Scope::two, TLS1_3_VERSION);
    check_resumed(*offer_both(host, *right, *wrong));
    // OpenSSL takes the first that it can read, and does not come back for the second when the scope does not match.
    check_full(*offer_both(host, *wrong, *right));
    host.enter(Scope::two);
    check_resumed(*offer_both(host, *wrong, *right));
    check_full(*offer_both(host, *right, *wrong));
  });
}

TEST_CASE("offered: a readable ticket behind one that nobody can read does not resume") {
  with_each_host(tickets13, [](Host& host) {
    Host elsewhere{Mechanism::stateless13, false};
    const auto unreadable = elsewhere.session(Scope::one, TLS1_3_VERSION);
    for (const Scope scope : {Scope::one, Scope::two}) {
      const auto readable = host.session(scope, TLS1_3_VERSION);
      check_resumed_if(scope == Scope::one, Pair(host.ctx(), limited_to(TLS1_3_VERSION, readable.get())));
      check_refused(*offer_both(host, *unreadable, *readable));  // for its binder
    }
  });
}

// The facade's operations on one connection: what they answer, what they refuse, and what they leave alone.
#include "client_tls/client_tls.hpp"

#include <openssl/err.h>

#include <thread>

#include "client_tls/server_name.hpp"
#include "support/catch.hpp"
#include "support/pair.hpp"

using namespace test;
using client_tls::ClientTls;
using client_tls::ClientVerify;
using client_tls::Errc;
using client_tls::Phase;
using client_tls::PhaseContext;

namespace {

template <class Operation>
auto in(Phase phase, SSL* ssl, Operation operation) {
  PhaseContext context{phase};
  return operation(ClientTls{ssl, context});
}

// The error of each operation that takes an SSL, called in a phase that allows it.
std::vector<std::optional<Errc>> errors_of(SSL* ssl) {
  const auto code = [](const auto& result) { return result ? std::nullopt : std::optional(result.error().code); };
  return {
      code(in(Phase::client_hello, ssl, [](ClientTls tls) { return tls.bind_session("scope"); })),
      code(in(Phase::certificate, ssl, [](ClientTls tls) { return tls.request_client_certificate(); })),
      code(in(Phase::certificate, ssl, [](ClientTls tls) { return tls.disable_session_reuse(); })),
      code(in(Phase::preread, ssl, [](ClientTls tls) { return tls.get_full_client_certificate_chain(); })),
      code(in(Phase::log, ssl, [](ClientTls tls) { return tls.log_entry(); })),
  };
}

std::vector<std::optional<Errc>> all_five(Errc code) {
  return std::vector<std::optional<Errc>>(5, code);
}

}  // namespace

TEST_CASE("client_tls: each certificate, none, and not being asked, have their chain and their words in the log") {
  const Certificate self_signed = issue({.common_name = "self-signed"});
  const Certificate server_only = issue({.common_name = "for servers", .usage = Usage::server}, &Pki::get().ca1);
  const ClientOptions none;
  const ClientOptions bad{.chain = {self_signed.get()}, .key = self_signed.key.get()};
  const ClientOptions wrong_use{.chain = {server_only.get()}, .key = server_only.key.get()};
  struct Case {
    const char* name;
    bool asks;
    const ClientOptions& options;
    std::string verdict;
    std::string chain;
  };
  const ClientOptions good = client1();
  const std::array cases{
      Case{"not requested", false, good, "NONE", "none"},
      Case{"requested, none", true, none, "NONE", "none"},
      Case{"good", true, good, "SUCCESS", chain_of_client1()},
      Case{"self-signed", true, bad, "FAILED:self-signed certificate", pem_of({self_signed.get()})},
      Case{"for servers only", true, wrong_use, "FAILED:unsuitable certificate purpose", pem_of({server_only.get()})},
  };
  for (const Mechanism mechanism : both_versions) {
    for (const Case& expected : cases) {
      DYNAMIC_SECTION(to_string(mechanism) << ", " << expected.name) {
        Server server{mechanism};
        server.on_certificate = [&](SSL* ssl) { return expected.asks ? ask(ssl) : 1; };
        Pair pair{server, expected.options};
        REQUIRE(pair.done());
        CHECK(pair.seen().certificate_requests == (expected.asks ? 1 : 0));
        CHECK(pair.verify() == expected.verdict);
        CHECK(pair.chain() == expected.chain);
        CHECK(pair.echo());
      }
    }
  }
}

TEST_CASE("client_tls: the log entry is Kong's request.tls") {
  for (const Mechanism mechanism : both_versions) {
    Server server{mechanism};
    Pair pair{server, {}};
    const auto entry = in(Phase::log, pair.server(), [](ClientTls tls) { return tls.log_entry(); });
    REQUIRE(entry);
    CHECK(entry->version == (is_tls13(mechanism) ? "TLSv1.3" : "TLSv1.2"));
    CHECK(entry->cipher == SSL_get_cipher_name(pair.client()));
    CHECK(entry->client_verify == "NONE");
  }
}

TEST_CASE("client_tls: the log still has the connection after a fatal error on it") {
  for (const Mechanism mechanism : both_versions) {
    Server server{mechanism};
    server.on_certificate = [](SSL* ssl) { return ask(ssl); };
    Pair pair{server, client1()};
    REQUIRE(pair.done());
    const std::string garbage = std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x');
    put_on_wire(pair.client(), garbage);
    pair.run();
    REQUIRE(pair.server_error() == SSL_ERROR_SSL);
    CHECK(pair.verify() == "SUCCESS");
    CHECK(pair.chain() == chain_of_client1());
  }
}

TEST_CASE("client_tls: the chain is what the client sent, in its order, to the byte") {
  const Pki& pki = Pki::get();
  const ClientOptions options{.chain = {pki.client1.get(), pki.ca2.get(), pki.intermediate1.get(), pki.ca1.get(),
                                        pki.intermediate1.get(), pki.intermediate2.get()},
                              .key = pki.client1.key.get()};
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_client_hello = [](SSL* ssl) { return bind_with_limits(ssl, {.max_carried_bytes = 8192}); };
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair first{server, options};
      REQUIRE(first.done());
      CHECK(first.chain() == pem_of(options.chain));
      CHECK(first.verify() == "SUCCESS");
      ClientOptions again = options;
      const auto session = first.session();
      again.session = session.get();
      Pair next{server, again};
      REQUIRE(next.resumed());
      CHECK(next.chain() == pem_of(options.chain));
    }
  }
}

TEST_CASE("client_tls: a certificate of any length is PEM as OpenSSL writes it") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  for (std::size_t extra = 1; extra < 100; extra += 3) {  // each remainder of a line and of a group of three bytes
    const Certificate leaf = issue({.extra_bytes = extra});
    Pair pair{server, {.chain = {leaf.get()}, .key = leaf.key.get()}};
    CHECK(pair.chain() == pem_of({leaf.get()}));
  }
}

TEST_CASE("client_tls: a repeated call gives the same text again") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair pair{server, client1()};
  const auto read = [&] {
    return in(Phase::log, pair.server(), [](ClientTls tls) { return tls.get_full_client_certificate_chain(); });
  };
  const auto first = read();
  REQUIRE(first);
  REQUIRE(*first);
  CHECK((*first)->data() == (*read())->data());
}

TEST_CASE("client_tls: two contexts on one connection are independent, and an override touches the log alone") {
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = [](SSL* ssl) { return ask(ssl); };
      Pair pair{server, client1()};
      PhaseContext one{Phase::access};
      PhaseContext two{Phase::body_filter};
      const ClientTls first{pair.server(), one};
      const ClientTls second{pair.server(), two};
      first.set_client_verify("FAILED:no such user");
      CHECK_THROWS_AS(second.set_client_verify("NONE"), client_tls::PhaseError);
      CHECK(first.get_full_client_certificate_chain() == second.get_full_client_certificate_chain());
      one.enter(Phase::log);
      two.enter(Phase::log);
      CHECK(first.log_entry()->client_verify == "FAILED:no such user");
      CHECK(second.log_entry()->client_verify == "SUCCESS");
      one.enter(Phase::rewrite);  // an internal redirect: the override stays until it is replaced
      one.enter(Phase::log);
      CHECK(first.log_entry()->client_verify == "FAILED:no such user");
      one.enter(Phase::balancer);
      first.set_client_verify("NONE");
      one.enter(Phase::log);
      CHECK(first.log_entry()->client_verify == "NONE");
      CHECK(pair.chain() == chain_of_client1());
      CHECK(SSL_get_verify_result(pair.server()) == X509_V_OK);
      ClientOptions again = client1();
      const auto session = pair.session();
      again.session = session.get();
      Pair next{server, again};
      CHECK(next.resumed());
      CHECK(next.verify() == "SUCCESS");
    }
  }
}

TEST_CASE("client_tls: no TLS, the client's side, DTLS and a handshake not begun are named errors") {
  CHECK(errors_of(nullptr) == all_five(Errc::no_tls));
  const client_tls::SslCtxPtr tls{SSL_CTX_new(TLS_method())};
  const client_tls::SslPtr client{SSL_new(tls.get())};
  SSL_set_connect_state(client.get());
  CHECK(errors_of(client.get()) == all_five(Errc::unsupported));
  const client_tls::SslPtr fresh{SSL_new(tls.get())};
  SSL_set_accept_state(fresh.get());
  CHECK(errors_of(fresh.get()) == all_five(Errc::too_early));
  const client_tls::SslCtxPtr dtls{SSL_CTX_new(DTLS_server_method())};
  const client_tls::SslPtr datagrams{SSL_new(dtls.get())};
  CHECK(errors_of(datagrams.get()) == all_five(Errc::unsupported));
}

TEST_CASE("client_tls: what comes too early or too late is refused and changes nothing") {
  using Codes = std::vector<std::optional<Errc>>;
  for (const Mechanism mechanism : all_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      Codes in_hello;
      Codes in_servername;
      Codes in_certificate;
      server.on_client_hello = [&](SSL* ssl) {
        in_hello = errors_of(ssl);
        return bind_to_server_name(ssl);
      };
      SSL_CTX_set_tlsext_servername_callback(server.ssl_ctx(), (+[](SSL* ssl, int*, void* codes) {
                                               PhaseContext context{Phase::client_hello};
                                               const auto bound = ClientTls{ssl, context}.bind_session("late");
                                               if (!bound) static_cast<Codes*>(codes)->push_back(bound.error().code);
                                               return SSL_TLSEXT_ERR_OK;
                                             }));
      SSL_CTX_set_tlsext_servername_arg(server.ssl_ctx(), &in_servername);
      server.on_certificate = [&](SSL* ssl) {
        in_certificate = errors_of(ssl);
        return ask(ssl);
      };
      Pair first{server, client1()};
      REQUIRE(first.done());
      CHECK(in_hello == Codes{std::nullopt, Errc::too_early, Errc::too_early, Errc::too_early, Errc::too_early});
      CHECK(in_servername == Codes{Errc::too_late});
      CHECK(in_certificate == Codes{Errc::too_late, std::nullopt, std::nullopt, Errc::too_early, Errc::too_early});
      CHECK(errors_of(first.server()) ==
            Codes{Errc::handshake_over, Errc::handshake_over, Errc::handshake_over, std::nullopt, std::nullopt});
    }
  }
}

TEST_CASE("client_tls: on a resumed connection the certificate phase is over before it begins") {
  Server server{Mechanism::stateless13};
  Pair first{server, client1()};
  std::vector<std::optional<Errc>> codes;
  SSL_CTX_set_tlsext_servername_callback(server.ssl_ctx(), (+[](SSL* ssl, int*, void* out) {
                                           *static_cast<std::vector<std::optional<Errc>>*>(out) = errors_of(ssl);
                                           return SSL_TLSEXT_ERR_OK;
                                         }));
  SSL_CTX_set_tlsext_servername_arg(server.ssl_ctx(), &codes);
  ClientOptions again = client1();
  const auto session = first.session();
  again.session = session.get();
  Pair next{server, again};
  REQUIRE(next.resumed());
  REQUIRE(codes.size() == 5);
  CHECK(codes[1] == Errc::too_late);
  CHECK(codes[2] == Errc::too_late);
}

TEST_CASE("client_tls: a scope that is empty or too long is refused, and the connection keeps its scope") {
  Server server{Mechanism::ticket12};
  int refused = 0;
  server.on_client_hello = [&](SSL* ssl) {
    PhaseContext context{Phase::client_hello};
    const ClientTls tls{ssl, context};
    REQUIRE(tls.bind_session("kept"));
    for (const std::string& scope : {std::string(), std::string(client_tls::max_scope_size + 1, 's')}) {
      const auto bound = tls.bind_session(scope);
      refused += !bound && bound.error().code == Errc::invalid_argument ? 1 : 0;
    }
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  Pair first{server, {}};
  CHECK(refused == 2);
  server.on_client_hello = [](SSL* ssl) { return bind_to(ssl, "kept"); };
  const auto session = first.session();
  Pair next{server, {.session = session.get()}};
  CHECK(next.resumed());
}

TEST_CASE("client_tls: the error queue is afterwards as it was") {
  constexpr int sentinel = 4711;
  for (const bool empty : {false, true}) {
    for (const Mechanism mechanism : all_mechanisms) {
      DYNAMIC_SECTION(to_string(mechanism) << (empty ? ", empty" : "")) {
        int checks = 0;
        const auto guarded = [&](auto operation) {
          ERR_clear_error();
          if (!empty) ERR_raise(ERR_LIB_USER, sentinel);
          operation();
          ++checks;
          if (!empty) CHECK(ERR_GET_REASON(ERR_get_error()) == sentinel);
          CHECK(ERR_get_error() == 0);
        };
        const auto all_operations = [&](SSL* ssl) {
          for (const auto& entry : client_tls::detail::all_phases) {
            PhaseContext context{entry.phase};
            const ClientTls tls{ssl, context};
            const std::array<X509*, 2> bad_hints{Pki::get().ca1.get(), nullptr};
            guarded([&] { (void)tls.bind_session("scope"); });
            guarded([&] { (void)tls.bind_session(""); });
            guarded([&] { (void)tls.request_client_certificate(bad_hints); });
            guarded([&] { (void)tls.request_client_certificate(); });
            guarded([&] { (void)tls.get_full_client_certificate_chain(); });
            guarded([&] { (void)tls.set_client_verify(*ClientVerify::parse("NONE")); });
            guarded([&] { (void)tls.log_entry(); });
            guarded([&] { (void)client_tls::ServerName::from_client_hello(ssl); });
          }
        };
        Server server{mechanism};
        server.on_client_hello = [&](SSL* ssl) {
          all_operations(ssl);
          return SSL_CLIENT_HELLO_SUCCESS;
        };
        server.on_certificate = [&](SSL* ssl) {
          all_operations(ssl);
          return 1;
        };
        Pair first{server, client1()};
        REQUIRE(first.done());
        all_operations(first.server());
        ClientOptions again = client1();
        const auto session = first.session();
        again.session = session.get();
        Pair next{server, again};
        CHECK(next.resumed());
        all_operations(next.server());
        all_operations(nullptr);
        CHECK(checks == 8 * 9 * 6);
      }
    }
  }
}

TEST_CASE("client_tls: a handshake leaves nothing on the error queue") {
  for (const Mechanism mechanism : all_mechanisms) {
    Server server{mechanism};
    server.on_certificate = [](SSL* ssl) { return ask(ssl); };
    Pair pair{server, client1(), false};
    for (int i = 0; i < 10; ++i) {
      do_handshake(pair.client());
      if (SSL_do_handshake(pair.server()) == 1) break;
      CHECK(ERR_peek_error() == 0);
      ERR_clear_error();
    }
    CHECK(SSL_is_init_finished(pair.server()) == 1);
  }
}

TEST_CASE("client_tls: after its first read the chain is read by many threads at once") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair pair{server, client1()};
  const std::string expected = pair.chain();
  std::array<int, 8> good{};
  {
    std::vector<std::jthread> threads;
    for (int& mine : good) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) mine += pair.chain() == expected ? 1 : 0;
      });
    }
  }
  for (const int mine : good) CHECK(mine == 1000);
}

// The handshake is not complete then, and a request that came as early data can be over already.
TEST_CASE("client_tls: a request in 0-RTT is logged with its version and cipher, and as nobody's") {
  Server server{Mechanism::stateless13};
  SSL_CTX_set_max_early_data(server.ssl_ctx(), 16'384);
  SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_NO_ANTI_REPLAY);
  const auto session = Pair(server, {}).session();
  REQUIRE(session);
  const Pair pair{server, {.session = session.get()}, false};
  std::size_t size = 0;
  REQUIRE(SSL_write_early_data(pair.client(), "early", 5, &size) == 1);
  std::array<char, 16> data{};
  REQUIRE(SSL_read_early_data(pair.server(), data.data(), data.size(), &size) == SSL_READ_EARLY_DATA_SUCCESS);
  PhaseContext context{Phase::access};
  const ClientTls tls{pair.server(), context};
  CHECK(tls.verdict().error().code == Errc::too_early);
  CHECK(tls.get_full_client_certificate_chain().error().code == Errc::too_early);
  context.enter(Phase::log);
  const auto entry = tls.log_entry();
  REQUIRE(entry);
  CHECK(entry->version == "TLSv1.3");
  CHECK(entry->cipher.starts_with("TLS_"));
  CHECK(entry->client_verify == "NONE");
}

TEST_CASE("client_tls: SSL_dup makes no second owner") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  Pair pair{server, client1()};
  const std::string expected = pair.chain();
  {
    const client_tls::SslPtr same{SSL_dup(pair.server())};  // one more reference, once a handshake has begun
    CHECK(same.get() == pair.server());
  }
  CHECK(pair.chain() == expected);
  close_in_order(pair.server());
  SSL_clear(pair.server());
  const client_tls::SslPtr copy{SSL_dup(pair.server())};  // a true copy, before one
  REQUIRE(copy);
  CHECK(copy.get() != pair.server());
  CHECK(errors_of(copy.get()) == all_five(Errc::too_early));
}

TEST_CASE("client_tls: the sizes that hosts rely on are what they were") {
  CHECK(sizeof(ClientTls) == 2 * sizeof(void*));
  CHECK(std::is_trivially_copyable_v<ClientTls>);
  CHECK(sizeof(PhaseContext) <= 64);
}

// What the library relies on in OpenSSL, fact by fact, without the library: what a client can show in place of a
// certificate, or before it.
#include <array>
#include <string_view>

#include "support/bare_facts.hpp"
#include "support/external_psk.hpp"

using namespace bare;
using namespace client_tls;

TEST_CASE("openssl: an external PSK counts as resumed, whatever the context, and is asked for no certificate") {
  Server server{Mechanism::stateless13};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_verify(ssl, strict, nullptr);
    SSL_set_psk_find_session_callback(ssl, find_psk);
    return present(ssl, "the connection's own");
  };
  const Pair pair{server, client_with_psk()};
  REQUIRE(pair.done());
  CHECK(pair.resumed());
  CHECK(pair.seen.certificate_requests == 0);
  CHECK(server.count("certificate") == 0);
  CHECK(offer(server, pair)->resumed());  // and its ticket, without the PSK
}

TEST_CASE("openssl: PSK callbacks that are null in client_hello switch an external PSK off, and no ticket") {
  Server server{Mechanism::stateless13};
  SSL_CTX_set_psk_find_session_callback(server.ctx(), find_psk);
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_psk_server_callback(ssl, nullptr);
    SSL_set_psk_find_session_callback(ssl, nullptr);
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  const Pair pair{server, client_with_psk()};
  REQUIRE(pair.done());
  CHECK_FALSE(pair.resumed());
  CHECK(offer(server, pair)->resumed());
}

namespace {

// A resumption with early data, as far as the server has read it: what SSL_read_early_data returned.
int read_early_data(Server& server, std::unique_ptr<Pair>& pair) {
  SSL_CTX_set_max_early_data(server.ctx(), 1000);
  const Pair first{server};
  const auto session = first.session();
  ClientOptions client;
  client.session = session.get();
  pair = std::make_unique<Pair>(server, client, false);
  std::size_t size = 0;
  REQUIRE(SSL_write_early_data(pair->client(), "early", 5, &size) == 1);
  std::array<char, 16> data{};
  return SSL_read_early_data(pair->server(), data.data(), data.size(), &size);
}

}  // namespace

TEST_CASE("openssl: early data is read before the client's Finished, when the handshake is said to be done") {
  Server server{Mechanism::stateless13};
  std::unique_ptr<Pair> pair;
  int done = 0;
  server.on_info = [&](SSL* ssl, int where) { done += where == SSL_CB_HANDSHAKE_DONE && finished_size(ssl) == 0; };
  CHECK(read_early_data(server, pair) == SSL_READ_EARLY_DATA_SUCCESS);
  CHECK(done == 1);
  CHECK(finished_size(pair->server()) == 0);
}

TEST_CASE("openssl: SSL_set_max_early_data(0) in client_hello rejects early data") {
  Server server{Mechanism::stateless13};
  std::unique_ptr<Pair> pair;
  int connections = 0;
  server.on_client_hello = [&](SSL* ssl) {
    return ++connections == 1 ? SSL_CLIENT_HELLO_SUCCESS : SSL_set_max_early_data(ssl, 0);
  };
  CHECK(read_early_data(server, pair) == SSL_READ_EARLY_DATA_FINISH);
  CHECK(SSL_get_early_data_status(pair->server()) == SSL_EARLY_DATA_REJECTED);
  SSL_do_handshake(pair->client());  // SSL_read would not end the sending of early data
  CHECK(pair->run());
}

TEST_CASE("openssl: the certificate is message 11, not compressed, where the certificate callback says so") {
  // Of 3.0 and 3.1 always; from 3.2 it is message 25 where both sides were built with an algorithm.
  for (const bool refused : {false, true}) {
    CAPTURE(refused);
    Server server{Mechanism::stateless13};
    server.on_certificate = [&](SSL* ssl) {
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION
      if (refused) SSL_set_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
#endif
      return ask(ssl);
    };
    std::vector<int> messages;
    server.on_message = [&](SSL*, const unsigned char* message, std::size_t) { messages.push_back(message[0]); };
    const Pair pair{server, client1()};
    REQUIRE(pair.done());
    REQUIRE(messages.size() == 4);  // ClientHello, Certificate, CertificateVerify, Finished
#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) && \
    !(defined(OPENSSL_NO_ZLIB) && defined(OPENSSL_NO_BROTLI) && defined(OPENSSL_NO_ZSTD))
    CHECK(messages[1] == (refused ? SSL3_MT_CERTIFICATE : SSL3_MT_COMPRESSED_CERTIFICATE));
#else
    CHECK(messages[1] == SSL3_MT_CERTIFICATE);
#endif
  }
}

#if OPENSSL_VERSION_NUMBER >= 0x30200000L
TEST_CASE("openssl: a client with a raw public key has no certificate") {  // from 3.2, where the host allows it
  static constexpr std::array<unsigned char, 1> raw{TLSEXT_cert_type_rpk};
  Server server{Mechanism::stateless13};
  server.on_verify = let_through;
  server.on_certificate = ask;
  server.on_client_hello = [](SSL* ssl) { return SSL_set1_client_cert_type(ssl, raw.data(), raw.size()); };
  ClientOptions client = client1();
  client.adjust = [](SSL* ssl) { SSL_set1_client_cert_type(ssl, raw.data(), raw.size()); };
  const Pair pair{server, client};
  REQUIRE(pair.done());
  CHECK(SSL_get0_peer_certificate(pair.server()) == nullptr);
  CHECK(SSL_get0_peer_rpk(pair.server()) != nullptr);
}
#endif

TEST_CASE("openssl: OpenSSL's client offers a session of TLS 1.3 once, and of TLS 1.2 again") {
  for (const Mechanism mechanism : {Mechanism::ticket12, Mechanism::stateless13}) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    const Pair first{server};
    const auto session = first.session();
    ClientOptions client;
    client.session = session.get();
    CHECK(Pair{server, client}.resumed());
    CHECK(Pair{server, client}.resumed() == !is_tls13(mechanism));
  }
}

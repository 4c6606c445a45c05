// What the library relies on in OpenSSL, fact by fact, without the library: what becomes of an SSL whose
// handshake is done, and of its settings.
#include "support/bare_facts.hpp"

using namespace bare;
using namespace client_tls;

TEST_CASE("openssl: in post-handshake authentication the certificate is the peer's before it is proved to be") {
  Server server{Mechanism::stateless13};
  Pair pair{server, able_to_authenticate_later(client1())};
  REQUIRE(pair.done());
  int messages = 0;
  server.on_message = [&](SSL* ssl, const unsigned char* message, std::size_t) {
    if (message[0] != SSL3_MT_CERTIFICATE_VERIFY) return;
    ++messages;
    CHECK(SSL_get0_peer_certificate(ssl) != nullptr);
    CHECK(sk_X509_num(SSL_get_peer_cert_chain(ssl)) == 1);
    CHECK(SSL_get_verify_result(ssl) == X509_V_OK);
    CHECK(SSL_get0_verified_chain(ssl) != nullptr);
    CHECK(SSL_is_init_finished(ssl) == 0);  // what the library goes by
    CHECK(finished_size(ssl) != 0);         // of the handshake
  };
  REQUIRE(authenticate_again(pair));
  CHECK(messages == 1);
}

TEST_CASE("openssl: after post-handshake authentication the leaf is another object") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    CAPTURE(to_string(mechanism));
    Server server{mechanism};
    server.on_certificate = ask;
    Pair pair{server, able_to_authenticate_later(client1())};
    REQUIRE(pair.done());
    X509Ptr before{SSL_get1_peer_certificate(pair.server())};  // held: the address is not used again
    REQUIRE(authenticate_again(pair));
    CHECK(SSL_get0_peer_certificate(pair.server()) != before.get());
  }
}

TEST_CASE("openssl: renegotiation is refused under SSL_OP_NO_RENEGOTIATION, and the connection stays") {
  Server server{Mechanism::ticket12};
  server.on_client_hello = [](SSL* ssl) {
    SSL_set_options(ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION | SSL_OP_NO_RENEGOTIATION);
    return SSL_CLIENT_HELLO_SUCCESS;
  };
  Pair pair{server};
  REQUIRE(SSL_renegotiate(pair.client()) == 1);
  SSL_do_handshake(pair.client());
  char byte = 0;
  const int result = SSL_read(pair.server(), &byte, 1);
  CHECK(SSL_get_error(pair.server(), result) == SSL_ERROR_WANT_READ);
  CHECK(SSL_is_init_finished(pair.server()) == 1);
  CHECK(server.count("client_hello") == 1);
  pair.run();  // OpenSSL's client gives up
  CHECK(pair.seen.alert == SSL_AD_NO_RENEGOTIATION);
}

TEST_CASE("openssl: SSL_clear keeps the settings and the last client's certificate, and forgets its Finished") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) {
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    return SSL_set_num_tickets(ssl, 7) == 1 ? ask(ssl) : 0;
  };
  const Pair pair{server, client1()};
  REQUIRE(pair.done());
  close_in_order(pair.server());
  REQUIRE(SSL_clear(pair.server()) == 1);
  CHECK(SSL_get_verify_mode(pair.server()) == SSL_VERIFY_PEER);
  CHECK(SSL_get_verify_callback(pair.server()) == verify);
  CHECK((SSL_get_options(pair.server()) & SSL_OP_NO_RENEGOTIATION) != 0);
  CHECK(SSL_get_num_tickets(pair.server()) == 7);
  CHECK(finished_size(pair.server()) == 0);
  CHECK(SSL_get0_peer_certificate(pair.server()) != nullptr);  // the last client's
  CHECK(SSL_is_init_finished(pair.server()) == 0);
}

TEST_CASE("openssl: SSL_set_verify without a callback keeps the one that is there") {
  Server server{Mechanism::stateless13};
  const SslPtr ssl{SSL_new(server.ctx())};
  SSL_set_verify(ssl.get(), SSL_VERIFY_PEER, verify);
  SSL_set_verify(ssl.get(), SSL_VERIFY_NONE, nullptr);
  CHECK(SSL_get_verify_callback(ssl.get()) == verify);
  CHECK(SSL_get_verify_mode(ssl.get()) == SSL_VERIFY_NONE);
}

TEST_CASE("openssl: SSL_set_SSL_CTX in the servername callback takes the certificate callback and the verify store") {
  Server server{Mechanism::stateless13};
  Server other{Mechanism::stateless13};
  SSL_CTX_set_verify(other.ctx(), strict, nullptr);
  SSL_CTX_set_num_tickets(other.ctx(), 7);
  SSL_CTX_set_options(other.ctx(), SSL_OP_PRIORITIZE_CHACHA);
  const X509StorePtr store = store_of(Pki::get().ca1);
  server.on_client_hello = [&](SSL* ssl) { return SSL_set1_verify_cert_store(ssl, store.get()); };
  server.on_server_name = [&](SSL* ssl) {
    REQUIRE(SSL_set_SSL_CTX(ssl, other.ctx()) == other.ctx());
    X509_STORE* now = nullptr;
    SSL_get0_verify_cert_store(ssl, &now);
    CHECK(now == nullptr);
  };
  const Pair pair{server};
  REQUIRE(pair.done());
  CHECK(server.count("certificate") == 0);
  CHECK(other.count("certificate") == 1);
}

TEST_CASE("openssl: SSL_set_SSL_CTX in the servername callback leaves verify mode, options and tickets") {
  Server server{Mechanism::stateless13};
  Server other{Mechanism::stateless13};
  SSL_CTX_set_verify(other.ctx(), strict, nullptr);
  SSL_CTX_set_num_tickets(other.ctx(), 7);
  SSL_CTX_set_options(other.ctx(), SSL_OP_PRIORITIZE_CHACHA);
  server.on_client_hello = ask;
  server.on_server_name = [&](SSL* ssl) { SSL_set_SSL_CTX(ssl, other.ctx()); };
  const Pair first{server};
  REQUIRE(first.done());  // not strict
  CHECK(SSL_get_verify_mode(first.server()) == SSL_VERIFY_PEER);
  CHECK(SSL_get_verify_callback(first.server()) == verify);
  CHECK((SSL_get_options(first.server()) & SSL_OP_PRIORITIZE_CHACHA) == 0);
  CHECK(first.seen.tickets == 2);
  CHECK(offer(server, first)->resumed());  // keys and cache are the first's, too
}

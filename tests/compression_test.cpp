// Compressed client certificates (RFC 8879), which OpenSSL negotiates by default from 3.2 on: not where a certificate
// is asked for by the library, whose limits are on what arrives.
#include <map>

#include "support/catch.hpp"
#include "support/pair.hpp"
#include "support/policies.hpp"

#if defined(SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) && \
    !(defined(OPENSSL_NO_ZLIB) && defined(OPENSSL_NO_BROTLI) && defined(OPENSSL_NO_ZSTD))

using namespace client_tls;
using namespace test;

namespace {

constexpr unsigned char compressed_certificate = 25;

// The type of the message in which the client sends its certificate; 0 until it does.
void see_certificate(int sent, int /*version*/, int type, const void* data, std::size_t size, SSL* /*ssl*/,
                     void* seen) {
  if (sent == 0 || type != SSL3_RT_HANDSHAKE || size == 0) return;
  const unsigned char message = *static_cast<const unsigned char*>(data);
  if (message == SSL3_MT_CERTIFICATE || message == compressed_certificate) *static_cast<int*>(seen) = message;
}

// One connection, and how the client sent its certificate.
struct Watched {
  int message = 0;
  Pair pair;

  Watched(SSL_CTX* server, ClientOptions options) : pair(server, watched(std::move(options), message)) {}

 private:
  static ClientOptions watched(ClientOptions options, int& message) {
    options.adjust = [&message](SSL* ssl) {
      SSL_set_msg_callback(ssl, see_certificate);
      SSL_set_msg_callback_arg(ssl, &message);
    };
    return options;
  }
};

bool takes_compressed(SSL* ssl) {
  return (SSL_get_options(ssl) & SSL_OP_NO_RX_CERTIFICATE_COMPRESSION) == 0;
}

// A chain that is small when it is compressed, and of so many bytes when it is not.
ClientOptions compressible(std::size_t size) {
  static const Certificate leaf = issue({}, &Pki::get().intermediate1);
  static std::map<std::size_t, Certificate> fillers;
  const auto filler = fillers.try_emplace(size).first;
  if (!filler->second.certificate) filler->second = issue({.usage = Usage::ca, .extra_bytes = size});
  return {.chain = {leaf.get(), Pki::get().intermediate1.get(), filler->second.get()}, .key = leaf.key.get()};
}

// A host that wants it compressed all the same, and says so after the library.
int ask_for_compressed(SSL* ssl) {
  const int asked = ask(ssl);
  SSL_clear_options(ssl, SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
  return asked;
}

}  // namespace

TEST_CASE("compression: OpenSSL negotiates it, unless the library asks for the certificate") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return SSL_set_verify(ssl, SSL_VERIFY_PEER, nullptr), 1; };
  CHECK(Watched(server.ssl_ctx(), client1()).message == compressed_certificate);
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  const Watched asked{server.ssl_ctx(), client1()};
  CHECK(asked.message == SSL3_MT_CERTIFICATE);
  CHECK(asked.pair.verify() == "SUCCESS");
}

TEST_CASE("compression: under a policy it is off from the ClientHello on") {
  for (const auto request : {ClientAuth::optional, ClientAuth::required}) {
    const PolicyServer server{Mechanism::stateless13, make_policies({{"a.test", make_policy(asking(request))}})};
    const Watched asked{server.ssl_ctx(), client1()};
    CHECK(asked.message == SSL3_MT_CERTIFICATE);
    CHECK(asked.pair.verify() == "SUCCESS");
  }
}

TEST_CASE("compression: the host's option is back when the handshake is done, and on an SSL used again") {
  for (const bool taken_before : {true, false}) {
    Server server{Mechanism::stateless13};
    if (!taken_before) SSL_CTX_set_options(server.ssl_ctx(), SSL_OP_NO_RX_CERTIFICATE_COMPRESSION);
    std::vector<bool> during;
    server.on_certificate = [&](SSL* ssl) {
      const int asked = ask(ssl);
      during.push_back(takes_compressed(ssl));
      return asked;
    };
    Pair pair{server, client1()};
    REQUIRE(pair.done());
    CHECK(takes_compressed(pair.server()) == taken_before);
    pair.clear(client1());
    REQUIRE(pair.done());
    CHECK(takes_compressed(pair.server()) == taken_before);
    CHECK(during == std::vector<bool>{false, false});
  }
}

TEST_CASE("compression: the host's option is back on an SSL whose handshake was broken off") {
  Server server{Mechanism::stateless13};
  server.on_certificate = [](SSL* ssl) { return ask(ssl), 0; };
  Pair pair{server, client1()};
  REQUIRE_FALSE(pair.done());
  server.on_certificate = [](SSL*) { return 1; };
  pair.clear(client1());
  REQUIRE(pair.done());
  CHECK(takes_compressed(pair.server()));
}

TEST_CASE("compression: forced on by the host, the chain and the verdict are the same, and travel") {
  for (const Mechanism mechanism : tls13_mechanisms) {
    DYNAMIC_SECTION(to_string(mechanism)) {
      Server server{mechanism};
      server.on_certificate = ask_for_compressed;
      const Watched first{server.ssl_ctx(), client1()};
      CHECK(first.message == compressed_certificate);
      CHECK(first.pair.verify() == "SUCCESS");
      CHECK(first.pair.chain() == pem_of(client1().chain));
      ClientOptions offering = client1();
      const auto session = first.pair.session();
      offering.session = session.get();
      const Pair next{server, offering};
      CHECK(next.resumed());
      CHECK(next.verify() == "SUCCESS");
      CHECK(next.chain() == pem_of(client1().chain));
    }
  }
}

TEST_CASE("compression: forced on by the host, the limit is on what the message is uncompressed, too") {
  Server server{Mechanism::stateless13};
  server.on_certificate = ask_for_compressed;
  CHECK(Pair(server, compressible(std::size_t{20} * 1024)).done());
  CHECK(Pair(server, compressible(std::size_t{33} * 1024)).seen().alert == SSL_AD_BAD_CERTIFICATE);
  server.on_certificate = [](SSL* ssl) { return ask(ssl); };
  CHECK(Pair(server, compressible(std::size_t{33} * 1024)).seen().alert == SSL_AD_ILLEGAL_PARAMETER);
}

#endif

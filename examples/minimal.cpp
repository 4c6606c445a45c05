// Asks a client for its certificate, lets it in by the verdict, and has the same whole chain when the client comes back
// with its session.
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <iostream>
#include <stdexcept>
#include <string>

#include "client_tls/client_tls.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/server_name.hpp"

// [readme]
using namespace client_tls;

// In OpenSSL's callbacks: who may resume, and what is asked of the client. C calls them, so nothing may throw.
int on_client_hello(SSL* ssl, int* /*alert*/, void* /*arg*/) noexcept {
  PhaseContext context{Phase::client_hello};
  const auto name = ServerName::from_client_hello(ssl);
  // The name alone is the scope: every name asks the same here. A client without one is refused, as an empty scope is.
  const bool bound = name && ClientTls{ssl, context}.bind_session(name->view());
  return bound ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

int on_certificate(SSL* ssl, void* /*arg*/) noexcept {
  PhaseContext context{Phase::certificate};
  return ClientTls{ssl, context}.request_client_certificate() ? 1 : 0;
}

// In the request pipeline: whether this request may pass, whose it is, and what the log says of it.
struct Request {
  int status;         // of the response
  std::string chain;  // PEM, leaf first; empty unless the client is authenticated
  LogEntry log;
};

Request handle_request(SSL* ssl) {
  PhaseContext context{Phase::access};  // one per request
  const ClientTls tls{ssl, context};
  const auto verdict = tls.verdict();  // the verdict decides, and nothing else
  if (!verdict) throw std::runtime_error(std::string(verdict.error().message));
  if (!verdict->success()) {
    context.enter(Phase::log);
    return {.status = 403, .chain = {}, .log = *tls.log_entry()};
  }
  const auto chain = tls.get_full_client_certificate_chain();  // on a resumed connection, the same bytes
  if (!chain) throw std::runtime_error(std::string(chain.error().message));
  context.enter(Phase::log);
  return {.status = 200, .chain = std::string(chain->value_or("")), .log = *tls.log_entry()};
}
// [/readme]

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

// A certificate of an hour; self-signed without an issuer. One key serves everybody here.
X509Ptr make_certificate(EVP_PKEY* key, const char* name, const char* constraints, const X509* issuer = nullptr) {
  X509Ptr certificate{X509_new()};
  X509* x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  const OpensslPtr<X509_NAME, X509_NAME_free> subject{X509_NAME_new()};
  X509_NAME_add_entry_by_txt(subject.get(), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name), -1, -1,
                             0);
  X509_set_subject_name(x509, subject.get());
  X509_set_issuer_name(x509, X509_get_subject_name(issuer != nullptr ? issuer : x509));
  X509_set_pubkey(x509, key);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, constraints);
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
  require(X509_sign(x509, key, EVP_sha256()) > 0, "a certificate could not be signed");
  return certificate;
}

// One connection, in memory: what the server made of it, and the session that the client takes home.
struct Visit {
  bool resumed;
  Request request;
  SslSessionPtr session;
};

Visit visit(SSL_CTX* server_ctx, SSL_CTX* client_ctx, SSL_SESSION* session) {
  const SslPtr server{SSL_new(server_ctx)};
  const SslPtr client{SSL_new(client_ctx)};
  BIO* server_end = nullptr;
  BIO* client_end = nullptr;
  require(BIO_new_bio_pair(&server_end, 0, &client_end, 0) == 1, "no memory for a connection");
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_accept_state(server.get());
  SSL_set_connect_state(client.get());
  SSL_set_tlsext_host_name(client.get(), "example.test");
  if (session != nullptr) SSL_set_session(client.get(), session);
  for (int round = 0; round < 10; ++round) {
    SSL_do_handshake(client.get());
    SSL_do_handshake(server.get());
  }
  require(SSL_is_init_finished(server.get()) == 1, "the handshake did not complete");
  char byte = 0;
  SSL_read(client.get(), &byte, 1);  // takes the tickets in
  SSL_shutdown(client.get());        // without it OpenSSL throws the session away
  Visit result{.resumed = SSL_session_reused(server.get()) == 1,
               .request = handle_request(server.get()),
               .session = SslSessionPtr{SSL_get1_session(client.get())}};
  const LogEntry& log = result.request.log;
  std::cout << (result.resumed ? "resumed: " : "full:    ") << log.version << ", " << log.client_verify << ": "
            << result.request.status << '\n';
  return result;
}

int main() try {
  const EvpPkeyPtr key{EVP_EC_gen("P-256")};
  const X509Ptr root = make_certificate(key.get(), "Root", "critical,CA:TRUE");
  const X509Ptr intermediate = make_certificate(key.get(), "Intermediate", "critical,CA:TRUE", root.get());
  const X509Ptr leaf = make_certificate(key.get(), "Client", "CA:FALSE", intermediate.get());
  const X509Ptr own = make_certificate(key.get(), "example.test", "CA:FALSE");

  const SslCtxPtr server{SSL_CTX_new(TLS_server_method())};
  SSL_CTX_use_certificate(server.get(), own.get());
  SSL_CTX_use_PrivateKey(server.get(), key.get());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(server.get()), root.get());
  SSL_CTX_set_client_hello_cb(server.get(), on_client_hello, nullptr);
  SSL_CTX_set_cert_cb(server.get(), on_certificate, nullptr);

  const SslCtxPtr stranger{SSL_CTX_new(TLS_client_method())};
  const SslCtxPtr client{SSL_CTX_new(TLS_client_method())};
  SSL_CTX_use_certificate(client.get(), leaf.get());
  SSL_CTX_use_PrivateKey(client.get(), key.get());
  SSL_CTX_add1_chain_cert(client.get(), intermediate.get());

  const Visit first = visit(server.get(), client.get(), nullptr);
  require(!first.resumed && first.request.status == 200, "the first visit is not as it should be");
  const Visit second = visit(server.get(), client.get(), first.session.get());
  require(second.resumed && second.request.status == 200, "the second visit is not as it should be");
  require(!first.request.chain.empty() && second.request.chain == first.request.chain, "the chains are not the same");
  const Visit third = visit(server.get(), stranger.get(), nullptr);
  require(third.request.status == 403 && third.request.chain.empty() && third.request.log.client_verify == "NONE",
          "the stranger's visit is not as it should be");
  std::cout << "both of the client's visits had the same chain:\n" << second.request.chain;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}

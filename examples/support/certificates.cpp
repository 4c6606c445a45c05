#include "support/certificates.hpp"

#include <openssl/x509v3.h>

#include <stdexcept>

namespace example {

namespace {

using client_tls::EvpPkeyPtr;
using client_tls::OpensslPtr;
using client_tls::SslCtxPtr;
using client_tls::X509Ptr;

constexpr const char* ca = "critical,CA:TRUE";
constexpr const char* no_ca = "CA:FALSE";

struct Issuer {
  EVP_PKEY* key;
  X509* certificate;
};

EvpPkeyPtr make_key() {
  EvpPkeyPtr key{EVP_EC_gen("P-256")};
  require(key != nullptr, "a key could not be made");
  return key;
}

void set_name(X509* x509, const char* name, const X509* issuer) {
  const OpensslPtr<X509_NAME, X509_NAME_free> subject{X509_NAME_new()};
  X509_NAME_add_entry_by_txt(subject.get(), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(name), -1, -1,
                             0);
  X509_set_subject_name(x509, subject.get());
  X509_set_issuer_name(x509, X509_get_subject_name(issuer));
}

// Self-signed if the issuer's certificate is null.
X509Ptr make_certificate(EVP_PKEY* key, const char* name, const char* constraints, Issuer issuer) {
  X509Ptr certificate{X509_new()};
  X509* x509 = certificate.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509), -60);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  set_name(x509, name, issuer.certificate != nullptr ? issuer.certificate : x509);
  X509_set_pubkey(x509, key);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, constraints);
  X509_add_ext(x509, extension, -1);
  X509_EXTENSION_free(extension);
  require(X509_sign(x509, issuer.key, EVP_sha256()) > 0, "a certificate could not be signed");
  return certificate;
}

void present(SSL_CTX* ssl_ctx, X509* certificate, EVP_PKEY* key) {
  require(SSL_CTX_use_certificate(ssl_ctx, certificate) == 1 && SSL_CTX_use_PrivateKey(ssl_ctx, key) == 1,
          "a certificate could not be used");
}

}  // namespace

void require(bool condition, const char* what) {
  if (!condition) throw std::runtime_error(what);
}

Ca::Ca(const char* name) : key(make_key()), certificate(make_certificate(key.get(), name, ca, {key.get(), nullptr})) {}

SslCtxPtr make_server() {
  SslCtxPtr server{SSL_CTX_new(TLS_server_method())};
  const EvpPkeyPtr key = make_key();
  present(server.get(), make_certificate(key.get(), "Server", no_ca, {key.get(), nullptr}).get(), key.get());
  return server;
}

SslCtxPtr make_client(const Ca& issuer) {
  SslCtxPtr client = make_client();
  const EvpPkeyPtr intermediate_key = make_key();
  const X509Ptr intermediate =
      make_certificate(intermediate_key.get(), "Intermediate", ca, {issuer.key.get(), issuer.certificate.get()});
  const EvpPkeyPtr key = make_key();
  present(client.get(),
          make_certificate(key.get(), "Client", no_ca, {intermediate_key.get(), intermediate.get()}).get(), key.get());
  require(SSL_CTX_add1_chain_cert(client.get(), intermediate.get()) == 1, "a chain could not be used");
  return client;
}

SslCtxPtr make_client() {
  SslCtxPtr client{SSL_CTX_new(TLS_client_method())};
  require(client != nullptr, "no memory for a client");
  return client;
}

}  // namespace example

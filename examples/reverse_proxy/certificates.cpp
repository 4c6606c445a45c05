#include "certificates.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <stdexcept>

namespace reverse_proxy {
namespace {

// OpenSSL's own words for what went wrong last.
std::runtime_error openssl_error(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return std::runtime_error(reason != nullptr ? what + ": " + reason : what);
}

bool at_end_of_file() {
  const unsigned long code = ERR_peek_last_error();
  return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

std::string digest_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) throw openssl_error("cannot be digested");
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string digest_of_set(const std::vector<client_tls::X509Ptr>& certificates) {
  std::vector<std::string> digests;
  digests.reserve(certificates.size());
  for (const auto& certificate : certificates) digests.push_back(digest_of(certificate.get()));
  std::ranges::sort(digests);
  digests.erase(std::ranges::unique(digests).begin(), digests.end());
  std::string all;
  for (const auto& digest : digests) all += digest;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(all.data(), all.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw openssl_error("cannot be digested");
  }
  return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

Anchors read_anchors(const std::filesystem::path& file) {
  ERR_clear_error();
  const client_tls::BioPtr in{BIO_new_file(file.c_str(), "r")};
  if (!in) throw openssl_error("cannot be read");
  Anchors anchors{.certificates = {}, .store = X509StorePtr(X509_STORE_new()), .digest = {}};
  while (X509* certificate = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)) {
    anchors.certificates.emplace_back(certificate);
    if (X509_STORE_add_cert(anchors.store.get(), certificate) != 1) throw openssl_error("cannot be used");
  }
  if (!at_end_of_file()) throw openssl_error("has something that is not a certificate");
  ERR_clear_error();
  if (anchors.certificates.empty()) throw std::runtime_error("has no certificate in it");
  anchors.digest = digest_of_set(anchors.certificates);
  return anchors;
}

client_tls::SslCtxPtr make_server_context(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  ERR_clear_error();
  client_tls::SslCtxPtr context{SSL_CTX_new(TLS_server_method())};
  if (!context) throw openssl_error("no SSL_CTX");
  SSL_CTX* ssl_ctx = context.get();
  SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate.c_str()) != 1) {
    throw openssl_error("the certificate " + certificate.string() + " cannot be used");
  }
  if (SSL_CTX_use_PrivateKey_file(ssl_ctx, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw openssl_error("the key " + key.string() + " cannot be used");
  }
  return context;
}

}  // namespace reverse_proxy

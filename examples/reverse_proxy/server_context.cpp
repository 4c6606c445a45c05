#include "server_context.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace reverse_proxy {
namespace {

// OpenSSL's own words for what went wrong last.
std::runtime_error openssl_error(const std::string& what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return std::runtime_error(reason != nullptr ? what + ": " + reason : what);
}

// Bytes that do not stay in memory.
class Secret {
 public:
  explicit Secret(std::size_t size) : bytes_(size) {}
  ~Secret() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  [[nodiscard]] unsigned char* data() { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  std::vector<unsigned char> bytes_;
};

std::size_t ticket_key_size(SSL_CTX* ssl_ctx) {
  return static_cast<std::size_t>(SSL_CTX_get_tlsext_ticket_keys(ssl_ctx, nullptr, 0));
}

void get_ticket_key(SSL_CTX* ssl_ctx, Secret& key) {
  if (SSL_CTX_get_tlsext_ticket_keys(ssl_ctx, key.data(), static_cast<int>(key.size())) != 1) {
    throw openssl_error("no ticket key");
  }
}

const STACK_OF(X509) * chain_of(SSL_CTX* ssl_ctx) {
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(ssl_ctx, static_cast<void*>(&chain));
  return chain;
}

}  // namespace

client_tls::SslCtxPtr make_server_context(const std::filesystem::path& certificate, const std::filesystem::path& key) {
  ERR_clear_error();
  client_tls::SslCtxPtr context{SSL_CTX_new(TLS_server_method())};
  if (!context) throw openssl_error("no SSL_CTX");
  SSL_CTX* ssl_ctx = context.get();
  SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl_ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_num_tickets(ssl_ctx, 16);  // each name's policy says how many, up to this
  if (SSL_CTX_use_certificate_chain_file(ssl_ctx, certificate.c_str()) != 1) {
    throw openssl_error("the certificate " + certificate.string() + " cannot be used");
  }
  if (SSL_CTX_use_PrivateKey_file(ssl_ctx, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw openssl_error("the key " + key.string() + " cannot be used");
  }
  return context;
}

void use_ticket_key(SSL_CTX* ssl_ctx, const std::filesystem::path& file) {
  Secret key(ticket_key_size(ssl_ctx));
  std::ifstream in;
  in.rdbuf()->pubsetbuf(nullptr, 0);  // no copy of the key but ours
  in.open(file, std::ios::binary);
  if (!in || is_directory(file)) throw std::runtime_error(file.string() + " cannot be read");
  in.read(reinterpret_cast<char*>(key.data()), static_cast<std::streamsize>(key.size()));
  const bool all = in.gcount() == static_cast<std::streamsize>(key.size());
  if (!all || in.peek() != std::ifstream::traits_type::eof()) {
    throw std::runtime_error(file.string() + " must have exactly " + std::to_string(key.size()) + " bytes");
  }
  if (SSL_CTX_set_tlsext_ticket_keys(ssl_ctx, key.data(), static_cast<int>(key.size())) != 1) {
    throw openssl_error("the ticket key cannot be used");
  }
}

bool same_certificate(SSL_CTX* a, SSL_CTX* b) {
  if (X509_cmp(SSL_CTX_get0_certificate(a), SSL_CTX_get0_certificate(b)) != 0) return false;
  const STACK_OF(X509)* chain_a = chain_of(a);
  const STACK_OF(X509)* chain_b = chain_of(b);
  if (sk_X509_num(chain_a) != sk_X509_num(chain_b)) return false;
  for (int i = 0; i < sk_X509_num(chain_a); ++i) {
    if (X509_cmp(sk_X509_value(chain_a, i), sk_X509_value(chain_b, i)) != 0) return false;
  }
  return true;
}

bool same_ticket_key(SSL_CTX* a, SSL_CTX* b) {
  Secret key_a(ticket_key_size(a));
  Secret key_b(ticket_key_size(b));
  get_ticket_key(a, key_a);
  get_ticket_key(b, key_b);
  return key_a.size() == key_b.size() && CRYPTO_memcmp(key_a.data(), key_b.data(), key_a.size()) == 0;
}

}  // namespace reverse_proxy

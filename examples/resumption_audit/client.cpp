#include "client.hpp"

#include <openssl/err.h>

#include <system_error>

namespace resumption_audit {
namespace {

// What went wrong, in words: the first entry of OpenSSL's queue has the cause, the later ones only say where.
std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (ERR_SYSTEM_ERROR(code)) return ": " + std::generic_category().message(ERR_GET_REASON(code));
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? std::string(": ") + reason : std::string();
}

// OpenSSL would ask for a key's password on the terminal.
int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*argument*/) noexcept {
  return -1;
}

void use_certificate(SSL_CTX* ssl_ctx, const CertificateFiles& files) {
  SSL_CTX_set_default_passwd_cb(ssl_ctx, no_password);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(ssl_ctx, files.certificate.c_str()) != 1) {
    throw UsageError("--certificate " + files.certificate + ": cannot be used" + openssl_reason());
  }
  if (SSL_CTX_use_PrivateKey_file(ssl_ctx, files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw UsageError("--certificate " + files.certificate + ": the key in " + files.key + " cannot be used" +
                     openssl_reason());
  }
}

client_tls::SslCtxPtr make_context(const Options& options, Mechanism mechanism, const CertificateFiles* files) {
  client_tls::SslCtxPtr context{SSL_CTX_new(TLS_client_method())};
  if (!context) throw std::runtime_error("no SSL_CTX" + openssl_reason());
  SSL_CTX* ssl_ctx = context.get();
  SSL_CTX_set_min_proto_version(ssl_ctx, version_of(mechanism));
  SSL_CTX_set_max_proto_version(ssl_ctx, version_of(mechanism));
  SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_NONE, nullptr);  // the server is one's own, and it is not what is audited
  SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION);
  if (mechanism == Mechanism::session_id_1_2) SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET);
  static constexpr unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  if (options.http) SSL_CTX_set_alpn_protos(ssl_ctx, http_1_1, sizeof http_1_1);
  if (files != nullptr) use_certificate(ssl_ctx, *files);
  return context;
}

Client make_client(const Options& options, const CertificateFiles* files) {
  Client client{.label = files != nullptr ? files->label : "none", .subject = {}, .contexts = {}};
  for (const Mechanism mechanism : options.mechanisms) {
    client.contexts.emplace(mechanism, make_context(options, mechanism, files));
  }
  const X509* certificate = SSL_CTX_get0_certificate(client.contexts.begin()->second.get());
  if (certificate != nullptr) client.subject = to_text(X509_get_subject_name(certificate));
  return client;
}

}  // namespace

std::vector<Client> make_clients(const Options& options) {
  std::vector<Client> clients;
  clients.push_back(make_client(options, nullptr));
  for (const CertificateFiles& files : options.certificates) clients.push_back(make_client(options, &files));
  return clients;
}

std::string to_text(const X509_NAME* name) {
  const client_tls::BioPtr out{BIO_new(BIO_s_mem())};
  if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return "?";
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace resumption_audit

#include "support/pki.hpp"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <ctime>
#include <memory>

#include "support/require.hpp"

namespace test {
namespace {

void add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, value.c_str());
  X509_EXTENSION_free(extension);
}

void add_filler(X509* certificate, std::size_t size) {
  const std::string bytes(size, '\x5A');
  ASN1_OCTET_STRING* value = ASN1_OCTET_STRING_new();
  ASN1_OBJECT* object = OBJ_txt2obj("1.3.6.1.4.1.55555.1", 1);
  ASN1_OCTET_STRING_set(value, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(size));
  X509_EXTENSION* extension = X509_EXTENSION_create_by_OBJ(nullptr, object, 0, value);
  require(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1, "filler");
  X509_EXTENSION_free(extension);
  ASN1_OBJECT_free(object);
  ASN1_OCTET_STRING_free(value);
}

void add_usage(X509* certificate, X509* issuer, Usage usage) {
  if (usage == Usage::ca) {
    add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return;
  }
  add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE");
  add_extension(certificate, issuer, NID_ext_key_usage, usage == Usage::client ? "clientAuth" : "serverAuth");
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

void set_common_name(X509* certificate, const std::string& text) {
  if (text.empty()) return;
  const client_tls::OpensslPtr<X509_NAME, X509_NAME_free> name{X509_NAME_new()};
  X509_NAME_add_entry_by_txt(name.get(), "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()), -1, 0);
  require(X509_set_subject_name(certificate, name.get()) == 1, "name");
}

client_tls::EvpPkeyPtr make_key(Key key) {
  if (key == Key::ec_p256) return client_tls::EvpPkeyPtr(EVP_EC_gen("P-256"));
  if (key == Key::ec_p384) return client_tls::EvpPkeyPtr(EVP_EC_gen("P-384"));
  if (key == Key::ec_p521) return client_tls::EvpPkeyPtr(EVP_EC_gen("P-521"));
  return client_tls::EvpPkeyPtr(EVP_RSA_gen(key == Key::rsa_2048 ? 2048U : 1024U));
}

}  // namespace

Certificate issue(const CertificateOptions& options, const Certificate* issuer) {
  static std::atomic<long> serial{1};
  Certificate result{.certificate = client_tls::X509Ptr(X509_new()), .key = make_key(options.key)};
  X509* certificate = result.get();
  require(certificate != nullptr && result.key != nullptr, "key");
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  const std::time_t now = std::time(nullptr);
  ASN1_TIME_set(X509_getm_notBefore(certificate), now + options.starts_in);
  ASN1_TIME_set(X509_getm_notAfter(certificate), now + options.ends_in);
  set_common_name(certificate, options.common_name);
  X509* parent = issuer != nullptr ? issuer->get() : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(parent));
  X509_set_pubkey(certificate, result.key.get());
  if (options.extensions.empty()) add_usage(certificate, parent, options.usage);
  for (const auto& [nid, value] : options.extensions) add_extension(certificate, parent, nid, value);
  if (options.extra_bytes > 0) add_filler(certificate, options.extra_bytes);
  EVP_PKEY* signer = issuer != nullptr ? issuer->key.get() : result.key.get();
  require(X509_sign(certificate, signer, EVP_sha256()) > 0, "sign");
  return result;
}

std::string pem_of(const std::vector<X509*>& certificates) {
  const client_tls::BioPtr bio{BIO_new(BIO_s_mem())};
  for (X509* certificate : certificates) require(PEM_write_bio_X509(bio.get(), certificate) == 1, "pem");
  return text_of(bio.get());
}

client_tls::X509CrlPtr issue_crl(const Certificate& issuer, const std::vector<const Certificate*>& revoked,
                                 long starts_in, long ends_in) {
  return issue_list(issuer, {.revoked = revoked, .starts_in = starts_in, .ends_in = ends_in});
}

namespace {

using TimePtr = client_tls::OpensslPtr<ASN1_TIME, ASN1_TIME_free>;
using ExtensionPtr = client_tls::OpensslPtr<X509_EXTENSION, X509_EXTENSION_free>;

TimePtr time_in(long seconds) {
  return TimePtr{ASN1_TIME_set(nullptr, std::time(nullptr) + seconds)};
}

ExtensionPtr crl_extension(X509* issuer, X509_CRL* crl, const std::pair<int, std::string>& extension) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, nullptr, nullptr, crl, 0);
  ExtensionPtr made{X509V3_EXT_conf_nid(nullptr, &context, extension.first, extension.second.c_str())};
  require(made != nullptr, extension.second.c_str());
  return made;
}

void add_entry(X509_CRL* crl, const Certificate& issuer, const Certificate& revoked, const RevocationOptions& options) {
  X509_REVOKED* entry = X509_REVOKED_new();
  X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked.get()));
  X509_REVOKED_set_revocationDate(entry, time_in(options.revoked_in).get());
  for (const auto& extension : options.entry_extensions) {
    X509_REVOKED_add_ext(entry, crl_extension(issuer.get(), crl, extension).get(), -1);
  }
  require(X509_CRL_add0_revoked(crl, entry) == 1, "revoked");
}

}  // namespace

client_tls::X509CrlPtr issue_list(const Certificate& issuer, const RevocationOptions& options) {
  static std::atomic<long> number{1};
  client_tls::X509CrlPtr crl{X509_CRL_new()};
  require(crl != nullptr, "crl");
  X509_CRL_set_version(crl.get(), X509_CRL_VERSION_2);
  X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(issuer.get()));
  X509_CRL_set1_lastUpdate(crl.get(), time_in(options.starts_in).get());
  if (options.ends_in != 0) X509_CRL_set1_nextUpdate(crl.get(), time_in(options.ends_in).get());
  for (const Certificate* certificate : options.revoked) add_entry(crl.get(), issuer, *certificate, options);
  const client_tls::OpensslPtr<ASN1_INTEGER, ASN1_INTEGER_free> crl_number{ASN1_INTEGER_new()};
  ASN1_INTEGER_set(crl_number.get(), options.number != 0 ? options.number : number++);
  X509_CRL_add1_ext_i2d(crl.get(), NID_crl_number, crl_number.get(), 0, 0);
  for (const auto& extension : options.extensions) {
    X509_CRL_add_ext(crl.get(), crl_extension(issuer.get(), crl.get(), extension).get(), -1);
  }
  X509_CRL_sort(crl.get());
  require(X509_CRL_sign(crl.get(), issuer.key.get(), EVP_sha256()) > 0, "sign");
  return crl;
}

std::string pem_of(X509_CRL& crl) {
  const client_tls::BioPtr bio{BIO_new(BIO_s_mem())};
  require(PEM_write_bio_X509_CRL(bio.get(), &crl) == 1, "pem");
  return text_of(bio.get());
}

Pki::Pki()
    : ca1(issue({.common_name = "CA 1", .usage = Usage::ca})),
      intermediate1(issue({.common_name = "Intermediate 1", .usage = Usage::ca}, &ca1)),
      client1(issue({.common_name = "Client 1"}, &intermediate1)),
      ca2(issue({.common_name = "CA 2", .usage = Usage::ca})),
      intermediate2(issue({.common_name = "Intermediate 2", .usage = Usage::ca}, &ca2)),
      client2(issue({.common_name = "Client 2"}, &intermediate2)),
      server(issue({.common_name = "server", .usage = Usage::server})) {}

const Pki& Pki::get() {
  static const Pki pki;
  return pki;
}

}  // namespace test

// Certificates, made when a test asks for them: nothing on disk, nothing that expires with the repository.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "client_tls/openssl_ptr.hpp"

namespace test {

struct Certificate {
  client_tls::X509Ptr certificate;
  client_tls::EvpPkeyPtr key;

  [[nodiscard]] X509* get() const { return certificate.get(); }
};

enum class Usage : std::uint8_t { ca, client, server };
enum class Key : std::uint8_t { ec_p256, ec_p384, ec_p521, rsa_2048, rsa_1024 };

struct CertificateOptions {
  std::string common_name = "test";  // none if empty
  Usage usage = Usage::client;
  long starts_in = -3600;  // seconds from the simulated now
  long ends_in = 30L * 24 * 3600;
  std::size_t extra_bytes = 0;  // in an extension nobody reads
  Key key = Key::ec_p256;
  // In place of the usage's: each by its NID, as in openssl.cnf.
  std::vector<std::pair<int, std::string>> extensions = {};
};

// Self-signed if there is no issuer. Throws std::runtime_error.
Certificate issue(const CertificateOptions& options, const Certificate* issuer = nullptr);

std::string pem_of(const std::vector<X509*>& certificates);  // with PEM_write_bio_X509

// The issuer's revocation list, with these certificates on it; good for a day, or as long as it says.
client_tls::X509CrlPtr issue_crl(const Certificate& issuer, const std::vector<const Certificate*>& revoked = {},
                                 long starts_in = 0, long ends_in = 24L * 3600);

// A list as CAs make it, and as they should not.
struct RevocationOptions {
  std::vector<const Certificate*> revoked = {};
  long starts_in = 0;
  long ends_in = 24L * 3600;  // 0: it names no end
  long number = 0;            // 0: the next one
  long revoked_in = 0;
  // Each by its NID, as in openssl.cnf: of the list, and of each entry.
  std::vector<std::pair<int, std::string>> extensions = {};
  std::vector<std::pair<int, std::string>> entry_extensions = {};
};
client_tls::X509CrlPtr issue_list(const Certificate& issuer, const RevocationOptions& options);
std::string pem_of(X509_CRL& crl);

// What most tests need, made once per process: two CAs with an intermediate each, and certificates below them.
struct Pki {
  Certificate ca1, intermediate1, client1;
  Certificate ca2, intermediate2, client2;
  Certificate server;

  static const Pki& get();

 private:
  Pki();
};

}  // namespace test

// Everything that a PEM file has, or an error.
#include "client_tls/pem.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support/catch.hpp"
#include "support/pki.hpp"

using namespace client_tls;
using namespace test;

namespace {

std::string key_pem() {
  const BioPtr bio{BIO_new(BIO_s_mem())};
  PEM_write_bio_PrivateKey(bio.get(), Pki::get().ca1.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string relabelled(std::string pem, const std::string& label) {
  for (const char* mark : {"BEGIN CERTIFICATE", "END CERTIFICATE"}) {
    const std::string_view old = mark;
    pem.replace(pem.find(old), old.size(), std::string(old.substr(0, old.find(' ') + 1)) + label);
  }
  return pem;
}

// A file with this text, removed at the end.
class TextFile {
 public:
  explicit TextFile(std::string_view text) {
    std::string name = (std::filesystem::temp_directory_path() / "pem_test.XXXXXX").string();
    std::FILE* file = fdopen(mkstemp(name.data()), "wb");
    REQUIRE(file != nullptr);
    REQUIRE(std::fwrite(text.data(), 1, text.size(), file) == text.size());
    std::fclose(file);
    path_ = name;
  }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  ~TextFile() { std::filesystem::remove(path_); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace

TEST_CASE("pem: all certificates, in their order, from a text and from a file") {
  const Pki& pki = Pki::get();
  const std::string text = "a word before\n" + pem_of({pki.ca2.get()}) + "\nand between\n" + pem_of({pki.ca1.get()});
  const TextFile file(text);
  for (const auto& certificates : {parse_certificates(text), read_certificates(file.path())}) {
    REQUIRE(certificates);
    REQUIRE(certificates->size() == 2);
    CHECK(X509_cmp((*certificates)[0].get(), pki.ca2.get()) == 0);
    CHECK(X509_cmp((*certificates)[1].get(), pki.ca1.get()) == 0);
  }
}

TEST_CASE("pem: revocation lists are read, and are no certificates") {
  const std::string crl = pem_of(*issue_crl(Pki::get().ca1));
  const TextFile file(crl + crl);
  CHECK(parse_crls(crl)->size() == 1);
  CHECK(read_crls(file.path())->size() == 2);
  CHECK(parse_crls(pem_of({Pki::get().ca1.get()})).error().message == "it has a PEM block that is not an X509 CRL");
  CHECK(parse_certificates(crl).error().message == "it has a PEM block that is not a CERTIFICATE");
}

TEST_CASE("pem: what is not only certificates is an error, and nothing is returned") {
  const std::string one = pem_of({Pki::get().ca1.get()});
  const std::string header = "-----BEGIN CERTIFICATE-----\n";
  const std::string footer = "-----END CERTIFICATE-----\n";
  struct Case {
    const char* name;
    std::string text;
    std::string_view message;
  };
  const std::string_view none = "there is no certificate in it";
  const std::string_view bad = "it has a certificate that does not decode";
  const std::string_view block = "it has a PEM block that does not decode";
  const std::string_view other = "it has a PEM block that is not a CERTIFICATE";
  const Case cases[] = {
      {"nothing", "", none},
      {"other text", "no PEM at all\n", none},
      {"DER", std::string("\x30\x82\x01\x00", 4), none},
      {"a key", key_pem(), other},
      {"a key behind it", one + key_pem(), other},
      {"a trusted certificate", relabelled(one, "TRUSTED CERTIFICATE"), other},
      {"an old label", relabelled(one, "X509 CERTIFICATE"), other},
      {"an empty block", header + footer, block},
      {"no DER in it", header + "AAAA\n" + footer, bad},
      {"no base64 in it", header + "????\n" + footer, block},
      {"the second one is cut off", one + one.substr(0, one.size() / 2), block},
      {"the second one has no end", one + header + "AAAA\n", block},
      {"headers of encryption", header + "Proc-Type: 4,ENCRYPTED\nDEK-Info: x,00\n\n" + one.substr(header.size()), bad},
  };
  for (const Case& one_case : cases) {
    DYNAMIC_SECTION(one_case.name) {
      const TextFile file(one_case.text);
      for (const auto& certificates : {parse_certificates(one_case.text), read_certificates(file.path())}) {
        REQUIRE_FALSE(certificates);
        CHECK(certificates.error().code == Errc::malformed);
        CHECK(certificates.error().message == one_case.message);
      }
      CHECK(ERR_peek_error() == 0);
    }
  }
}

TEST_CASE("pem: bytes behind the certificate, in its own block, are an error") {
  unsigned char* der = nullptr;
  const int size = i2d_X509(Pki::get().ca1.get(), &der);
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  bytes += '\0';
  const BioPtr bio{BIO_new(BIO_s_mem())};
  PEM_write_bio(bio.get(), PEM_STRING_X509, "", reinterpret_cast<const unsigned char*>(bytes.data()), size + 1);
  char* data = nullptr;
  const long text_size = BIO_get_mem_data(bio.get(), &data);
  const auto certificates = parse_certificates({data, static_cast<std::size_t>(text_size)});
  REQUIRE_FALSE(certificates);
  CHECK(certificates.error().message == "it has a certificate that does not decode");
}

TEST_CASE("pem: a file of two certificates that is cut off has one of them, or is an error") {
  const std::string one = pem_of({Pki::get().ca1.get()});
  const std::string two = one + pem_of({Pki::get().ca2.get()});
  const std::size_t begin_line = std::string_view("-----BEGIN CERTIFICATE-----").size();
  for (std::size_t size = 0; size < two.size(); ++size) {
    const auto certificates = parse_certificates(std::string_view(two).substr(0, size));
    // Only as long as nothing of the second block can be seen is the first a whole file; its last newline may lack.
    const bool whole = (size + 1 >= one.size() && size < one.size() + begin_line) || size + 1 == two.size();
    CAPTURE(size, one.size(), two.size());
    CHECK(certificates.has_value() == whole);
  }
}

TEST_CASE("pem: a file that cannot be read says why") {
  const auto missing = read_certificates("/nowhere/at/all.pem");
  REQUIRE_FALSE(missing);
  CHECK(missing.error() == Error{.code = Errc::unreadable, .message = "it cannot be read", .openssl_reason = ENOENT});
  const auto folder = read_crls(std::filesystem::temp_directory_path());
  REQUIRE_FALSE(folder);
  CHECK(folder.error() == Error{.code = Errc::unreadable, .message = "it cannot be read", .openssl_reason = EISDIR});
  CHECK(read_certificates("").error().code == Errc::unreadable);
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("pem: a text without an end is refused, not read") {
  const auto endless = read_certificates("/dev/zero");
  REQUIRE_FALSE(endless);
  CHECK(endless.error().code == Errc::invalid_argument);
  CHECK(endless.error().message == "it is larger than 64 MiB");
}

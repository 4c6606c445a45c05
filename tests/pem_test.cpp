// Everything that a PEM file has, or an error.
#include "client_tls/pem.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
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

std::string utf16(std::string_view text) {
  std::string wide;
  for (const char c : text) (wide += c) += '\0';
  return wide;
}

// In place of the n-th line (from 1 on).
std::string with_line(std::string_view text, std::size_t number, const std::string& line) {
  std::string result;
  for (std::size_t at = 1; !text.empty(); ++at) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    result += at == number ? line + "\n" : std::string(text.substr(0, end));
    text.remove_prefix(end);
  }
  return result;
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
  CHECK(parse_crls(pem_of({Pki::get().ca1.get()})).error().message ==
        "it has a certificate, and revocation lists (X509 CRL) are wanted");
  CHECK(parse_certificates(crl).error().message == "it has a revocation list, and certificates are wanted");
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
  const std::string_view no_base64 = "it has a block that is not base64, or is cut off";
  const std::string_view no_end = "it has a block without an END line";
  const Case cases[] = {
      {"nothing", "", none},
      {"other text", "no PEM at all\n", none},
      {"a key", key_pem(), "it has a private key"},
      {"a key behind it", one + key_pem(), "it has a private key"},
      {"an encrypted key", relabelled(one, "ENCRYPTED PRIVATE KEY"), "it has an encrypted private key"},
      {"a trusted certificate", relabelled(one, "TRUSTED CERTIFICATE"),
       "it has a TRUSTED CERTIFICATE, with trust settings: a CERTIFICATE is wanted"},
      {"an old label", relabelled(one, "X509 CERTIFICATE"),
       "it has an X509 CERTIFICATE: the label CERTIFICATE is wanted"},
      {"a request", relabelled(one, "CERTIFICATE REQUEST"), "it has a certificate request"},
      {"PKCS #7", relabelled(one, "PKCS7"), "it has PKCS #7 data"},
      {"something else", relabelled(one, "SOMETHING ELSE"), "it has a PEM block that is not a CERTIFICATE"},
      {"an empty block", header + footer, "it has an empty block"},
      {"no DER in it", header + "AAAA\n" + footer, bad},
      {"no base64 in it", header + "????\n" + footer, "it has a block with a line that is not base64"},
      {"base64 that is cut off", header + "AAAAA\n" + footer, no_base64},
      {"base64 with stray bits", header + "AAB=\n" + footer, no_base64},
      {"base64 after its end", header + "AAA=\nAAAA\n" + footer, "it has base64 after its end"},
      {"the second one is cut off", one + one.substr(0, one.size() / 2), no_end},
      {"the second one has no end", one + header + "AAAA\n", no_end},
      {"headers of encryption", header + "Proc-Type: 4,ENCRYPTED\nDEK-Info: x,00\n\n" + one.substr(header.size()),
       "it has an encrypted block"},
      {"another header", header + "Comment: x\n\n" + one.substr(header.size()), "it has a block with a header"},
      {"DER", std::string("\x30\x82\x01\x00", 4), "it is DER, and not PEM"},
      {"PKCS #12", std::string("\x30\x82\x01\x00\x02\x01\x03\x30", 8), "it is PKCS #12, and not PEM"},
      {"a key in DER", std::string("\x30\x82\x01\x00\x02\x01\x00\x30", 8), "it is a private key in DER, and not PEM"},
      {"UTF-16 with a byte order mark", "\xFF\xFE" + utf16(one), "it is UTF-16, and not ASCII"},
      {"UTF-16", utf16(one), "it is UTF-16, and not ASCII"},
      {"a NUL", one + std::string(1, '\0') + one, "it has a NUL"},
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
  const std::size_t begin_line = std::string_view("-----BEGIN").size();
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

TEST_CASE("pem: a BEGIN or END in any other spelling is an error with its line, never a block that is passed over") {
  const std::string one = pem_of({Pki::get().ca1.get()});
  const auto lines = static_cast<std::size_t>(std::count(one.begin(), one.end(), '\n'));
  const char* const spellings[] = {
      " -----# CERTIFICATE-----",
      "\t-----# CERTIFICATE-----",
      "----# CERTIFICATE-----",
      "-----# CERTIFICATE----",
      "-----# CERTIFICATE",
      "-# CERTIFICATE-",
      "# CERTIFICATE-----",
      "# CERTIFICATE",
      "------# CERTIFICATE------",
      "----- # CERTIFICATE -----",
      "- - - - -# CERTIFICATE- - - - -",
      "-----#  CERTIFICATE-----",
      "-----# CERTIFICATE -----",
      "-----#CERTIFICATE-----",
      "-----#\tCERTIFICATE-----",
      "-----#-----",
      "-----# -----",
      "-----#",
      "> -----# CERTIFICATE-----",
      "a word -----# CERTIFICATE-----",
      "-----# CERTIFICATE----- a word",
      "\"-----# CERTIFICATE-----\",",
      "'-----# CERTIFICATE-----\\n' +",
      "\xE2\x80\x94\xE2\x80\x94-# CERTIFICATE-----",  // em dashes
      "\xE2\x80\x93# CERTIFICATE\xE2\x80\x93",        // en dashes
      "\x96# CERTIFICATE\x96",                        // the same in Windows' encoding
      "\xE2\x88\x92\xE2\x88\x92# CERTIFICATE",        // minus signs
      "\xC2\xA0-----# CERTIFICATE-----",              // a no-break space
      "-----#\xC2\xA0 CERTIFICATE-----",
      "\xEF\xBB\xBF-----# CERTIFICATE-----",  // a byte order mark in the middle
      "*****# CERTIFICATE*****",
      "=====# CERTIFICATE=====",
      "\f-----# CERTIFICATE-----",
  };
  for (const std::string_view spelling : spellings) {
    for (const std::string_view word : {"BEGIN", "END", "begin", "end", "Begin", "eNd"}) {
      std::string line(spelling);
      line.replace(line.find('#'), 1, word);
      const bool begins = word.size() == 5;
      const std::string damaged = with_line(one, begins ? 1 : lines, line);
      CAPTURE(line);
      // First, in the middle, last.
      for (const std::size_t before : {std::size_t{0}, std::size_t{1}, std::size_t{2}}) {
        std::string text;
        for (std::size_t i = 0; i < 3; ++i) text += i == before ? damaged : one;
        const bool at_the_start = line.starts_with("\xEF\xBB\xBF-----B") && before == 0;  // is as it should be there
        const auto read = parse_certificates(text);
        if (at_the_start) continue;
        REQUIRE_FALSE(read);
        CHECK(read.error().code == Errc::malformed);
        CHECK(read.error().position == before * lines + (begins ? 1 : lines));
        if (!line.starts_with("\xEF\xBB\xBF")) CHECK_FALSE(parse_certificates(damaged));
      }
    }
    for (const std::string_view word :
         {"-----begin CERTIFICATE-----", "-----BEGIN certificate-----", "-----Begin Certificate-----"}) {
      CHECK_FALSE(parse_certificates(one + with_line(one, 1, std::string(word))));
    }
  }
}

TEST_CASE("pem: lines that are gone, doubled or stray are an error with the line") {
  const std::string one = pem_of({Pki::get().ca1.get()});
  const auto lines = static_cast<std::size_t>(std::count(one.begin(), one.end(), '\n'));
  const std::string body = one.substr(one.find('\n') + 1, one.find("-----END") - one.find('\n') - 1);
  struct Row {
    const char* name;
    std::string text;
    std::string_view message;
    std::size_t line;
  };
  const std::string header = "-----BEGIN CERTIFICATE-----\n";
  const std::string footer = "-----END CERTIFICATE-----\n";
  const Row rows[] = {
      {"no END", one + header + body + one, "it has a block without an END line", lines + 1},
      {"no END at the end", one + header + body, "it has a block without an END line", lines + 1},
      {"no BEGIN", one + body + footer, "it has base64 outside of a block", lines + 1},
      {"neither", one + body, "it has base64 outside of a block", lines + 1},
      {"END twice", one + footer + one, "it has an END line without its BEGIN", lines + 1},
      {"BEGIN twice", one + header + one, "it has a block without an END line", lines + 1},
      {"another label at the end", header + body + "-----END X509 CRL-----\n",
       "it has an END line with another label than its BEGIN", lines},
      {"END and BEGIN on one line", header + body + footer.substr(0, footer.size() - 1) + header + body + footer,
       "it has an END line that is not exactly -----END and a label-----", lines},
      {"text within", header + "a word\n" + body + footer, "it has a block with a line that is not base64", 2},
      {"a carriage return within a line", one + "a word\rand another\n", "it has a carriage return that ends no line",
       lines + 1},
      {"a NUL", one + "a\n" + std::string(1, '\0') + "\n", "it has a NUL", lines + 2},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto read = parse_certificates(row.text);
    REQUIRE_FALSE(read);
    CHECK(read.error().message == row.message);
    CHECK(read.error().position == row.line);
  }
  std::string cr = one + one;
  std::replace(cr.begin(), cr.end(), '\n', '\r');
  CHECK(parse_certificates(cr).error().message == "it has a carriage return that ends no line");
}

TEST_CASE("pem: revocation lists are read as strictly, so that nobody is let in for a space") {
  const std::string first = pem_of(*issue_crl(Pki::get().ca1));
  const std::string second = pem_of(*issue_crl(Pki::get().ca2, {&Pki::get().client2}));
  for (const char* mark : {" -----BEGIN X509 CRL-----", "----BEGIN X509 CRL-----", "-----begin x509 crl-----",
                           "-----BEGIN X.509 CRL-----", "-----BEGIN CRL-----", "\xE2\x80\x94 BEGIN X509 CRL"}) {
    CAPTURE(mark);
    CHECK_FALSE(parse_crls(first + with_line(second, 1, mark)));
    CHECK_FALSE(parse_crls(with_line(second, 1, mark) + first));
  }
  CHECK(parse_crls(first + second)->size() == 2);
}

TEST_CASE("pem: what people have around and in their files is no error") {
  const std::string one = pem_of({Pki::get().ca1.get()});
  const auto good = [](const std::string& text) {
    const auto read = parse_certificates(text);
    if (!read) UNSCOPED_INFO(read.error().position << ": " << read.error().message);
    return read && read->size() == 1;
  };
  std::string crlf;
  for (const char c : one) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  CHECK(good(crlf));
  CHECK(good("\xEF\xBB\xBF" + one));
  CHECK(good(one.substr(0, one.size() - 1)));
  CHECK(good(with_line(one, 1, "-----BEGIN CERTIFICATE-----  \t")));
  CHECK(good(with_line(one, 2, "\n" + one.substr(one.find('\n') + 1, one.find('\n', 30) - one.find('\n') - 1))));
  for (const char* text : {"# Begin of the list",
                           "# End of file",
                           "The end.",
                           "subject=CN = The End",
                           "notBefore=Nov 26 2026",
                           "Weekend Trust CA",
                           "END",
                           "end-entity certificates follow",
                           "GlobalSign Root CA\n==================",
                           "Bag Attributes\n    localKeyID: 01\nsubject=/CN=x",
                           "        Signature Algorithm: ecdsa-with-SHA256",
                           "         30:45:02:20:1d:44",
                           "Certificate chain",
                           " 0 s:CN = a.test",
                           "---",
                           "-----",
                           "----- -----",
                           "# Ende der Liste \xE2\x80\x93 \xC3\xBC",
                           "\xC3\xA9tendue",
                           "SHA256 Fingerprint=AA:BB"}) {
    CAPTURE(text);
    CHECK(good(text + std::string("\n") + one));
    CHECK(good(one + text));
  }
}

TEST_CASE("pem: a long text costs no more than its length") {
  // Would take hours if each mark looked at the whole line.
  for (const char* piece : {"END CRL ", "-END ", "- - ", "BEGIN", "\xE2\x80\x94", "END CERTIFICATE."}) {
    std::string text = "x ";
    while (text.size() < 4'000'000) text += piece;
    (void)parse_certificates(text);
  }
}

#include "client_tls/pem.hpp"

#include <openssl/pem.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "errors.hpp"
#include "pem_blocks.hpp"

namespace client_tls {
namespace {

// What a kind of block is called, and how its contents decode.
struct Certificates {
  using Handle = X509Ptr;
  static constexpr std::string_view label = PEM_STRING_X509;
  static constexpr std::string_view none = "there is no certificate in it";
  static constexpr std::string_view other = "it has a PEM block that is not a CERTIFICATE";
  static constexpr std::string_view bad = "it has a certificate that does not decode";
  static X509* decode(const unsigned char** in, long size) noexcept { return d2i_X509(nullptr, in, size); }
};
struct Crls {
  using Handle = X509CrlPtr;
  static constexpr std::string_view label = PEM_STRING_X509_CRL;
  static constexpr std::string_view none = "there is no revocation list in it";
  static constexpr std::string_view other = "it has a PEM block that is not an X509 CRL";
  static constexpr std::string_view bad = "it has a revocation list that does not decode";
  static X509_CRL* decode(const unsigned char** in, long size) noexcept { return d2i_X509_CRL(nullptr, in, size); }
};

struct Label {
  std::string_view label, message;
};
constexpr Label other_labels[] = {
    {PEM_STRING_X509, "it has a certificate, and revocation lists (X509 CRL) are wanted"},
    {PEM_STRING_X509_CRL, "it has a revocation list, and certificates are wanted"},
    {PEM_STRING_X509_TRUSTED, "it has a TRUSTED CERTIFICATE, with trust settings: a CERTIFICATE is wanted"},
    {PEM_STRING_X509_OLD, "it has an X509 CERTIFICATE: the label CERTIFICATE is wanted"},
    {PEM_STRING_X509_REQ, "it has a certificate request"},
    {PEM_STRING_X509_REQ_OLD, "it has a certificate request"},
    {PEM_STRING_PKCS7, "it has PKCS #7 data"},
    {PEM_STRING_CMS, "it has CMS data"},
    {PEM_STRING_PKCS8, "it has an encrypted private key"},
};

// What a block of another kind is.
std::string_view what_is(std::string_view label, std::string_view otherwise) noexcept {
  for (const Label& other : other_labels) {
    if (label == other.label) return other.message;
  }
  return label.ends_with("PRIVATE KEY") ? "it has a private key" : otherwise;
}

template <class Kind>
typename Kind::Handle decode_once(const PemBlock& block) noexcept {
  const unsigned char* in = block.bytes.data();
  typename Kind::Handle object{Kind::decode(&in, static_cast<long>(block.bytes.size()))};
  if (in != block.bytes.data() + block.bytes.size()) object.reset();
  return object;
}

template <class Kind>
Result<typename Kind::Handle> decode(const PemBlock& block) noexcept {
  if (block.label != Kind::label) return failure(Errc::malformed, what_is(block.label, Kind::other), block.line);
  auto object = decode_once<Kind>(block);
  if (object) return object;
  if (!memory_is_there()) return failure(Errc::out_of_memory, "out of memory");
  object = decode_once<Kind>(block);
  if (!object) return failure(Errc::malformed, Kind::bad, block.line);
  return object;
}

template <class Kind>
using All = std::vector<typename Kind::Handle>;

template <class Kind>
Result<All<Kind>> decode_all(PemReader reader) {
  if (auto text = reader.check(); !text) return text.error();
  All<Kind> all;
  for (std::optional<PemBlock> block;; block.reset()) {
    if (auto read = reader.next(block); !read) return read.error();
    if (!block) break;
    auto object = decode<Kind>(*block);
    if (!object) return object.error();
    all.push_back(*std::move(object));
  }
  if (all.empty()) return failure(Errc::malformed, Kind::none);
  return all;
}

template <class Kind>
Result<All<Kind>> parse(std::string_view pem) noexcept {
  if (pem.size() > max_pem_size) return failure(Errc::invalid_argument, "it is larger than 64 MiB");
  const ErrorQueueMark mark;
  return or_out_of_memory([&] { return decode_all<Kind>(PemReader(pem)); });
}

using File = OpensslPtr<std::FILE, std::fclose>;

Error unreadable() noexcept {
  return {.code = Errc::unreadable, .message = "it cannot be read", .openssl_reason = errno};
}

Result<std::string> read(const std::filesystem::path& path) noexcept {
  return or_out_of_memory([&]() -> Result<std::string> {
    const File file{std::fopen(path.c_str(), "rb")};
    if (!file) return unreadable();
    std::string text;
    std::array<char, 65'536> piece;
    while (std::feof(file.get()) == 0) {
      const std::size_t size = std::fread(piece.data(), 1, piece.size(), file.get());
      if (std::ferror(file.get()) != 0) return unreadable();  // a folder, for instance
      if (text.size() + size > max_pem_size) return failure(Errc::invalid_argument, "it is larger than 64 MiB");
      text.append(piece.data(), size);
    }
    return text;
  });
}

template <class Kind>
Result<All<Kind>> parse_file(const std::filesystem::path& path) noexcept {
  const auto text = read(path);
  if (!text) return text.error();
  return parse<Kind>(*text);
}

}  // namespace

Result<std::vector<X509Ptr>> parse_certificates(std::string_view pem) noexcept {
  return parse<Certificates>(pem);
}

Result<std::vector<X509Ptr>> read_certificates(const std::filesystem::path& file) noexcept {
  return parse_file<Certificates>(file);
}

Result<std::vector<X509CrlPtr>> parse_crls(std::string_view pem) noexcept {
  return parse<Crls>(pem);
}

Result<std::vector<X509CrlPtr>> read_crls(const std::filesystem::path& file) noexcept {
  return parse_file<Crls>(file);
}

}  // namespace client_tls

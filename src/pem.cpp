#include "client_tls/pem.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <string>

#include "errors.hpp"

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

struct Block {
  OpensslPtr<char, [](void* memory) { OPENSSL_free(memory); }> name, header;
  OpensslPtr<unsigned char, [](void* memory) { OPENSSL_free(memory); }> data;
  long size = 0;
};

// The next block; a null name at the end of the text.
Result<Block> next_block(BIO* in) noexcept {
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  Block block;
  if (PEM_read_bio(in, &name, &header, &data, &block.size) != 1) {
    const unsigned long code = ERR_peek_last_error();
    if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE) return block;
    const Error error = openssl_failure("it has a PEM block that does not decode");
    return error.code == Errc::openssl ? failure(Errc::malformed, error.message) : error;
  }
  block.name.reset(name);
  block.header.reset(header);
  block.data.reset(data);
  return block;
}

template <class Kind>
Result<typename Kind::Handle> decode(const Block& block) noexcept {
  if (block.name.get() != Kind::label) return failure(Errc::malformed, Kind::other);
  if (*block.header != '\0') return failure(Errc::malformed, Kind::bad);  // encrypted
  const unsigned char* in = block.data.get();
  typename Kind::Handle object{Kind::decode(&in, block.size)};
  if (!object || in != block.data.get() + block.size) return failure(Errc::malformed, Kind::bad);
  return object;
}

template <class Kind>
using All = std::vector<typename Kind::Handle>;

template <class Kind>
Result<All<Kind>> decode_all(BIO* in) {
  All<Kind> all;
  while (true) {
    const auto block = next_block(in);
    if (!block) return block.error();
    if (!block->name) break;
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
  const BioPtr in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
  if (!in) return failure(Errc::out_of_memory, "out of memory");
  return or_out_of_memory([&] { return decode_all<Kind>(in.get()); });
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

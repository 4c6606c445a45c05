#include "pem_writer.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <utility>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::string_view header = "-----BEGIN CERTIFICATE-----\n";
constexpr std::string_view footer = "-----END CERTIFICATE-----\n";
constexpr std::size_t bytes_per_line = 48;  // 64 characters

std::size_t pem_size(ByteView list) noexcept {
  std::size_t total = 0;
  for (ByteView der = take_certificate(list); !der.empty(); der = take_certificate(list)) {
    const std::size_t lines = (der.size() + bytes_per_line - 1) / bytes_per_line;
    total += header.size() + (der.size() + 2) / 3 * 4 + lines + footer.size();
  }
  return total;
}

char* write_certificate(ByteView der, char* out) noexcept {
  out = std::ranges::copy(header, out).out;
  while (!der.empty()) {
    const ByteView line = der.first(std::min(der.size(), bytes_per_line));
    // EVP_EncodeBlock ends with a NUL, which the line's end then overwrites.
    out += EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out), line.data(), static_cast<int>(line.size()));
    *out++ = '\n';
    der = der.subspan(line.size());
  }
  return std::ranges::copy(footer, out).out;
}

char* write_list(ByteView list, char* out) noexcept {
  for (ByteView der = take_certificate(list); !der.empty(); der = take_certificate(list)) {
    out = write_certificate(der, out);
  }
  return out;
}

}  // namespace

Result<Pem> make_pem(ByteView first, ByteView second) noexcept {
  const std::size_t size = pem_size(first) + pem_size(second);
  if (size == 0) return Pem{};
  return or_out_of_memory([&]() -> Result<Pem> {
    auto bytes = std::make_unique_for_overwrite<char[]>(size);
    write_list(second, write_list(first, bytes.get()));
    return Pem{.bytes = std::move(bytes), .size = size};
  });
}

}  // namespace client_tls

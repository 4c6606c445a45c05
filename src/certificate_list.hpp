// Certificates in one run of bytes: each its length in three bytes, then its DER, as in the Certificate message of TLS
// 1.2 (RFC 5246, section 7.4.2).
#pragma once

#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <span>

#include "client_tls/result.hpp"

namespace client_tls {

using ByteView = std::span<const unsigned char>;

// Bytes of a size known beforehand. Its allocation fails with a null pointer: it is made inside C callbacks.
struct Buffer {
  std::unique_ptr<unsigned char[]> bytes;
  std::size_t size = 0;

  [[nodiscard]] ByteView view() const noexcept { return {bytes.get(), size}; }
};
[[nodiscard]] Result<Buffer> make_buffer(std::size_t size) noexcept;

// Big-endian numbers of N bytes.
template <std::size_t N, class T>
void put_number(unsigned char* out, T value) noexcept {
  for (std::size_t i = 0; i < N; ++i) out[i] = static_cast<unsigned char>(value >> (8 * (N - 1 - i)));
}
template <std::size_t N>
[[nodiscard]] std::uint64_t get_number(const unsigned char* in) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < N; ++i) value = value << 8U | in[i];
  return value;
}

inline constexpr std::size_t certificate_length_size = 3;

// How many bytes the certificates take, 0 for none; encode_certificates then writes them. A null stack is empty.
[[nodiscard]] Result<std::size_t> encoded_size(const X509* leaf, const STACK_OF(X509) * others) noexcept;
[[nodiscard]] unsigned char* encode_certificates(const X509* leaf, const STACK_OF(X509) * others,
                                                 unsigned char* out) noexcept;

// Takes the first certificate's DER off the list; empty if the list is, or if what is there is not a whole entry.
[[nodiscard]] ByteView take_certificate(ByteView& list) noexcept;

// Whether the list is whole entries and nothing else.
[[nodiscard]] bool well_formed(ByteView list) noexcept;

}  // namespace client_tls

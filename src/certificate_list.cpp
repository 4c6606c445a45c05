#include "certificate_list.hpp"

#include <new>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::size_t max_certificate_size = 0xFFFFFF;

// Returns the position behind the entry.
unsigned char* encode_certificate(const X509* certificate, unsigned char* out) noexcept {
  unsigned char* der = out + certificate_length_size;
  const int size = i2d_X509(certificate, &der);
  put_number<certificate_length_size>(out, static_cast<unsigned>(size));
  return der;
}

}  // namespace

Result<Buffer> make_buffer(std::size_t size) noexcept {
  Buffer buffer{.bytes = std::unique_ptr<unsigned char[]>(new (std::nothrow) unsigned char[size]), .size = size};
  if (!buffer.bytes) return failure(Errc::out_of_memory, "out of memory");
  return buffer;
}

Result<std::size_t> encoded_size(const X509* leaf, const STACK_OF(X509) * others) noexcept {
  std::size_t total = 0;
  const auto add = [&](const X509* certificate) {
    const int size = i2d_X509(certificate, nullptr);
    if (size <= 0 || static_cast<std::size_t>(size) > max_certificate_size) return false;
    total += certificate_length_size + static_cast<std::size_t>(size);
    return true;
  };
  bool good = leaf == nullptr || add(leaf);
  for (int i = 0; good && i < sk_X509_num(others); ++i) good = add(sk_X509_value(others, i));
  if (!good) return openssl_failure("a certificate could not be encoded");
  return total;
}

unsigned char* encode_certificates(const X509* leaf, const STACK_OF(X509) * others, unsigned char* out) noexcept {
  if (leaf != nullptr) out = encode_certificate(leaf, out);
  for (int i = 0; i < sk_X509_num(others); ++i) out = encode_certificate(sk_X509_value(others, i), out);
  return out;
}

ByteView take_certificate(ByteView& list) noexcept {
  if (list.size() <= certificate_length_size) return {};
  const auto size = static_cast<std::size_t>(get_number<certificate_length_size>(list.data()));
  if (size > list.size() - certificate_length_size) return {};
  const ByteView der = list.subspan(certificate_length_size, size);
  list = list.subspan(certificate_length_size + size);
  return der;
}

bool well_formed(ByteView list) noexcept {
  while (!list.empty()) {
    if (take_certificate(list).empty()) return false;
  }
  return true;
}

}  // namespace client_tls

// Certificates as text.
#pragma once

#include <memory>
#include <string_view>

#include "certificate_list.hpp"

namespace client_tls {

// A text of PEM blocks (RFC 7468), in the bytes that PEM_write_bio_X509 would write.
struct Pem {
  std::shared_ptr<const char[]> bytes;
  std::size_t size = 0;

  [[nodiscard]] std::string_view view() const noexcept { return {bytes.get(), size}; }
};

// The certificates of one well-formed list and then of another, in order. Allocates exactly what it needs.
[[nodiscard]] Result<Pem> make_pem(ByteView first, ByteView second) noexcept;

}  // namespace client_tls

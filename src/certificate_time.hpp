// The times that certificates and lists say.
#pragma once

#include <openssl/asn1.h>

#include <cstdint>

namespace client_tls {

// Seconds since the epoch; a time that cannot be read has passed.
[[nodiscard]] std::int64_t seconds_since_epoch(const ASN1_TIME* time) noexcept;

}  // namespace client_tls

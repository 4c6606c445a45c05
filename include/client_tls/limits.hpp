// What a client may send, and what a session may carry of it.
#pragma once

#include <cstddef>

#include "client_tls/export.hpp"

namespace client_tls {

// The defaults are for certificates as they are in use.
struct Limits {
  // The longest Certificate message of the client, in bytes: 1 to max_limit_bytes. Longer: alert illegal_parameter,
  // before anything is decoded (SSL_set_max_cert_list).
  std::size_t max_chain_bytes = std::size_t{32} * 1024;
  // The most certificates the client may send, the leaf included: 1 to 100. More: alert unknown_ca.
  std::size_t max_chain_certificates = 10;
  // The most bytes of intermediate certificates that a session may carry, 3 bytes for each certificate included: 0 to
  // max_limit_bytes. They lengthen every ticket. A chain over it makes its session not resumable, never shorter.
  std::size_t max_carried_bytes = 2048;

  static constexpr std::size_t max_limit_bytes = 60'000;
};

// The longest scope that bind_session takes, in bytes.
inline constexpr std::size_t max_scope_size = 4096;

}  // namespace client_tls

// The format that travels: what a session carries of a client that presented a certificate, in its ticket appdata.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>

#include "certificate_list.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/verdict.hpp"

namespace client_tls {

inline void free_certificates(STACK_OF(X509) * certificates) noexcept {
  sk_X509_pop_free(certificates, X509_free);
}
using X509StackPtr = OpensslPtr<STACK_OF(X509), free_certificates>;

// The version of what travels: another one is another session id context, and other digests of policies.
inline constexpr unsigned char session_format = 2;

// An error of a verification, as it is recorded and travels.
struct RecordedReason {
  std::uint16_t code = 0;  // Reason::code
  std::uint8_t depth = 0;

  friend bool operator==(const RecordedReason&, const RecordedReason&) = default;
};

// What a policy's leniency has let pass.
enum Leniency : std::uint8_t { expired_tolerated = 1, server_purpose_tolerated = 2 };

// What is known of a client that presented a certificate.
struct Authentication {
  std::int64_t authenticated_at = 0;  // seconds since the epoch
  std::array<RecordedReason, Verdict::max_reasons> reasons{};
  std::uint8_t reason_count = 0;
  std::uint8_t leniency = 0;  // bits of Leniency
  X509StackPtr shown;         // what the client sent, where somebody is told of it

  void add(int code, int depth) noexcept;  // each once; beyond the most, no more
};

struct Envelope {
  std::int64_t not_after;
  ByteView leaf_digest;
  Authentication authentication;
  ByteView certificates;
};

// The envelope in a session, if it is one of ours, and whole. Its views live as long as the session.
[[nodiscard]] Result<Envelope> open_envelope(SSL_SESSION* session) noexcept;

// Whether the envelope was made for this leaf.
[[nodiscard]] bool is_about(const Envelope& envelope, const X509* leaf) noexcept;

// An envelope for the leaf; `others_size` is encoded_size of the others.
[[nodiscard]] Result<Buffer> make_envelope(const X509* leaf, const STACK_OF(X509) * others, std::size_t others_size,
                                           const Authentication& authentication, std::int64_t not_after) noexcept;

}  // namespace client_tls

#include "envelope.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::size_t digest_size = 32;  // SHA-256
using Digest = std::array<unsigned char, digest_size>;

// The envelope: what travels in the ticket appdata of a session whose client presented a certificate. All numbers are
// big-endian.
//
//   offset  size
//        0     4  "CTLS"
//        4     1  version
//        5     8  when the authentication ends, in seconds since the epoch: with the first
//                certificate of the chain, or after the longest time that it may last
//       13     8  when the client proved itself: the first, full handshake
//       21    32  SHA-256 of the leaf's DER, which OpenSSL keeps in the session itself
//       53     1  number of errors that its verification found: 0 is success
//       54     1  which leniency was needed (Leniency)
//       55        each of the errors, in the order found: its code in two bytes (Reason::code), its depth in one
//              3  size of what follows
//                 the other certificates that the client sent, in its order, as in certificate_list.hpp
//
// A change of the layout is a new version, and a new version is a new session id context: sessions of another version
// are full handshakes.
constexpr std::string_view tag = "CTLS";
constexpr std::size_t version_at = 4;
constexpr std::size_t not_after_at = 5;
constexpr std::size_t authenticated_at = 13;
constexpr std::size_t leaf_digest_at = 21;
constexpr std::size_t reason_count_at = 53;
constexpr std::size_t leniency_at = 54;
constexpr std::size_t reasons_at = 55;
constexpr std::size_t reason_size = 3;
constexpr std::size_t chain_size_size = 3;
constexpr std::size_t least_size = reasons_at + chain_size_size;

Result<Digest> digest_of(const X509* certificate) noexcept {
  Digest digest;
  unsigned size = 0;
  // X509_digest fetches the algorithm from the certificate's own library context, which is the SSL_CTX's.
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1 || size != digest_size) {
    return openssl_failure("the client's certificate could not be digested");
  }
  return digest;
}

// Reads the reasons of an envelope; what is behind them, or nothing, if they are not whole.
std::optional<ByteView> take_reasons(ByteView bytes, Authentication& authentication) noexcept {
  const std::size_t count = bytes[reason_count_at];
  if (count > authentication.reasons.size() || bytes.size() < least_size + count * reason_size) return std::nullopt;
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned char* reason = bytes.data() + reasons_at + i * reason_size;
    authentication.reasons[i] = {.code = static_cast<std::uint16_t>(get_number<2>(reason)), .depth = reason[2]};
  }
  authentication.reason_count = static_cast<std::uint8_t>(count);
  authentication.leniency = bytes[leniency_at];
  return bytes.subspan(reasons_at + count * reason_size);
}

}  // namespace

void Authentication::add(int code, int depth) noexcept {
  const RecordedReason reason{.code = static_cast<std::uint16_t>(code), .depth = static_cast<std::uint8_t>(depth)};
  auto* const end = reasons.begin() + reason_count;
  if (reason_count == reasons.size() || std::find(reasons.begin(), end, reason) != end) return;
  reasons[reason_count++] = reason;
}

// The envelope in a session, if it is one of ours, and whole.
Result<Envelope> open_envelope(SSL_SESSION* session) noexcept {
  const Error not_carried = failure(Errc::chain_not_carried, "the resumed session does not carry its client's chain");
  void* data = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || data == nullptr || size < least_size) {
    return not_carried;
  }
  const ByteView bytes{static_cast<const unsigned char*>(data), size};
  if (std::memcmp(bytes.data(), tag.data(), tag.size()) != 0 || bytes[version_at] != session_format) return not_carried;
  Envelope envelope{.not_after = static_cast<std::int64_t>(get_number<8>(&bytes[not_after_at])),
                    .leaf_digest = bytes.subspan(leaf_digest_at, digest_size),
                    .authentication = {},
                    .certificates = {}};
  envelope.authentication.authenticated_at = static_cast<std::int64_t>(get_number<8>(&bytes[authenticated_at]));
  const auto rest = take_reasons(bytes, envelope.authentication);
  if (!rest) return not_carried;
  envelope.certificates = rest->subspan(chain_size_size);
  if (get_number<3>(rest->data()) != envelope.certificates.size() || !well_formed(envelope.certificates)) {
    return not_carried;
  }
  return envelope;
}

bool is_about(const Envelope& envelope, const X509* leaf) noexcept {
  const auto digest = digest_of(leaf);
  return digest && std::ranges::equal(*digest, envelope.leaf_digest);
}

Result<Buffer> make_envelope(const X509* leaf, const STACK_OF(X509) * others, std::size_t others_size,
                             const Authentication& authentication, std::int64_t not_after) noexcept {
  const auto digest = digest_of(leaf);
  if (!digest) return digest.error();
  auto envelope = make_buffer(least_size + authentication.reason_count * reason_size + others_size);
  if (!envelope) return envelope;
  unsigned char* out = envelope->bytes.get();
  std::memcpy(out, tag.data(), tag.size());
  out[version_at] = session_format;
  put_number<8>(out + not_after_at, static_cast<std::uint64_t>(not_after));
  put_number<8>(out + authenticated_at, static_cast<std::uint64_t>(authentication.authenticated_at));
  std::memcpy(out + leaf_digest_at, digest->data(), digest_size);
  out[reason_count_at] = authentication.reason_count;
  out[leniency_at] = authentication.leniency;
  out += reasons_at;
  for (std::size_t i = 0; i < authentication.reason_count; ++i, out += reason_size) {
    put_number<2>(out, authentication.reasons[i].code);
    out[2] = authentication.reasons[i].depth;
  }
  put_number<3>(out, others_size);
  (void)encode_certificates(nullptr, others, out + chain_size_size);
  return envelope;
}

}  // namespace client_tls

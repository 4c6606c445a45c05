#include "session_binding.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <ctime>

#include "callbacks.hpp"
#include "certificate_list.hpp"
#include "error_queue.hpp"
#include "openssl_version.hpp"

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
//       53     3  size of what follows
//       56        the other certificates that the client sent, in its order, as in certificate_list.hpp
//
// A change of the layout is a new version, and a new version is a new session id context: sessions of another version
// are full handshakes.
constexpr std::string_view tag = "CTLS";
constexpr unsigned char version = 1;
constexpr std::size_t version_at = 4;
constexpr std::size_t not_after_at = 5;
constexpr std::size_t authenticated_at = 13;
constexpr std::size_t leaf_digest_at = 21;
constexpr std::size_t chain_size_at = 53;
constexpr std::size_t chain_at = 56;

struct Envelope {
  std::int64_t not_after;
  ByteView leaf_digest;
  ByteView certificates;
};

Result<Digest> digest_of(const X509* certificate) noexcept {
  Digest digest;
  unsigned size = 0;
  // X509_digest fetches the algorithm from the certificate's own library context, which is the SSL_CTX's.
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1 || size != digest_size) {
    return openssl_failure("the client's certificate could not be digested");
  }
  return digest;
}

// The envelope in a session, if it is one of ours, and whole.
Result<Envelope> open_envelope(SSL_SESSION* session) noexcept {
  constexpr std::string_view not_carried = "the resumed session does not carry its client's chain";
  void* data = nullptr;
  std::size_t size = 0;
  if (SSL_SESSION_get0_ticket_appdata(session, &data, &size) != 1 || data == nullptr || size < chain_at) {
    return failure(Errc::chain_not_carried, not_carried);
  }
  const auto* bytes = static_cast<const unsigned char*>(data);
  const ByteView certificates{bytes + chain_at, size - chain_at};
  if (std::memcmp(bytes, tag.data(), tag.size()) != 0 || bytes[version_at] != version ||
      get_number<3>(bytes + chain_size_at) != certificates.size() || !well_formed(certificates)) {
    return failure(Errc::chain_not_carried, not_carried);
  }
  return Envelope{.not_after = static_cast<std::int64_t>(get_number<8>(bytes + not_after_at)),
                  .leaf_digest = {bytes + leaf_digest_at, digest_size},
                  .certificates = certificates};
}

bool is_about(const Envelope& envelope, const X509* leaf) noexcept {
  const auto digest = digest_of(leaf);
  return digest && std::ranges::equal(*digest, envelope.leaf_digest);
}

Result<Buffer> make_envelope(const X509* leaf, const STACK_OF(X509) * others, std::int64_t not_after,
                             std::size_t max_carried_bytes) noexcept {
  const auto chain_size = encoded_size(nullptr, others);
  if (!chain_size) return chain_size.error();
  // The leaf travels in the session as well, and a session over 0xFF00 bytes would end the handshake.
  const auto leaf_size = encoded_size(leaf, nullptr);
  if (!leaf_size) return leaf_size.error();
  if (*chain_size > max_carried_bytes || *chain_size + *leaf_size > Limits::max_limit_bytes) {
    return failure(Errc::invalid_argument, "the chain is too large for a session");
  }
  const auto digest = digest_of(leaf);
  if (!digest) return digest.error();
  auto envelope = make_buffer(chain_at + *chain_size);
  if (!envelope) return envelope;
  unsigned char* out = envelope->bytes.get();
  std::memcpy(out, tag.data(), tag.size());
  out[version_at] = version;
  put_number<8>(out + not_after_at, static_cast<std::uint64_t>(not_after));
  put_number<8>(out + authenticated_at, static_cast<std::uint64_t>(std::time(nullptr)));
  std::memcpy(out + leaf_digest_at, digest->data(), digest_size);
  put_number<3>(out + chain_size_at, *chain_size);
  (void)encode_certificates(nullptr, others, out + chain_at);
  return envelope;
}

// A time that cannot be read has passed.
std::int64_t seconds_since_epoch(const ASN1_TIME* time) noexcept {
  using namespace std::chrono;
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::numeric_limits<std::int64_t>::min();
  const sys_days date = year{parts.tm_year + 1900} / month{static_cast<unsigned>(parts.tm_mon) + 1} /
                        day{static_cast<unsigned>(parts.tm_mday)};
  return duration_cast<seconds>(date.time_since_epoch() + hours{parts.tm_hour} + minutes{parts.tm_min} +
                                seconds{parts.tm_sec})
      .count();
}

// When the first of the certificates that the client sent, or that its verification relied on, ends.
std::int64_t first_not_after(const SSL* ssl, const X509* leaf) noexcept {
  std::int64_t first = seconds_since_epoch(X509_get0_notAfter(leaf));
  for (const STACK_OF(X509) * chain : {SSL_get_peer_cert_chain(ssl), SSL_get0_verified_chain(ssl)}) {
    for (int i = 0; i < sk_X509_num(chain); ++i) {
      first = std::min(first, seconds_since_epoch(X509_get0_notAfter(sk_X509_value(chain, i))));
    }
  }
  return first;
}

void make_dead(SSL_SESSION* session) noexcept {
  // 32 bytes, as every context here; no digest is known that begins with this text.
  static constexpr std::string_view nobodys = "client-tls: never to be resumed.";
  static_assert(nobodys.size() == SSL_MAX_SID_CTX_LENGTH);
  SSL_SESSION_set1_id_context(session, reinterpret_cast<const unsigned char*>(nobodys.data()),
                              static_cast<unsigned>(nobodys.size()));
}

// Has a session that is dated within the second `date` end at `end`, if it would not end earlier; false if it has ended
// already. (A timeout of 0 would end the handshake.) OpenSSL accepts a session up to and including the last moment of
// its timeout, and newer versions count from a fraction of a second: a second less is never too long. The two are
// compared before anything is subtracted: `end` can be any number.
bool clamp_timeout(SSL_SESSION* session, std::int64_t date, std::int64_t end) noexcept {
  if (end <= date + 1) return false;
  const std::int64_t lifetime = end - (date + 1);
  if (lifetime < SSL_SESSION_get_timeout(session)) SSL_SESSION_set_timeout(session, static_cast<long>(lifetime));
  return true;
}

// Whether the session of a full handshake may be resumed; what it must carry for that is then in it.
bool seal(SSL* ssl, Connection& connection, SSL_SESSION* session) noexcept {
  if (connection.reuse_disabled) return false;
  const X509* leaf = connection.leaf.get();
  if (leaf == nullptr) return !connection.required && !(connection.asked && presented_raw_public_key(ssl));
  if (connection.required && SSL_get_verify_result(ssl) != X509_V_OK) return false;
  // A verification that bypassed ours proves nothing that we could vouch for.
  if (connection.asked && !connection.verified) return false;
  const std::int64_t now = session_time(session);
  connection.not_after = std::min(first_not_after(ssl, leaf), now + connection.max_age);
  if (!clamp_timeout(session, now, connection.not_after)) return false;
  const auto envelope =
      make_envelope(leaf, SSL_get_peer_cert_chain(ssl), connection.not_after, connection.max_carried_bytes);
  return envelope && SSL_SESSION_set1_ticket_appdata(session, envelope->bytes.get(), envelope->size) == 1;
}

Result<void> check_client_hello(SSL* ssl) noexcept {
  if (client_finished(ssl)) return failure(Errc::handshake_over, "the handshake is complete");
  Digest current{};
  SSL_get_client_random(ssl, current.data(), current.size());
  const unsigned char* random = nullptr;
  const std::size_t size = SSL_client_hello_get0_random(ssl, &random);
  if (size == 0) {
    if (current == Digest{}) return failure(Errc::too_early, "no ClientHello has arrived");
    return failure(Errc::too_late, "the ClientHello has been processed");
  }
  // OpenSSL takes over the random when the client_hello callback has returned. In the servername callback it is there
  // already, and so it is on the ClientHello after a HelloRetryRequest; but then the server has written something.
  const bool taken_over = std::ranges::equal(current, ByteView{random, size});
  if (taken_over && BIO_number_written(SSL_get_wbio(ssl)) == 0) {
    return failure(Errc::too_late, "the session has been looked up: only the client_hello callback comes before that");
  }
  return {};
}

}  // namespace

Result<void> bind(SSL* ssl, Connection& connection, std::string_view scope) noexcept {
  if (auto early = check_client_hello(ssl); !early) return early;
  if (scope.empty() || scope.size() > max_scope_size) {
    return failure(Errc::invalid_argument, "the scope must have 1 to 4096 bytes");
  }
  // Short, so that with most names there is one block to digest.
  static constexpr std::string_view domain = "client-tls scope 1\n";
  static_assert(version == 1);
  std::array<char, domain.size() + max_scope_size> text;
  std::ranges::copy(scope, std::ranges::copy(domain, text.begin()).out);
  Digest digest;
  if (EVP_Digest(text.data(), domain.size() + scope.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return openssl_failure("the scope could not be digested");
  }
  reset(ssl, connection);
  if (SSL_set_session_id_context(ssl, digest.data(), digest.size()) != 1) {
    return openssl_failure("the session id context could not be set");
  }
  const unsigned char* random = nullptr;
  SSL_client_hello_get0_random(ssl, &random);
  std::copy_n(random, connection.client_random.size(), connection.client_random.begin());
  connection.session_id_context = digest;
  connection.bound = true;
  watch(ssl, connection);
  SSL_set_generate_session_id(ssl, on_generate_session_id);
  return {};
}

void make_dead(SSL* ssl) noexcept {
  make_dead(SSL_get_session(ssl));
}

void settle(SSL* ssl, Connection& connection) noexcept {
  connection.settled = true;
  SSL_SESSION* session = SSL_get_session(ssl);
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf != nullptr && X509_up_ref(leaf) == 1) connection.leaf.reset(leaf);
  if (SSL_session_reused(ssl) == 1) {
    if (leaf == nullptr) return;
    const auto envelope = open_envelope(session);
    connection.carried = envelope && is_about(*envelope, leaf);
    if (connection.carried) connection.not_after = envelope->not_after;
    return;
  }
  connection.carried = seal(ssl, connection, session);
  if (!connection.carried) {
    make_dead(session);
  } else if (connection.asked) {
    SSL_SESSION_set1_id_context(session, connection.session_id_context.data(),
                                static_cast<unsigned>(connection.session_id_context.size()));
  }
}

void prepare_ticket(SSL* ssl, const Connection& connection) noexcept {
  SSL_SESSION* session = SSL_get_session(ssl);
  const X509* leaf = SSL_get0_peer_certificate(ssl);
  const bool unchanged = connection.settled && leaf == connection.leaf.get();
  const bool whole = connection.carried || leaf == nullptr;
  if (!unchanged || !whole) {
    make_dead(session);
    return;
  }
  if (leaf == nullptr) return;
  // OpenSSL dates the ticket right after this.
  if (!clamp_timeout(session, std::time(nullptr), connection.not_after)) make_dead(session);
}

Result<ByteView> carried_certificates(SSL* ssl, const Connection* connection) noexcept {
  SSL_SESSION* session = SSL_get_session(ssl);
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (connection == nullptr || !connection->carried || leaf != connection->leaf.get()) {
    return failure(Errc::chain_not_carried, "the resumed session does not carry its client's chain");
  }
  const auto envelope = open_envelope(session);
  if (!envelope) return envelope.error();
  return envelope->certificates;
}

}  // namespace client_tls

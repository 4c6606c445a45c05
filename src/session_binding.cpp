#include "session_binding.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>
#include <new>

#include "certificate_list.hpp"
#include "certificate_time.hpp"
#include "errors.hpp"
#include "openssl_version.hpp"
#include "policy_rules.hpp"

namespace client_tls {
namespace {

using Digest = std::array<unsigned char, 32>;  // SHA-256

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

// Records what is known of the client that has just proved itself; without memory, nothing.
void authenticate(SSL* ssl, Connection& connection) noexcept {
  if (!connection.authentication) connection.authentication.reset(new (std::nothrow) Authentication);
  if (!connection.authentication) return;
  Authentication& authentication = *connection.authentication;
  authentication.authenticated_at = std::time(nullptr);
  connection.not_after =
      std::min(first_not_after(connection.leaf.get(), {SSL_get0_verified_chain(ssl)}, connection.policy.get()),
               authentication.authenticated_at + connection.max_age);
  const long result = SSL_get_verify_result(ssl);
  if (result != X509_V_OK && authentication.reason_count == 0) authentication.add(static_cast<int>(result), 0);
}

// Why the session of a client without a certificate may not be resumed, if it may not.
NotResumable without_certificate(SSL* ssl, const Connection& connection) noexcept {
  const bool asks_each_time = connection.policy != nullptr && !connection.policy->options().resume_without_certificate;
  const bool raw_key = connection.asked && presented_raw_public_key(ssl);
  return asks_each_time || connection.required || raw_key ? NotResumable::no_certificate : NotResumable::nothing;
}

// Whether the leaf, too, has room in a session beside so many bytes: a session over 0xFF00 bytes would end the
// handshake.
bool has_room(SSL* ssl, const X509* leaf, std::size_t chain_size) noexcept {
  const auto longest_message = static_cast<std::size_t>(SSL_get_max_cert_list(ssl));
  if (chain_size + longest_message <= Limits::max_limit_bytes) return true;
  const auto leaf_size = encoded_size(leaf, nullptr);
  return leaf_size && chain_size + *leaf_size <= Limits::max_limit_bytes;
}

// Puts what must travel into the session.
NotResumable carry(SSL* ssl, Connection& connection, SSL_SESSION* session) noexcept {
  const X509* leaf = connection.leaf.get();
  const STACK_OF(X509)* others = SSL_get_peer_cert_chain(ssl);
  const auto chain_size = encoded_size(nullptr, others);
  if (!chain_size) return NotResumable::memory;
  connection.chain_size = static_cast<std::uint32_t>(*chain_size);
  if (*chain_size > connection.max_carried_bytes || !has_room(ssl, leaf, *chain_size)) return NotResumable::too_large;
  const auto envelope = make_envelope(leaf, others, *chain_size, *connection.authentication, connection.not_after);
  const bool carried = envelope && SSL_SESSION_set1_ticket_appdata(session, envelope->bytes.get(), envelope->size) == 1;
  return carried ? NotResumable::nothing : NotResumable::memory;
}

// Takes over what a resumed session carries; why it may not be resumed again, if it may not.
NotResumable take_over(SSL* ssl, Connection& connection, SSL_SESSION* session) noexcept {
  const X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf == nullptr) return without_certificate(ssl, connection);  // an external PSK may have come to this
  auto envelope = open_envelope(session);
  if (!envelope || !is_about(*envelope, leaf)) return NotResumable::not_carried;
  connection.authentication.reset(new (std::nothrow) Authentication(std::move(envelope->authentication)));
  connection.carried = connection.authentication != nullptr;
  connection.not_after = envelope->not_after;
  return connection.carried ? NotResumable::nothing : NotResumable::memory;
}

// When the first of the certificates ends that the client sent beside those that its verification relied on.
std::int64_t first_not_after(const STACK_OF(X509) * sent, const STACK_OF(X509) * verified) noexcept {
  const auto is_in = [](const STACK_OF(X509) * chain, const X509* certificate) {
    int i = 0;
    while (i < sk_X509_num(chain) && sk_X509_value(chain, i) != certificate) ++i;
    return i < sk_X509_num(chain);
  };
  std::int64_t first = std::numeric_limits<std::int64_t>::max();
  for (int i = 0; i < sk_X509_num(sent); ++i) {
    const X509* certificate = sk_X509_value(sent, i);
    if (!is_in(verified, certificate)) first = std::min(first, seconds_since_epoch(X509_get0_notAfter(certificate)));
  }
  return first;
}

// Why the session of a full handshake may not be resumed; if it may, what it must carry for that is in it then.
NotResumable seal(SSL* ssl, Connection& connection, SSL_SESSION* session) noexcept {
  if (connection.reuse_disabled) return NotResumable::reuse_disabled;
  const X509* leaf = connection.leaf.get();
  if (leaf == nullptr) return without_certificate(ssl, connection);
  if (connection.required && SSL_get_verify_result(ssl) != X509_V_OK) return NotResumable::not_verified;
  // A verification that bypassed ours proves nothing that we could vouch for.
  if (connection.asked && !connection.verified) return NotResumable::not_verified;
  if (!connection.authentication) return NotResumable::memory;
  // The authentication lasts as long as what it relies on; the session no longer than anything that it carries, which
  // can have ended before, beside a chain that is valid.
  const std::int64_t end =
      std::min(connection.not_after, first_not_after(SSL_get_peer_cert_chain(ssl), SSL_get0_verified_chain(ssl)));
  if (!clamp_timeout(session, session_time(session), end)) return NotResumable::ended;
  connection.not_after = end;
  return carry(ssl, connection, session);
}

int on_generate_session_id(SSL* ssl, unsigned char* id, unsigned int* size) noexcept {
  const Connection* connection = current_connection(ssl);
  // In TLS 1.3 it is called for each ticket, in TLS 1.2 at the beginning of a full handshake.
  if (connection != nullptr && SSL_version(ssl) == TLS1_3_VERSION) prepare_ticket(ssl, *connection);
  // -1, where the method is missing, would be success to OpenSSL.
  return RAND_bytes(id, static_cast<int>(*size)) == 1 ? 1 : 0;
}

}  // namespace

Result<void> check_client_hello(SSL* ssl) noexcept {
  if (client_finished(ssl)) return failure(Errc::handshake_over, "the handshake is complete");
  const bool taken_over = client_hello_taken_over(ssl);
  const unsigned char* random = nullptr;
  if (SSL_client_hello_get0_random(ssl, &random) == 0) {
    if (!taken_over) return failure(Errc::too_early, "no ClientHello has arrived");
    return failure(Errc::too_late, "the ClientHello has been processed");
  }
  if (!taken_over) return {};
  // It is the servername callback, or the ClientHello after a HelloRetryRequest, of which OpenSSL does not say in which
  // of its callbacks it is: that one can be bound once.
  const Connection* connection = current_connection(ssl);
  if (connection != nullptr && connection->bound && connection->retried && !connection->bound_again) return {};
  return failure(Errc::too_late, "the session has been looked up: only the client_hello callback comes before that");
}

Result<void> bind(SSL* ssl, Connection& connection, std::string_view scope, Caller caller) noexcept {
  const bool retried = client_hello_taken_over(ssl) && connection.retried;
  if (scope.empty() || scope.size() > max_scope_size) {
    return failure(Errc::invalid_argument, "the scope must have 1 to 4096 bytes");
  }
  // Short, so that with most names there is one block to digest.
  static constexpr std::string_view domain = "client-tls scope 2\n";
  static_assert(session_format == 2);
  std::array<char, domain.size() + max_scope_size> text;
  std::ranges::copy(scope, std::ranges::copy(domain, text.begin()).out);
  Digest digest;
  if (EVP_Digest(text.data(), domain.size() + scope.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    return openssl_failure("the scope could not be digested");
  }
  // What a scope is made from, the client may not change between its two ClientHellos (RFC 8446, section 4.1.2).
  if (caller == Caller::host && retried && digest != connection.session_id_context) {
    return failure(Errc::too_late, "the scope is another one than before the HelloRetryRequest");
  }
  reset(ssl, connection);
  connection.retried = connection.bound_again = retried;
  if (SSL_set_session_id_context(ssl, digest.data(), digest.size()) != 1) {
    return openssl_failure("the session id context could not be set");
  }
  const unsigned char* random = nullptr;
  SSL_client_hello_get0_random(ssl, &random);
  std::copy_n(random, connection.client_random.size(), connection.client_random.begin());
  connection.session_id_context = digest;
  connection.bound = true;
  watch(ssl, connection.host);
  SSL_set_generate_session_id(ssl, on_generate_session_id);
  return {};
}

void make_dead(SSL* ssl) noexcept {
  make_dead(SSL_get_session(ssl));
}

void settle(SSL* ssl, Connection& connection) noexcept {
  connection.settled = true;
  SSL_get_server_random(ssl, connection.server_random.data(), connection.server_random.size());
  SSL_SESSION* session = SSL_get_session(ssl);
  X509* leaf = SSL_get0_peer_certificate(ssl);
  if (leaf != nullptr && X509_up_ref(leaf) == 1) connection.leaf.reset(leaf);
  if (SSL_session_reused(ssl) == 1) {
    // It is not made dead: it can be the cache's, which other threads are looking at. Its tickets are (prepare_ticket).
    connection.not_resumable = take_over(ssl, connection, session);
    if (connection.not_resumable != NotResumable::nothing) set_num_tickets(ssl, connection.host, 0);
    return;
  }
  if (leaf != nullptr && connection.asked && !connection.verified) {
    SSL_set_verify_result(ssl, X509_V_ERR_APPLICATION_VERIFICATION);  // as the log says
  }
  if (leaf != nullptr) authenticate(ssl, connection);
  connection.not_resumable = seal(ssl, connection, session);
  connection.carried = connection.not_resumable == NotResumable::nothing;
  if (!connection.carried) {
    make_dead(session);
    set_num_tickets(ssl, connection.host, 0);  // in TLS 1.2 the ServerHello has promised one: it is sent, dead
  } else if (connection.asked) {
    SSL_SESSION_set1_id_context(session, connection.session_id_context.data(),
                                static_cast<unsigned>(connection.session_id_context.size()));
  }
}

void prepare_ticket(SSL* ssl, const Connection& connection) noexcept {
  SSL_SESSION* session = SSL_get_session(ssl);
  const X509* leaf = SSL_get0_peer_certificate(ssl);
  const bool unchanged = connection.settled && leaf == connection.leaf.get();
  const bool whole = connection.carried || (leaf == nullptr && connection.not_resumable == NotResumable::nothing);
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

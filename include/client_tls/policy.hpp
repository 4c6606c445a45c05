// A policy: whether clients are asked for a certificate, whom it trusts, and who may resume what. Which name has which
// is in policy_table.hpp, and one call of install() (install.hpp) puts them in force.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "client_tls/export.hpp"
#include "client_tls/limits.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// Whether a client is asked for its certificate. In all cases but `required` the handshake completes whatever it
// answers.
enum class ClientAuth : std::uint8_t {
  none,
  optional,  // asked; without a certificate, or with one that does not verify, it is let in as what it is
  required,
};

// Where a client that lacks a required certificate is refused. In both cases its session never resumes.
enum class Refusal : std::uint8_t {
  // The handshake ends: alert certificate_required in TLS 1.3 (RFC 8446, section 6.2), handshake_failure in TLS 1.2;
  // for a certificate that does not verify, the alert that OpenSSL has for the reason.
  handshake,
  // The handshake completes, and the host refuses in a request phase (with 403, for instance), where it can say why.
  // It must: the library then does no more than it does for `optional`.
  host,
};

// What a certificate must be for, by its key usages (RFC 5280, sections 4.2.1.3 and 4.2.1.12).
enum class Purpose : std::uint8_t {
  client,
  // One for servers alone is good, too, with a warning in the verdict. With public CAs any web server's key is a client
  // then.
  client_or_server,
};

// What a policy says. Fill in what is wanted and hand it to ClientAuthPolicy::make.
struct PolicyOptions {
  ClientAuth request = ClientAuth::none;
  Refusal refusal = Refusal::handshake;

  // The certificates that a client's chain must end in: CAs, or, without partial_chain, also a self-signed certificate
  // that is good for itself alone. At least one, unless request is `none`; none then. Each must be of use:
  // self-signed, or issued by another one of them within depth and the path lengths of those above it, unless
  // partial_chain says otherwise; for client certificates by its key usages (see purpose), with a key as strong as
  // security_level wants, and without trust settings of its own
  // ("TRUSTED CERTIFICATE"). Two of one name have key identifiers that tell them apart.
  std::vector<X509Ptr> anchors;

  // Whether a chain may end in any of the anchors, also in one that is not self-signed: nothing above it is looked at
  // then, its issuer's revocation list included. Each anchor must be a CA.
  bool partial_chain = false;

  // CA certificates that help to complete a chain of which the client has not sent all, and are never trusted.
  std::vector<X509Ptr> intermediates;

  // The CA certificates whose subject names are sent to the client (RFC 8446, section 4.2.4). Default: the anchors. An
  // empty list sends no names. Hints are not trust.
  std::optional<std::vector<X509Ptr>> hints;

  // Revocation lists (RFC 5280, section 5). If there is one, each certificate of a chain but the anchor must have a
  // valid list from its issuer (X509_V_FLAG_CRL_CHECK_ALL): one that is missing or out of date is a certificate that
  // does not verify. Each list must be whole within its scope: not a delta, not indirect, not for some reasons only,
  // with nothing critical that is not known; and each anchor that is a CA must have issued one. Who is on a list is
  // revoked, for whatever reason and from whatever date. Of two lists of one issuer, key and scope, the one that begins
  // later counts alone, or, where both begin at once, the one with the higher number.
  std::vector<X509CrlPtr> crls;

  Purpose purpose = Purpose::client;

  // How long after its end the client's own certificate is still good, with a warning in the verdict: 0 to 2^31 - 1
  // seconds. It is no leniency to a CA's certificate, to a revocation list or to a beginning.
  std::chrono::seconds expired_tolerance{0};

  // The least security level of keys and signatures in a chain: 0 to 5 (SSL_CTX_set_security_level). A higher level of
  // the SSL's own holds instead.
  int security_level = 2;

  // The most certificates between the client's own and the anchor: 0 to 99 (SSL_set_verify_depth).
  int depth = 9;

  // How long an authentication lasts at the most, from the full handshake in which the client proved itself, however
  // often it was resumed since; at least a second. Default: until the first certificate of the chain ends, which always
  // holds besides, as does the SSL_CTX's own session timeout.
  std::optional<std::chrono::seconds> max_age;

  // TLS 1.3 tickets after a full handshake: 1 to 16, and never more than the SSL_CTX's (SSL_CTX_set_num_tickets), which
  // is also the default. With a client certificate each costs about as much as a signature.
  std::optional<std::size_t> tickets;

  // Whether sessions may be resumed at all. If not, none is made and none is accepted.
  bool resumption = true;

  // Under `optional`: whether the session of a client that presented no certificate may be resumed. If not, such a
  // client is asked each time.
  bool resume_without_certificate = true;

  Limits limits;
};

// What is wrong with a policy at the time it is made, or of no use in it.
struct PolicyWarning {
  std::string_view message;  // static, NUL-terminated: the option and what it is
  std::size_t position = 0;  // which of the option's certificates or lists, from 1; 0 where it is about all
};

// A policy: immutable, shared by name tables, connections and threads. It cannot exist with less than its options say.
class CLIENT_TLS_API ClientAuthPolicy {
 public:
  using Digest = std::array<unsigned char, 32>;

  // What can never let in whom it names, or would leave somebody out without a word, is an error; what time alone makes
  // wrong, or is of no use, is a warning.
  //
  // Errors: invalid_argument, with a message that names the option, and with Error::position; openssl; out_of_memory.
  // Any phase, any thread.
  [[nodiscard]] static Result<std::shared_ptr<const ClientAuthPolicy>> make(PolicyOptions options) noexcept;

  // As they were given, but for revocation lists of which there is a newer one. The certificates and lists are copies
  // of the policy's own; a list is one object for all policies that have it, as long as one of them lives.
  [[nodiscard]] const PolicyOptions& options() const noexcept { return options_; }

  // What was wrong when the policy was made: an anchor or a list that has ended or not yet begun, a list of which there
  // is a newer one or whose issuer is not given, an intermediate that helps nobody, names of hints over 32 KiB.
  [[nodiscard]] const std::vector<PolicyWarning>& warnings() const noexcept { return warnings_; }

  // SHA-256 over every option: two policies with the same digest are the same policy, and a session made under one
  // resumes under the other. Of revocation lists it covers who is revoked, by issuer, key and scope: not dates, numbers
  // or signatures, so that a new list that revokes the same costs nobody a handshake. The order of certificates and
  // lists, and one that stands twice, make no difference. It is the same in every process of this version, and changes
  // with the version of the session format.
  [[nodiscard]] const Digest& digest() const noexcept { return digest_; }

  // When the first of the revocation lists ends, but those of which there is a newer one; the end of time without
  // lists. From then on nobody resumes under the policy, and nobody is success.
  [[nodiscard]] std::chrono::sys_seconds lists_end() const noexcept { return lists_end_; }

  // The anchors and revocation lists as OpenSSL takes them, and the names of the hints; null where nothing is asked.
  // They are the policy's own: valid as long as it, and not to be changed.
  [[nodiscard]] X509_STORE* get0_store() const noexcept { return store_.get(); }
  [[nodiscard]] const STACK_OF(X509_NAME) * get0_hint_names() const noexcept { return hint_names_.get(); }

 private:
  explicit ClientAuthPolicy(PolicyOptions options) noexcept : options_(std::move(options)) {}
  Result<void> make_all();

  PolicyOptions options_;
  X509StorePtr store_;
  X509NameStackPtr hint_names_;
  std::vector<PolicyWarning> warnings_;
  Digest digest_{};
  std::chrono::sys_seconds lists_end_ = std::chrono::sys_seconds::max();
};

using PolicyPtr = std::shared_ptr<const ClientAuthPolicy>;

}  // namespace client_tls

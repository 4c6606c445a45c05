// Policies: which server names ask for a client certificate, whom they trust, and who may resume what. One call of
// install() makes a proxy's client certificates right; what ClientTls offers by hand is done by the library. Who is let
// in is decided by ClientTls::verdict.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "client_tls/client_tls.hpp"
#include "client_tls/export.hpp"
#include "client_tls/hooks.hpp"
#include "client_tls/openssl_ptr.hpp"
#include "client_tls/result.hpp"
#include "client_tls/server_name.hpp"

namespace client_tls {

// Whether a client is asked for its certificate. In all cases but `required` the handshake completes whatever it
// answers.
enum class ClientCertificate : std::uint8_t {
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
  ClientCertificate request = ClientCertificate::none;
  Refusal refusal = Refusal::handshake;

  // The CA certificates that a client's chain must end in. At least one, self-signed, unless request is `none`; none
  // then. Certificates beside a self-signed one help to complete a chain, as in OpenSSL's CA files.
  std::vector<X509Ptr> anchors;

  // The CA certificates whose subject names are sent to the client (RFC 8446, section 4.2.4). Default: the anchors. An
  // empty list sends no names. Hints are not trust.
  std::optional<std::vector<X509Ptr>> hints;

  // Revocation lists. If there is one, each certificate of a chain must have a valid list from its issuer
  // (X509_V_FLAG_CRL_CHECK_ALL): one that is missing or out of date is a certificate that does not verify.
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

// A policy: immutable, shared by name tables, connections and threads. It cannot exist with less than its options say.
class CLIENT_TLS_API ClientAuthPolicy {
 public:
  using Digest = std::array<unsigned char, 32>;

  // Errors: invalid_argument, with a message that names the option; openssl; out_of_memory.
  // Any phase, any thread.
  [[nodiscard]] static Result<std::shared_ptr<const ClientAuthPolicy>> make(PolicyOptions options) noexcept;

  [[nodiscard]] const PolicyOptions& options() const noexcept { return options_; }

  // SHA-256 over every option: two policies with the same digest are the same policy, and a session made under one
  // resumes under the other. The order of anchors, hints and revocation lists, and one that stands twice, make no
  // difference. It is the same in every process of this version, and changes with the version of the session format.
  [[nodiscard]] const Digest& digest() const noexcept { return digest_; }

  // When the first of the revocation lists ends, of which there is no newer one; the end of time without lists. From
  // then on nobody resumes under the policy, and nobody is success.
  [[nodiscard]] std::chrono::sys_seconds lists_end() const noexcept { return lists_end_; }

  // The anchors and revocation lists as OpenSSL takes them, and the names of the hints; null where nothing is asked.
  // They are the policy's own: valid as long as it, and not to be changed.
  [[nodiscard]] X509_STORE* get0_store() const noexcept { return store_.get(); }
  [[nodiscard]] const STACK_OF(X509_NAME) * get0_hint_names() const noexcept { return hint_names_.get(); }

 private:
  explicit ClientAuthPolicy(PolicyOptions options) noexcept : options_(std::move(options)) {}

  PolicyOptions options_;
  X509StorePtr store_;
  X509NameStackPtr hint_names_;
  Digest digest_{};
  std::chrono::sys_seconds lists_end_ = std::chrono::sys_seconds::max();
};

using PolicyPtr = std::shared_ptr<const ClientAuthPolicy>;

// Which server name has which policy: the exact name, else the longest wildcard that matches, else the default; and one
// more for clients that name no server. A null policy refuses the connection, with alert unrecognized_name: where that
// is wanted it must be said, there is no other default.
//
// Built by one thread, then used by any number of them as a const object.
class CLIENT_TLS_API PolicyTable {
 public:
  PolicyTable(PolicyPtr default_policy, PolicyPtr without_name) noexcept
      : default_(std::move(default_policy)), without_name_(std::move(without_name)) {}

  // Gives a name its policy: a host name, or "*." and a host name: any name that ends in the dot and what follows, with
  // one label or more before it ("*.example.test": not example.test itself). Compared in canonical form (ServerName).
  //
  // Errors: invalid_argument: what ServerName::parse refuses, a "*" elsewhere, a name that has a policy already (also
  // if it is the same). The table is then as it was. out_of_memory.
  [[nodiscard]] Result<void> add(std::string_view name, PolicyPtr policy) noexcept;

  // The policy of a name; null: refuse. The reference is valid until the table is changed.
  [[nodiscard]] const PolicyPtr& find(const ServerName& name) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return exact_.size() + wildcards_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
  };
  using Map = std::unordered_map<std::string, PolicyPtr, Hash, std::equal_to<>>;

  Map exact_;
  Map wildcards_;                    // without the "*": ".example.test"
  std::uint64_t wildcard_dots_ = 0;  // bit n: there is one with n dots; the last bit: or more
  PolicyPtr default_;
  PolicyPtr without_name_;
};

// The table in force: what install() and the thread that reloads a configuration share.
//
// Each connection sees one table: the one in force when its ClientHello came; a replacement changes nothing for the
// connections there are. Sessions made before resume if their name still has the same policy (digest): a reload that
// changes nothing costs nobody a handshake.
class CLIENT_TLS_API CurrentPolicies {
 public:
  explicit CurrentPolicies(PolicyTable table) noexcept : table_(std::move(table)) {}

  // From any thread, at any time. Connections wait for the exchange of two pointers' worth of memory, never for a table
  // to be built or freed.
  void replace(PolicyTable table) noexcept;

  [[nodiscard]] PolicyPtr find(const ServerName& name) const noexcept;

 private:
  mutable std::shared_mutex mutex_;
  PolicyTable table_;
};

// Installs policies on an SSL_CTX. From then on each of its connections gets the policy of the name in its ClientHello:
// it is asked for a certificate or not, verified against the policy's anchors, bound to the name and the policy's
// digest, so that a session resumes under that name as long as the policy is the same, and refused where the policy
// says so. A session under `required` was made with a verified certificate, or it does not resume.
//
// - Where a certificate is asked for, no early data (0-RTT) is accepted: it could be read before the client has proved
//   anything on this connection. It is a full or a resumed handshake, with the early data rejected.
// - Renegotiation is refused (SSL_OP_NO_RENEGOTIATION). Post-handshake authentication is not offered: after the
//   handshake the SSL's verify mode is SSL_VERIFY_NONE, whatever the SSL_CTX says. A host that starts one all the same
//   ends the connection's resumability, and its success: the certificate has been changed.
// - The hooks are called after the library has done its part. They can disable session reuse, suspend, reject, or have
//   another policy decide (Handshake::use); what a policy decides they cannot change.
// - The policy alone loosens a verification. The host's verify parameters (partial chains, no check of times, another
//   purpose, a host name) are replaced in the handshake, and put back when it is done; what makes them stricter
//   (X509_V_FLAG_X509_STRICT, Suite B, a security level above the policy's) is kept, and no session resumes where it
//   differs.
// - Under `required` external PSKs and cipher suites that ask for no certificate (PSK, SRP, anonymous) are refused: PSK
//   callbacks are removed from the SSL, for its life, since OpenSSL has no getter for them. A verification that the
//   host's SSL_CTX_set_cert_verify_callback bypasses ends the handshake before the client's proof, or, with
//   Refusal::host, counts as failed.
// - Where connections switch to another SSL_CTX (in a servername callback), the policy of the ClientHello's name holds.
//   Install the same policies on all of them; where one was forgotten, a client that presents a certificate there is
//   refused, and so is every client of a `required` name, unless the host is to refuse it (Refusal::host). One that
//   was forgotten and is given to SSL_new comes before any policy: full handshakes end in the certificate callback of
//   the SSL_CTX switched to, and a resumed TLS 1.3 connection has a failed verdict. A resumed TLS 1.2 connection
//   cannot be told from one that belongs there, since SSL_get_servername has the name of another connection.
//
// The policies are shared: one CurrentPolicies may serve any number of SSL_CTXs. Call it before the SSL_CTX is used,
// from one thread. Its client_hello and certificate callbacks are replaced: OpenSSL has no getter for either, and a
// host that needs its own calls ClientTls from them instead. Errors: invalid_argument (a null); already_installed;
// out_of_memory; openssl. Nothing is changed then. OpenSSL: SSL_CTX_set_client_hello_cb, SSL_CTX_set_cert_cb,
// SSL_CTX_set_ex_data; per connection SSL_set_verify, SSL_set1_verify_cert_store, SSL_get0_param,
// SSL_set_security_callback, SSL_set_psk_server_callback, SSL_set_psk_find_session_callback, SSL_set_max_early_data,
// SSL_set_num_tickets, SSL_set_options.
[[nodiscard]] CLIENT_TLS_API Result<void> install(SSL_CTX* ssl_ctx, std::shared_ptr<const CurrentPolicies> policies,
                                                  Hooks hooks = {}) noexcept;

// The policy of a connection, from its ClientHello on; null where there is none. It lives as long as the connection, or
// until its SSL begins another handshake (SSL_clear). On the thread that drives the SSL.
[[nodiscard]] CLIENT_TLS_API const ClientAuthPolicy* get0_policy(const SSL* ssl) noexcept;

}  // namespace client_tls

// Who the client is, now: one answer, from which the log is made and everything else that says it.
#pragma once

#include <openssl/x509_vfy.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "client_tls/export.hpp"

namespace client_tls {

// Something that was found wrong, or, as a warning, needed leniency.
struct Reason {
  static constexpr int first_code = 10'000;

  // Below first_code it is OpenSSL's X509_V_ERR_* (openssl/x509_vfy.h); what the library itself finds has these codes.
  enum Code : int {
    authentication_ended = first_code,  // the chain or the maximum age has ended since the client proved itself
    authentication_in_future,  // the clock says that the client proved itself later than now, by more than 300 s
    not_verified,              // something of the host's bypassed the verification (SSL_CTX_set_cert_verify_callback)
    chain_not_carried,         // the resumed session does not carry its client's chain
    certificate_changed,       // post-handshake authentication or renegotiation brought another certificate
    no_policy,                 // the SSL_CTX has policies, and the connection came to it without one
    not_settled,               // the end of the handshake was not seen: the host took the info callback away
    chain_too_long,            // the chain has more certificates than the policy that is asked allows
    unproved_session,          // a session without a certificate, where one is required: an external PSK
    handshake_not_completed,   // it failed, or it was abandoned
    out_of_memory,             // a verification could not be made
  };

  int code = 0;
  int depth = 0;          // of the certificate in its chain: 0 is the client's own
  std::string_view text;  // static, one line of printable ASCII: OpenSSL's, or ours

  friend bool operator==(const Reason&, const Reason&) = default;
};

// The answer. A small value: once it is had, any thread may read it.
//
// `success` means: this client, on this connection or on the one whose session it resumed, has proved the key of a
// certificate that verified, and the authentication has not ended. Under a policy it was verified by the policy; by
// hand, by the SSL's own verify store and the host's callback, whose leniency is the host's. Everything else is not
// success: no certificate, a raw public key, an external PSK, a verification that was bypassed, another certificate
// after the handshake, a chain that the session does not carry.
class CLIENT_TLS_API Verdict {
 public:
  enum class Status : std::uint8_t {
    not_asked,  // nothing was asked of the client
    none,       // it was asked, and presented no certificate
    success,
    failed,
  };

  static constexpr std::size_t max_reasons = 8;

  // By whose rules the certificate was verified, whatever came of it.
  enum class VerifiedBy : std::uint8_t {
    nobody,  // there is none, or something bypassed its verification, or it is not known
    host,    // by hand: the SSL's own verify store and the host's callback
    policy,  // the policy that was asked: the connection's, or that of verdict(policy)
  };

  // At the time when it was asked for.
  [[nodiscard]] Status status() const noexcept { return status_; }
  [[nodiscard]] bool success() const noexcept { return status_ == Status::success; }

  // The same at another time, later as a rule: a success ends (ends_at), and is none where the clock has been set back
  // by more than 300 s before authenticated_at.
  [[nodiscard]] Status status_at(std::chrono::sys_seconds time) const noexcept;

  // Why it failed: everything that was found, the first one first, at most max_reasons. Empty unless failed. They live
  // as long as the verdict.
  [[nodiscard]] std::span<const Reason> reasons() const noexcept { return {reasons_.data(), reason_count_}; }

  // What was let pass by a policy's leniency (PolicyOptions::expired_tolerance, purpose).
  [[nodiscard]] std::span<const Reason> warnings() const noexcept { return {warnings_.data(), warning_count_}; }

  [[nodiscard]] VerifiedBy verified_by() const noexcept { return verified_by_; }

  // What a client that is not a success has presented, in PEM, as get_full_client_certificate_chain has it; its key is
  // proved, and that is all that is known of it: who it says it is, is nobody's identity. Empty for a success, where
  // nothing was presented, where not all of it is there (chain_not_carried), and in a HandshakeReport, which has
  // `shown`. The text lives as long as this verdict or a copy of it, which may outlive the SSL.
  [[nodiscard]] std::string_view presented() const noexcept { return {presented_.get(), presented_size_}; }

  // Whether the client proved itself on an earlier connection, whose session this one resumed.
  [[nodiscard]] bool resumed() const noexcept { return resumed_; }

  // When the client proved itself, and when that ends: with the first certificate of its chain, with the policy's
  // revocation lists, or at its maximum age. Empty where no certificate was presented, or where it is not known.
  [[nodiscard]] std::optional<std::chrono::sys_seconds> authenticated_at() const noexcept { return authenticated_at_; }
  [[nodiscard]] std::optional<std::chrono::sys_seconds> ends_at() const noexcept { return ends_at_; }

 private:
  friend class ClientTls;
  friend class VerdictBuilder;

  std::array<Reason, max_reasons> reasons_{};
  std::array<Reason, 2> warnings_{};
  std::optional<std::chrono::sys_seconds> authenticated_at_;
  std::optional<std::chrono::sys_seconds> ends_at_;
  std::shared_ptr<const char[]> presented_;
  std::size_t presented_size_ = 0;
  std::uint8_t reason_count_ = 0;
  std::uint8_t warning_count_ = 0;
  Status status_ = Status::not_asked;
  VerifiedBy verified_by_ = VerifiedBy::nobody;
  bool resumed_ = false;
};

}  // namespace client_tls

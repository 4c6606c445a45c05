#include <openssl/x509_vfy.h>

#include "client_tls/verdict.hpp"
#include "verdict.hpp"

namespace client_tls {

using Status = Verdict::Status;

VerifyText text_of(const Verdict& verdict) noexcept {
  switch (verdict.status()) {
    case Status::success:
      return {.prefix = "SUCCESS", .reason = {}};
    case Status::failed:
      return {.prefix = "FAILED:", .reason = verdict.reasons().back().text};
    case Status::not_asked:
    case Status::none:
      break;
  }
  return {.prefix = "NONE", .reason = {}};
}

std::string_view text_of_reason(int code) noexcept {
  switch (code) {
    case Reason::authentication_ended:
      return "authentication has ended";
    case Reason::authentication_in_future:
      return "the clock is before the authentication";
    case Reason::not_verified:
      return "the certificate was not verified by this library's rules";
    case Reason::chain_not_carried:
      return "the resumed session does not carry its client's chain";
    case Reason::certificate_changed:
      return "the certificate was changed after the handshake";
    case Reason::no_policy:
      return "the connection's ClientHello did not pass an SSL_CTX with policies";
    case Reason::not_settled:
      return "the end of the handshake was not seen by this library";
    case Reason::unproved_session:
      return "a session without a certificate, where one is required";
    case Reason::handshake_not_completed:
      return "the handshake was not completed";
    case Reason::chain_too_long:
      return "the chain has more certificates than the policy allows";
    case Reason::out_of_memory:
      return "out of memory";
    default:
      break;
  }
  return X509_verify_cert_error_string(code);
}

}  // namespace client_tls

// Who may be called authenticated: the one place where success is decided.
#pragma once

#include "client_tls/policy.hpp"
#include "client_tls/verdict.hpp"
#include "connection.hpp"

namespace client_tls {

// The verdict on the connection as it is now, by the rules that it was verified by. Its handshake is complete.
[[nodiscard]] Verdict judge(SSL* ssl, const Connection* connection) noexcept;

// The verdict on a handshake that was not completed.
[[nodiscard]] Verdict judge_failed(const Connection* connection) noexcept;

// Whether a verdict leaves open that a certificate's key was proved: it is success, or failed for reasons that are
// those of one verification and can be other ones by another policy's rules.
[[nodiscard]] bool is_proved(const Verdict& verdict) noexcept;

// The verdict by another policy's rules on a client whose own one is_proved.
[[nodiscard]] Result<Verdict> judge_by(SSL* ssl, Connection& connection, const Verdict& own,
                                       const ClientAuthPolicy& policy) noexcept;

// What the log says of it: "NONE", "SUCCESS" or "FAILED:" and a text. A failure is one of the library's own reasons,
// or, as in nginx, the last of OpenSSL's.
struct VerifyText {
  std::string_view prefix;
  std::string_view reason;
};
[[nodiscard]] VerifyText text_of(const Verdict& verdict) noexcept;

// The text of a Reason::code.
[[nodiscard]] std::string_view text_of_reason(int code) noexcept;

}  // namespace client_tls

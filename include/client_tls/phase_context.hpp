// The small object in which a proxy says where it is.
#pragma once

#include <optional>
#include <utility>

#include "client_tls/client_verify.hpp"
#include "client_tls/phase.hpp"

namespace client_tls {

// One per handshake and one per request, owned by the proxy and moved on with enter(). It holds the phase and this
// request's override of client_verify, and nothing about the connection: so each stream of an HTTP/2 connection can be
// in a phase of its own, with an override of its own.
//
// Not synchronised: one context is used by one thread at a time. Contexts of the same connection are independent.
class PhaseContext {
 public:
  explicit PhaseContext(Phase phase) noexcept : phase_(phase) {}

  [[nodiscard]] Phase phase() const noexcept { return phase_; }

  // Moves to another phase. Going back is allowed: proxies retry and redirect internally. The override stays.
  void enter(Phase phase) noexcept { phase_ = phase; }

  // This request's override of client_verify: empty until set_client_verify is called, then kept until it is replaced.
  [[nodiscard]] const std::optional<ClientVerify>& client_verify() const noexcept { return client_verify_; }

 private:
  friend class ClientTls;

  std::optional<ClientVerify> client_verify_;
  std::string_view verdict_text_;  // the log's, of the verdict that was last given in this context; static
  Phase phase_;
  bool verdict_failed_ = false;
};

}  // namespace client_tls

// Which operation may be called in which phase of a connection or request: one table, and everything that is derived
// from it (the run-time check and its error text, the compile-time check, docs/phases.md, the tests).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "client_tls/export.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

// Where the proxy is. The first two are OpenSSL's callbacks during the handshake; the others are the proxy's pipeline.
enum class Phase : std::uint8_t {
  client_hello,  // SSL_CTX_set_client_hello_cb's callback: on every connection, before a session is looked up
  certificate,   // SSL_CTX_set_cert_cb's callback: on full handshakes only, never on a resumed connection
  preread,       // what a layer-4 proxy has in place of the request phases
  rewrite,       // the request phases, in the order in which a request passes them
  access,
  balancer,
  header_filter,
  body_filter,
  log,
};

// The operations of ClientTls.
enum class Operation : std::uint8_t {
  bind_session,
  request_client_certificate,
  disable_session_reuse,
  get_full_client_certificate_chain,
  verdict,
  set_client_verify,
  log_entry,
};

namespace detail {

// A set of phases.
class PhaseSet {
 public:
  constexpr PhaseSet(std::initializer_list<Phase> phases) noexcept {
    for (const Phase phase : phases) bits_ = static_cast<std::uint16_t>(bits_ | bit(phase));
  }
  [[nodiscard]] constexpr bool contains(Phase phase) const noexcept { return (bits_ & bit(phase)) != 0; }

 private:
  static constexpr std::uint16_t bit(Phase phase) noexcept {
    const auto position = static_cast<unsigned>(phase);
    return static_cast<std::uint16_t>(position < 16 ? 1U << position : 0U);
  }
  std::uint16_t bits_ = 0;
};

struct PhaseName {
  Phase phase;
  std::string_view name;
};

// Every phase, in the order of the enumeration.
inline constexpr std::array all_phases{
    PhaseName{Phase::client_hello, "client_hello"},
    PhaseName{Phase::certificate, "certificate"},
    PhaseName{Phase::preread, "preread"},
    PhaseName{Phase::rewrite, "rewrite"},
    PhaseName{Phase::access, "access"},
    PhaseName{Phase::balancer, "balancer"},
    PhaseName{Phase::header_filter, "header_filter"},
    PhaseName{Phase::body_filter, "body_filter"},
    PhaseName{Phase::log, "log"},
};

struct PhaseRule {
  Operation operation;
  std::string_view name;
  PhaseSet phases;
};

// The table, in the order of the enumeration.
inline constexpr std::array phase_table{
    PhaseRule{Operation::bind_session, "bind_session", {Phase::client_hello}},
    PhaseRule{Operation::request_client_certificate, "request_client_certificate", {Phase::certificate}},
    PhaseRule{Operation::disable_session_reuse, "disable_session_reuse", {Phase::certificate}},
    PhaseRule{Operation::get_full_client_certificate_chain,
              "get_full_client_certificate_chain",
              {Phase::preread, Phase::rewrite, Phase::access, Phase::balancer, Phase::header_filter, Phase::body_filter,
               Phase::log}},
    PhaseRule{Operation::verdict,
              "verdict",
              {Phase::preread, Phase::rewrite, Phase::access, Phase::balancer, Phase::header_filter, Phase::body_filter,
               Phase::log}},
    PhaseRule{Operation::set_client_verify,
              "set_client_verify",
              {Phase::preread, Phase::rewrite, Phase::access, Phase::balancer}},
    PhaseRule{Operation::log_entry, "log_entry", {Phase::log}},
};

}  // namespace detail

// The names as they stand in error texts and in the documentation. A value that is none of the enumeration's has the
// name "unknown".
[[nodiscard]] constexpr std::string_view to_string(Phase phase) noexcept {
  const auto index = static_cast<std::size_t>(phase);
  return index < detail::all_phases.size() ? detail::all_phases[index].name : "unknown";
}
[[nodiscard]] constexpr std::string_view to_string(Operation operation) noexcept {
  const auto index = static_cast<std::size_t>(operation);
  return index < detail::phase_table.size() ? detail::phase_table[index].name : "unknown";
}

// Whether the table allows the operation in the phase. What is none of the enumerations' values is not allowed.
[[nodiscard]] constexpr bool allowed(Operation operation, Phase phase) noexcept {
  const auto row = static_cast<std::size_t>(operation);
  return row < detail::phase_table.size() && static_cast<std::size_t>(phase) < detail::all_phases.size() &&
         detail::phase_table[row].phases.contains(phase);
}

namespace detail {

// A phase as a type: compilers spell out its name in their messages, where some print a bare Phase as a number.
template <Phase P>
struct InPhase {
  static constexpr Phase phase = P;
};

// The same as a constraint, for the operations of ClientTls::In: it is what the compiler names when a call is refused.
template <Operation O, class Where>
concept AllowedInPhase = allowed(O, Where::phase);

}  // namespace detail

// The error for a call in a phase that does not allow it, for instance
// "request_client_certificate cannot be called in access phase (only in: certificate)".
[[nodiscard]] CLIENT_TLS_API Error wrong_phase(Operation operation, Phase phase) noexcept;

// What the throwing overload of set_client_verify throws for a wrong phase; what() is wrong_phase's message.
class CLIENT_TLS_API PhaseError : public std::logic_error {
 public:
  explicit PhaseError(const Error& error) : std::logic_error(std::string(error.message)) {}
};

static_assert(std::ranges::all_of(detail::all_phases, [](const detail::PhaseName& entry) {
  return &entry - detail::all_phases.data() == static_cast<std::ptrdiff_t>(entry.phase);
}));
static_assert(std::ranges::all_of(detail::phase_table, [](const detail::PhaseRule& rule) {
  return &rule - detail::phase_table.data() == static_cast<std::ptrdiff_t>(rule.operation);
}));

}  // namespace client_tls

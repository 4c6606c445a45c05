// Every operation in every phase, at run time and at compile time, from phase_table and all_phases alone.
#include "client_tls/phase.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"

namespace {

using namespace client_tls;
using namespace client_tls::detail;

constexpr auto unknown_phase = static_cast<Phase>(all_phases.size());
constexpr auto last_phase = static_cast<Phase>(std::numeric_limits<std::underlying_type_t<Phase>>::max());
constexpr auto unknown_operation = static_cast<Operation>(phase_table.size());
constexpr auto last_operation = static_cast<Operation>(std::numeric_limits<std::underlying_type_t<Operation>>::max());

template <class T>
std::optional<Error> error_of(const Result<T>& result) {
  if (result) return std::nullopt;
  return result.error();
}

ClientVerify verify_value(std::string_view text) {
  return *ClientVerify::parse(text);
}

// The operation's error. An operation that is missing here does not compile (-Wswitch) or throws.
std::optional<Error> call(Operation operation, const ClientTls& tls) {
  switch (operation) {
    case Operation::bind_session:
      return error_of(tls.bind_session("scope"));
    case Operation::request_client_certificate:
      return error_of(tls.request_client_certificate());
    case Operation::disable_session_reuse:
      return error_of(tls.disable_session_reuse());
    case Operation::get_full_client_certificate_chain:
      return error_of(tls.get_full_client_certificate_chain());
    case Operation::verdict:
      return error_of(tls.verdict());
    case Operation::set_client_verify:
      return error_of(tls.set_client_verify(verify_value("FAILED:new")));
    case Operation::log_entry:
      return error_of(tls.log_entry());
  }
  throw std::logic_error("an operation that this test does not know");
}

std::string expected_text(const PhaseRule& rule, std::string_view phase) {
  std::string phases;
  for (const auto& [allowed_phase, name] : all_phases) {
    if (!rule.phases.contains(allowed_phase)) continue;
    if (!phases.empty()) phases += ", ";
    phases += name;
  }
  return std::string(rule.name) + " cannot be called in " + std::string(phase) + " phase (only in: " + phases + ")";
}

void check_refused(const std::optional<Error>& error, const std::string& text) {
  REQUIRE(error.has_value());
  CHECK(error->code == Errc::wrong_phase);
  CHECK(error->message == text);
  CHECK(error->openssl_reason == 0);
}

// What set_client_verify refuses, it refuses before it looks at the value.
void check_throws(const ClientTls& tls, const std::string& text) {
  for (const char* value : {"FAILED:new", "not a value"}) {
    CHECK_THROWS_AS(tls.set_client_verify(value), PhaseError);
    CHECK_THROWS_WITH(tls.set_client_verify(value), text);
  }
}

// Whether ClientTls::In has the operation: 1 or 0, and -1 for one that is missing here.
template <Operation O, Phase P>
consteval int in_has_operation() {
  using In = ClientTls::In<P>;
  if constexpr (O == Operation::bind_session) {
    return requires(const In& in) { in.bind_session("scope"); };
  } else if constexpr (O == Operation::request_client_certificate) {
    return requires(const In& in) { in.request_client_certificate(); };
  } else if constexpr (O == Operation::disable_session_reuse) {
    return requires(const In& in) { in.disable_session_reuse(); };
  } else if constexpr (O == Operation::get_full_client_certificate_chain) {
    return requires(const In& in) { in.get_full_client_certificate_chain(); };
  } else if constexpr (O == Operation::verdict) {
    return requires(const In& in) { in.verdict(); };
  } else if constexpr (O == Operation::set_client_verify) {
    constexpr bool throwing = requires(const In& in) { in.set_client_verify("NONE"); };
    constexpr bool result = requires(const In& in, ClientVerify value) { in.set_client_verify(std::move(value)); };
    return throwing == result ? result : -1;
  } else if constexpr (O == Operation::log_entry) {
    return requires(const In& in) { in.log_entry(); };
  } else {
    return -1;
  }
}

template <Operation O, Phase P>
consteval bool in_matches_table() {
  return in_has_operation<O, P>() == (allowed(O, P) ? 1 : 0);
}

template <Operation O, std::size_t... Phases>
consteval bool row_matches_table(std::index_sequence<Phases...>) {
  return (in_matches_table<O, all_phases[Phases].phase>() && ...);
}

template <std::size_t... Rows>
consteval bool all_rows_match_table(std::index_sequence<Rows...>) {
  return (row_matches_table<phase_table[Rows].operation>(std::make_index_sequence<all_phases.size()>{}) && ...);
}

static_assert(all_rows_match_table(std::make_index_sequence<phase_table.size()>{}));
static_assert(std::is_trivially_copyable_v<ClientTls>);
static_assert(sizeof(ClientTls) == 2 * sizeof(void*));
static_assert(!std::is_constructible_v<ClientTls, SSL*, PhaseContext>);
static_assert(!std::is_constructible_v<ClientTls, SSL*, const PhaseContext>);
static_assert(!std::is_constructible_v<ClientTls::In<Phase::log>, SSL*, PhaseContext>);

}  // namespace

TEST_CASE("phase: every operation is refused in each phase that is not its own, and without TLS in its own") {
  int calls = 0;
  for (const PhaseRule& rule : phase_table) {
    for (const auto& [phase, phase_name] : all_phases) {
      CAPTURE(rule.name, phase_name);
      PhaseContext context{Phase::access};
      const ClientTls tls{nullptr, context};
      tls.set_client_verify("FAILED:old");
      context.enter(phase);

      const auto error = call(rule.operation, tls);
      ++calls;

      CHECK(context.phase() == phase);
      REQUIRE(context.client_verify().has_value());
      const bool sets = rule.operation == Operation::set_client_verify;
      if (!rule.phases.contains(phase)) {
        check_refused(error, expected_text(rule, phase_name));
        if (sets) check_throws(tls, expected_text(rule, phase_name));
        CHECK(context.client_verify()->text() == "FAILED:old");
      } else if (sets) {
        CHECK(!error.has_value());
        CHECK(context.client_verify()->text() == "FAILED:new");
        CHECK_NOTHROW(tls.set_client_verify("NONE"));
        CHECK(context.client_verify()->text() == "NONE");
      } else {
        REQUIRE(error.has_value());
        CHECK(error->code == Errc::no_tls);
        CHECK(context.client_verify()->text() == "FAILED:old");
      }
    }
  }
  CHECK(calls == 7 * 9);
}

TEST_CASE("phase: a refused call leaves an empty override empty") {
  PhaseContext context{Phase::log};
  const ClientTls tls{nullptr, context};
  CHECK_THROWS_AS(tls.set_client_verify("NONE"), PhaseError);
  CHECK(!tls.set_client_verify(verify_value("NONE")));
  CHECK(!context.client_verify().has_value());
}

TEST_CASE("phase: a phase or an operation that is none of the enumeration's is unknown, and nothing is allowed") {
  for (const Phase phase : {unknown_phase, last_phase}) {
    CHECK(to_string(phase) == "unknown");
    for (const PhaseRule& rule : phase_table) {
      CAPTURE(rule.name);
      CHECK(!allowed(rule.operation, phase));
      PhaseContext context{phase};
      const ClientTls tls{nullptr, context};
      check_refused(call(rule.operation, tls), expected_text(rule, "unknown"));
      if (rule.operation == Operation::set_client_verify) check_throws(tls, expected_text(rule, "unknown"));
      CHECK(!context.client_verify().has_value());
    }
  }
  for (const Operation operation : {unknown_operation, last_operation}) {
    CHECK(to_string(operation) == "unknown");
    for (const auto& [phase, name] : all_phases) CHECK(!allowed(operation, phase));
    CHECK(!allowed(operation, last_phase));
    CHECK(wrong_phase(operation, Phase::log).code == Errc::wrong_phase);
    CHECK(!wrong_phase(operation, last_phase).message.empty());
  }
}

TEST_CASE("phase: error texts are one line of printable ASCII with a NUL behind it") {
  for (std::size_t row = 0; row <= phase_table.size(); ++row) {
    for (std::size_t column = 0; column <= all_phases.size(); ++column) {
      const std::string_view text = wrong_phase(static_cast<Operation>(row), static_cast<Phase>(column)).message;
      CAPTURE(text);
      CHECK(!text.empty());
      CHECK(std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; }));
      CHECK(text.data()[text.size()] == '\0');
    }
  }
}

TEST_CASE("phase: the documentation's example has the text that it gives") {
  CHECK(wrong_phase(Operation::request_client_certificate, Phase::access).message ==
        "request_client_certificate cannot be called in access phase (only in: certificate)");
}

TEST_CASE("phase: two contexts are independent") {
  PhaseContext first{Phase::access};
  PhaseContext second{Phase::log};
  const ClientTls first_tls{nullptr, first};
  const ClientTls second_tls{nullptr, second};

  first_tls.set_client_verify("FAILED:first");
  CHECK_THROWS_AS(second_tls.set_client_verify("FAILED:second"), PhaseError);
  CHECK(!second.client_verify().has_value());

  second.enter(Phase::rewrite);
  CHECK(first.phase() == Phase::access);
  second_tls.set_client_verify("FAILED:second");
  first.enter(Phase::log);
  CHECK(first.client_verify()->text() == "FAILED:first");
  CHECK(second.client_verify()->text() == "FAILED:second");
  CHECK(second.phase() == Phase::rewrite);
}

TEST_CASE("phase: going back is allowed, and the override stays") {
  PhaseContext context{Phase::balancer};
  const ClientTls tls{nullptr, context};
  tls.set_client_verify("FAILED:first try");
  context.enter(Phase::rewrite);
  CHECK(context.client_verify()->text() == "FAILED:first try");
  tls.set_client_verify("NONE");
  context.enter(Phase::log);
  CHECK(context.client_verify()->text() == "NONE");
}

TEST_CASE("phase: In enters its phase, and the run-time check still holds") {
  PhaseContext context{Phase::log};
  const ClientTls::In<Phase::access> tls{nullptr, context};
  CHECK(context.phase() == Phase::access);
  tls.set_client_verify("NONE");
  context.enter(Phase::log);
  CHECK_THROWS_AS(tls.set_client_verify("SUCCESS"), PhaseError);
  CHECK(tls.set_client_verify(verify_value("SUCCESS")).error().code == Errc::wrong_phase);
  CHECK(context.client_verify()->text() == "NONE");
}

#include "client_tls/phase.hpp"

namespace client_tls {
namespace {

using detail::all_phases;
using detail::phase_table;
using detail::PhaseName;
using detail::PhaseRule;

// A text put together at compile time. The longest message fits with room to spare; a longer one does not compile.
struct Text {
  std::array<char, 192> bytes{};
  std::size_t size = 0;

  constexpr void append(std::string_view part) {
    for (const char c : part) bytes.at(size++) = c;
    (void)bytes.at(size);  // room for the terminating NUL
  }
};

consteval Text message(const PhaseRule& rule, std::string_view phase) {
  Text text;
  text.append(rule.name);
  text.append(" cannot be called in ");
  text.append(phase);
  text.append(" phase (only in: ");
  bool first = true;
  for (const PhaseName& entry : all_phases) {
    if (!rule.phases.contains(entry.phase)) continue;
    if (!first) text.append(", ");
    text.append(entry.name);
    first = false;
  }
  text.append(")");
  return text;
}

// One column more than there are phases, for a value that is none of them.
consteval auto all_messages() {
  std::array<std::array<Text, all_phases.size() + 1>, phase_table.size()> messages;
  for (std::size_t row = 0; row < phase_table.size(); ++row) {
    for (std::size_t column = 0; column < all_phases.size(); ++column) {
      messages[row][column] = message(phase_table[row], all_phases[column].name);
    }
    messages[row][all_phases.size()] = message(phase_table[row], "unknown");
  }
  return messages;
}

constexpr auto messages = all_messages();

consteval auto all_errors() {
  std::array<std::array<Error, all_phases.size() + 1>, phase_table.size()> errors;
  for (std::size_t row = 0; row < errors.size(); ++row) {
    for (std::size_t column = 0; column < errors[row].size(); ++column) {
      const Text& text = messages[row][column];
      errors[row][column] = {.code = Errc::wrong_phase, .message = {text.bytes.data(), text.size}};
    }
  }
  return errors;
}

constexpr auto errors = all_errors();

}  // namespace

Error wrong_phase(Operation operation, Phase phase) noexcept {
  const auto row = static_cast<std::size_t>(operation);
  const auto column = std::min(static_cast<std::size_t>(phase), all_phases.size());
  if (row >= errors.size()) return {.code = Errc::wrong_phase, .message = "unknown operation"};
  return errors[row][column];
}

}  // namespace client_tls

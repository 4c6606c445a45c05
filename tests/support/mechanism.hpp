// The six ways in which OpenSSL resumes a session. Without the library.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace test {

enum class Mechanism : std::uint8_t { id12, ticket12, stateless13, stateful13, external12, external13 };
inline constexpr std::array all_mechanisms{Mechanism::id12,       Mechanism::ticket12,   Mechanism::stateless13,
                                           Mechanism::stateful13, Mechanism::external12, Mechanism::external13};
inline constexpr std::array tls12_mechanisms{Mechanism::id12, Mechanism::ticket12, Mechanism::external12};
inline constexpr std::array tls13_mechanisms{Mechanism::stateless13, Mechanism::stateful13, Mechanism::external13};

// One of each, where the version matters and the mechanism does not.
inline constexpr std::array both_versions{Mechanism::ticket12, Mechanism::stateless13};

inline std::string_view to_string(Mechanism mechanism) {
  static constexpr std::array<std::string_view, all_mechanisms.size()> names{
      "1.2 session id",      "1.2 ticket",         "1.3 stateless ticket",
      "1.3 stateful ticket", "1.2 external cache", "1.3 external cache"};
  return names.at(static_cast<std::size_t>(mechanism));
}

inline bool is_tls13(Mechanism mechanism) {
  return std::ranges::find(tls13_mechanisms, mechanism) != tls13_mechanisms.end();
}

inline bool is_external(Mechanism mechanism) {
  return mechanism == Mechanism::external12 || mechanism == Mechanism::external13;
}

}  // namespace test

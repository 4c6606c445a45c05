// The ways to resume that can be told apart from outside.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <string_view>

namespace resumption_audit {

enum class Mechanism : std::uint8_t { session_id_1_2, ticket_1_2, ticket_1_3 };

inline constexpr std::array all_mechanisms{Mechanism::session_id_1_2, Mechanism::ticket_1_2, Mechanism::ticket_1_3};

constexpr int version_of(Mechanism mechanism) {
  return mechanism == Mechanism::ticket_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

constexpr std::string_view version_text(int version) {
  return version == TLS1_3_VERSION ? "1.3" : "1.2";
}

constexpr std::string_view to_string(Mechanism mechanism) {
  switch (mechanism) {
    case Mechanism::session_id_1_2:
      return "1.2 session id";
    case Mechanism::ticket_1_2:
      return "1.2 ticket";
    case Mechanism::ticket_1_3:
      break;
  }
  return "1.3 ticket";
}

}  // namespace resumption_audit

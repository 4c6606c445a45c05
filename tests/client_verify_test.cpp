// What set_client_verify takes, and what it leaves as it was.
#include "client_tls/log.hpp"

#include <array>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "client_tls/client_tls.hpp"
#include "support/catch.hpp"

namespace {

using namespace client_tls;
using namespace std::string_literals;

std::vector<std::string> good_values() {
  return {"SUCCESS",
          "NONE",
          "FAILED:x",
          "FAILED: ",
          "FAILED::",
          "FAILED:FAILED:x",
          "FAILED:unable to get local issuer certificate",
          "FAILED:~",
          "FAILED:" + std::string(ClientVerify::max_reason_size, 'x')};
}

std::vector<std::string> bad_values() {
  std::vector<std::string> values = {"",
                                     " ",
                                     "FAILED",
                                     "FAILED:",
                                     "FAILED ",
                                     "failed:x",
                                     "Failed:x",
                                     "FAILED;x",
                                     "SUCCESS ",
                                     " SUCCESS",
                                     "success",
                                     "SUCCESS:",
                                     "SUCCESSx",
                                     "SUCCES",
                                     " NONE",
                                     "NONE ",
                                     "none",
                                     "NONE:",
                                     "NONE\n",
                                     "SUCCESS\0"s,
                                     "NONE\0"s,
                                     "FAILED\0:x"s,
                                     "\0"s,
                                     "FAILED:\0"s,
                                     "FAILED:a\0b"s,
                                     "FAILED:x\0"s,
                                     " FAILED:x",
                                     "FAILED:x\r\nInjected: yes",
                                     "FAILED:\x1B[31mred"};
  values.push_back("FAILED:" + std::string(ClientVerify::max_reason_size + 1, 'x'));
  values.push_back("FAILED:" + std::string(1'000'000, 'x'));
  return values;
}

void check_refused(const std::string& value) {
  CAPTURE(value);
  const auto parsed = ClientVerify::parse(value);
  REQUIRE(!parsed);
  CHECK(parsed.error().code == Errc::invalid_argument);
  CHECK(!parsed.error().message.empty());
  CHECK(parsed.error().message.data()[parsed.error().message.size()] == '\0');

  PhaseContext context{Phase::access};
  const ClientTls tls{nullptr, context};
  CHECK_THROWS_AS(tls.set_client_verify(value), std::invalid_argument);
  CHECK(!context.client_verify().has_value());
  tls.set_client_verify("FAILED:old");
  CHECK_THROWS_AS(tls.set_client_verify(value), std::invalid_argument);
  CHECK_THROWS_WITH(tls.set_client_verify(value), std::string(parsed.error().message));
  CHECK(context.client_verify()->text() == "FAILED:old");
}

void check_accepted(const std::string& value) {
  CAPTURE(value);
  const auto parsed = ClientVerify::parse(value);
  REQUIRE(parsed);
  CHECK(parsed->text() == value);

  PhaseContext context{Phase::access};
  const ClientTls tls{nullptr, context};
  CHECK_NOTHROW(tls.set_client_verify(value));
  CHECK(context.client_verify() == *parsed);
  PhaseContext other{Phase::access};
  CHECK(ClientTls{nullptr, other}.set_client_verify(*parsed).has_value());
  CHECK(other.client_verify() == *parsed);
}

static_assert(!std::is_default_constructible_v<ClientVerify>);
static_assert(!std::is_constructible_v<ClientVerify, std::string>);
static_assert(std::is_nothrow_move_constructible_v<ClientVerify>);
static_assert(std::is_nothrow_move_assignable_v<ClientVerify>);

}  // namespace

TEST_CASE("client_verify: values that are documented are accepted") {
  for (const std::string& value : good_values()) check_accepted(value);
}

TEST_CASE("client_verify: values that are not are refused, and the former one stays") {
  for (const std::string& value : bad_values()) check_refused(value);
}

TEST_CASE("client_verify: of the 256 bytes, a reason may hold those of printable ASCII") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one{static_cast<char>(byte)};
    const bool printable = byte >= 0x20 && byte <= 0x7E;
    for (const std::string& reason : {one, one + "x", "x" + one, "x" + one + "x"}) {
      if (printable) {
        check_accepted("FAILED:" + reason);
      } else {
        check_refused("FAILED:" + reason);
      }
    }
  }
}

TEST_CASE("client_verify: each broken rule has a message of its own") {
  const auto message = [](std::string_view value) { return ClientVerify::parse(value).error().message; };
  const std::array messages{message("failed:x"), message("FAILED:"), message("FAILED:" + std::string(257, 'x')),
                            message("FAILED:\n")};
  for (std::size_t i = 0; i < messages.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK(messages[i] != messages[j]);
  }
}

TEST_CASE("client_verify: the value owns its text") {
  std::string text = "FAILED:expired";
  const auto parsed = ClientVerify::parse(text);
  text.assign(text.size(), 'x');
  CHECK(parsed->text() == "FAILED:expired");
}

TEST_CASE("client_verify: a wrong phase comes before a bad value") {
  PhaseContext context{Phase::log};
  const ClientTls tls{nullptr, context};
  for (const std::string& value : bad_values()) CHECK_THROWS_AS(tls.set_client_verify(value), PhaseError);
  CHECK(!context.client_verify().has_value());
}

TEST_CASE("client_verify: a value that was moved from is refused") {
  PhaseContext context{Phase::access};
  const ClientTls tls{nullptr, context};
  auto value = *ClientVerify::parse("FAILED:a reason long enough for the heap");
  REQUIRE(tls.set_client_verify(std::move(value)));
  const auto again = tls.set_client_verify(std::move(value));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == client_tls::Errc::invalid_argument);
  CHECK(context.client_verify()->text() == "FAILED:a reason long enough for the heap");
}

#include "client_tls/log.hpp"

#include <algorithm>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::string_view failed_prefix = "FAILED:";

constexpr bool printable(char c) noexcept {
  return c >= 0x20 && c <= 0x7E;
}

Result<void> check(std::string_view value) noexcept {
  if (value == "SUCCESS" || value == "NONE") return {};
  if (!value.starts_with(failed_prefix)) {
    return failure(Errc::invalid_argument, "client_verify must be SUCCESS, NONE or FAILED:<reason>");
  }
  const std::string_view reason = value.substr(failed_prefix.size());
  if (reason.empty()) return failure(Errc::invalid_argument, "client_verify: FAILED: needs a reason");
  if (reason.size() > ClientVerify::max_reason_size) {
    return failure(Errc::invalid_argument, "client_verify: the reason is longer than 256 bytes");
  }
  if (!std::ranges::all_of(reason, printable)) {
    return failure(Errc::invalid_argument, "client_verify: the reason must be printable ASCII");
  }
  return {};
}

}  // namespace

Result<ClientVerify> ClientVerify::parse(std::string_view value) noexcept {
  if (auto valid = check(value); !valid) return valid.error();
  return or_out_of_memory([&]() -> Result<ClientVerify> { return ClientVerify(std::string(value)); });
}

}  // namespace client_tls

#include "limits_check.hpp"

#include <limits>

#include "errors.hpp"

namespace client_tls {
namespace {

constexpr std::size_t max_certificates = 100;

}  // namespace

Result<void> check_limits(const Limits& limits) noexcept {
  static_assert(Limits::max_limit_bytes == 60'000);  // the texts say it
  const auto within = [](std::size_t value, std::size_t min, std::size_t max) { return value >= min && value <= max; };
  if (!within(limits.max_chain_bytes, 1, Limits::max_limit_bytes)) {
    return failure(Errc::invalid_argument, "max_chain_bytes: it must be 1 to 60,000");
  }
  if (!within(limits.max_chain_certificates, 1, max_certificates)) {
    return failure(Errc::invalid_argument, "max_chain_certificates: it must be 1 to 100");
  }
  if (!within(limits.max_carried_bytes, 0, Limits::max_limit_bytes)) {
    return failure(Errc::invalid_argument, "max_carried_bytes: it must be 0 to 60,000");
  }
  return {};
}

Result<void> check_max_age(const std::optional<std::chrono::seconds>& max_age) noexcept {
  constexpr std::chrono::seconds longest{std::numeric_limits<std::int32_t>::max()};
  if (!max_age || (max_age->count() >= 1 && *max_age <= longest)) return {};
  return failure(Errc::invalid_argument, "max_age: it must be a second to 2^31 - 1 seconds");
}

}  // namespace client_tls

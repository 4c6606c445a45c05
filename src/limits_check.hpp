// Whether a host's limits are within their ranges.
#pragma once

#include <chrono>
#include <optional>

#include "client_tls/limits.hpp"
#include "client_tls/result.hpp"

namespace client_tls {

[[nodiscard]] Result<void> check_limits(const Limits& limits) noexcept;
[[nodiscard]] Result<void> check_max_age(const std::optional<std::chrono::seconds>& max_age) noexcept;

}  // namespace client_tls

#include "certificate_time.hpp"

#include <chrono>
#include <ctime>
#include <limits>

namespace client_tls {

std::int64_t seconds_since_epoch(const ASN1_TIME* time) noexcept {
  using namespace std::chrono;
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return std::numeric_limits<std::int64_t>::min();
  const sys_days date = year{parts.tm_year + 1900} / month{static_cast<unsigned>(parts.tm_mon) + 1} /
                        day{static_cast<unsigned>(parts.tm_mday)};
  return duration_cast<seconds>(date.time_since_epoch() + hours{parts.tm_hour} + minutes{parts.tm_min} +
                                seconds{parts.tm_sec})
      .count();
}

}  // namespace client_tls

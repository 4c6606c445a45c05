#include "support/clock.hpp"

#include <sys/time.h>

#include <atomic>

namespace {
constinit std::atomic<std::time_t> offset{0};
}

// OpenSSL 3.0 asks time() for everything that has to do with sessions and certificates; a definition in the executable
// comes before the C library's. It stands still, so that no test depends on the second in which it runs.
extern "C" std::time_t time(std::time_t* out) noexcept {
  static const std::time_t start = [] {
    timeval now{};
    gettimeofday(&now, nullptr);
    return now.tv_sec;
  }();
  const std::time_t result = start + offset.load(std::memory_order_relaxed);
  if (out != nullptr) *out = result;
  return result;
}

namespace test {

void advance_time(std::time_t seconds) {
  offset += seconds;
}

ClockRestorer::ClockRestorer() : offset_(offset) {}
ClockRestorer::~ClockRestorer() {
  offset = offset_;
}

}  // namespace test

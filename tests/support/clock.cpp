#include "support/clock.hpp"

#include <sys/time.h>

#include <atomic>

namespace {

using std::chrono::milliseconds;

constinit std::atomic<milliseconds> offset{milliseconds{0}};

milliseconds now() noexcept {
  static const milliseconds start = [] {
    timespec real{};
    clock_gettime(CLOCK_REALTIME, &real);
    return std::chrono::seconds{real.tv_sec};
  }();
  return start + offset.load(std::memory_order_relaxed);
}

}  // namespace

// What OpenSSL asks for everything that has to do with sessions and certificates: before 3.3 time(), since then
// gettimeofday() for sessions. A definition in the executable comes before the C library's.
extern "C" std::time_t time(std::time_t* out) noexcept {
  const std::time_t result = now().count() / 1000;
  if (out != nullptr) *out = result;
  return result;
}

extern "C" int gettimeofday(timeval* out, void* /*zone*/) noexcept {
  *out = {.tv_sec = now().count() / 1000, .tv_usec = now().count() % 1000 * 1000};
  return 0;
}

namespace test {

void advance_time(milliseconds time) {
  offset = offset.load() + time;
}

ClockRestorer::ClockRestorer() : offset_(offset.load()) {}
ClockRestorer::~ClockRestorer() {
  offset = offset_;
}

}  // namespace test

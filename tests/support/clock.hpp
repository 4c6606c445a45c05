// The time that the library and OpenSSL see in a test: simulated, never slept.
#pragma once

#include <chrono>
#include <ctime>

namespace test {

// Moves the clock on, for the whole process. It starts with a second of the machine's time, and then stands still.
void advance_time(std::chrono::milliseconds time);
inline void advance_time(std::time_t seconds) {
  advance_time(std::chrono::seconds{seconds});
}

// Puts the clock back to where it was at construction when the test ends.
class ClockRestorer {
 public:
  ClockRestorer();
  ~ClockRestorer();
  ClockRestorer(const ClockRestorer&) = delete;
  ClockRestorer& operator=(const ClockRestorer&) = delete;

 private:
  std::chrono::milliseconds offset_;
};

}  // namespace test

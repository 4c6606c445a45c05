// The time that the library and OpenSSL see in a test: simulated, never slept.
#pragma once

#include <ctime>

namespace test {

// Moves the clock on, for the whole process. It starts at the time of the machine, and then stands still.
void advance_time(std::time_t seconds);

// Puts the clock back to where it was at construction when the test ends.
class ClockRestorer {
 public:
  ClockRestorer();
  ~ClockRestorer();
  ClockRestorer(const ClockRestorer&) = delete;
  ClockRestorer& operator=(const ClockRestorer&) = delete;

 private:
  std::time_t offset_;
};

}  // namespace test

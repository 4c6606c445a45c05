// Every allocation of the process, OpenSSL's and C++'s: counted, and made to fail. For programs of their own, because
// OpenSSL takes its memory functions only before it has allocated anything.
#pragma once

#include <cstddef>

namespace test {

// Whether OpenSSL has taken the memory functions.
bool counts_openssl();

std::size_t bytes_in_use();  // as they were asked for
std::size_t blocks_in_use();
std::size_t allocations_made();  // since the program began

// The most bytes in use since the last call of forget_peak.
std::size_t peak_bytes();
void forget_peak();

// Every how manyeth allocation is to fail. All of them take minutes: scripts/test does a part, .ci/run more of them
// (CLIENT_TLS_ALLOCATION_STRIDE).
std::size_t allocation_stride();

// As long as it lives, one allocation fails, or all from that one on: of those that are made where a Failing::Here
// lives, the first of which has the number 0. For one thread.
enum class Mode : bool { once, from_there_on };
class Failing {
 public:
  Failing(std::size_t number, Mode mode);
  ~Failing();
  Failing(const Failing&) = delete;
  Failing& operator=(const Failing&) = delete;

  [[nodiscard]] static bool has_failed();

  class Here {
   public:
    Here();
    ~Here();
    Here(const Here&) = delete;
    Here& operator=(const Here&) = delete;
  };
};

}  // namespace test

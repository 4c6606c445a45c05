// For what the tests are made of, which has no assertions of Catch2's.
#pragma once

#include <stdexcept>

namespace test {

inline void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

}  // namespace test

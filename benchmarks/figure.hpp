// How times are taken, and how figures are printed, one a line: "name value limit"; the limit is "-" where there is
// none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

namespace bench {

inline void print_number(double number) {
  const bool whole = std::floor(number) == number;
  std::printf(" %.*f", whole ? 0 : 4, number);
}

inline void print_figure(const std::string& name, double value, std::optional<double> limit = std::nullopt) {
  std::printf("%s", name.c_str());
  print_number(value);
  if (limit) print_number(*limit);
  std::printf("%s\n", limit ? "" : " -");
  std::fflush(stdout);
}

template <class Work>
double nanoseconds(Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
}

// Keeps the compiler from moving the calls together, or leaving them out.
template <class T>
void use(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

// How often to repeat: the program's argument, or else what gives steady figures.
inline std::size_t repetitions(int argc, char** argv, std::size_t otherwise) {
  return argc > 1 ? std::strtoul(argv[1], nullptr, 10) : otherwise;
}

// What it takes when nothing disturbs it: the tenth percentile. Other work on the machine only ever adds to a time.
inline double undisturbed(std::vector<double> values) {
  const auto position = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 10);
  std::nth_element(values.begin(), position, values.end());
  return *position;
}

}  // namespace bench

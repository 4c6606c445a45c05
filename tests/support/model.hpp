// Random lives: how many steps, and from which seed, by the environment's CLIENT_TLS_MODEL_STEPS and
// CLIENT_TLS_MODEL_SEED. Both are printed.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "support/catch.hpp"
#include "support/clock.hpp"

namespace test {

inline std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* value = std::getenv(variable);
  return value != nullptr ? std::strtoull(value, nullptr, 10) : otherwise;
}

// One life of a World after another, each from the time that it was. `at_end` is told of each World.
template <class World, class AtEnd>
void live(std::uint64_t steps_of_a_life, AtEnd at_end) {
  const std::uint64_t seed = number_from("CLIENT_TLS_MODEL_SEED", std::random_device{}());
  const std::uint64_t steps = number_from("CLIENT_TLS_MODEL_STEPS", 2000);
  std::printf("CLIENT_TLS_MODEL_SEED=%llu CLIENT_TLS_MODEL_STEPS=%llu\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(steps));
  std::mt19937_64 random(seed);
  for (std::uint64_t done = 0; done < steps;) {
    const ClockRestorer clock;
    World world(random);
    for (std::uint64_t i = 0; i < steps_of_a_life && done < steps; ++i, ++done) {
      CAPTURE(seed, done);
      world.step();
    }
    at_end(world);
  }
}

}  // namespace test

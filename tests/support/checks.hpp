// What several files of tests check, with Catch2's assertions.
#pragma once

#include <openssl/err.h>

#include <string>
#include <string_view>
#include <utility>

#include "support/catch.hpp"
#include "support/clock.hpp"
#include "support/verdicts.hpp"

namespace test {

// A section for each mechanism and way, which begins at the time that it was.
template <class Check>
void for_each_way(const std::string& name, Check check) {
  for (const Mechanism mechanism : all_mechanisms) {
    for (const Way way : both_ways) {
      DYNAMIC_SECTION(name << ", " << to_string(mechanism) << ", " << to_string(way)) {
        const ClockRestorer clock;
        check(mechanism, way);
      }
    }
  }
}

// Who the client is and why, and for how long; not where it is known from.
inline void check_same(const client_tls::Verdict& now, const client_tls::Verdict& before) {
  CHECK(now.status() == before.status());
  CHECK(std::ranges::equal(now.reasons(), before.reasons()));
  CHECK(std::ranges::equal(now.warnings(), before.warnings()));
  CHECK(now.authenticated_at() == before.authenticated_at());
  CHECK(now.ends_at() == before.ends_at());
}

// The same also of what the client presented, on connections that need not be the same.
inline void check_all_the_same(const client_tls::Verdict& now, const client_tls::Verdict& before) {
  check_same(now, before);
  CHECK(now.verified_by() == before.verified_by());
  CHECK(now.presented() == before.presented());
}

// The same of one connection.
inline void check_same_connection(const client_tls::Verdict& now, const client_tls::Verdict& before) {
  check_same(now, before);
  CHECK(now.resumed() == before.resumed());
}

// Why there can be no policy with these options.
inline std::string_view refusal_of(client_tls::PolicyOptions options) {
  const auto policy = client_tls::ClientAuthPolicy::make(std::move(options));
  REQUIRE_FALSE(policy);
  CHECK(policy.error().code == client_tls::Errc::invalid_argument);
  CHECK(ERR_peek_error() == 0);
  return policy.error().message;
}

}  // namespace test

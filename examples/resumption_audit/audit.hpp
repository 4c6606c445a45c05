// The audit: what each name asks of a new client, then each session under each name.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string_view>
#include <vector>

#include "client.hpp"
#include "outcome.hpp"

namespace resumption_audit {

// A new client under a name: nothing is offered.
struct Visit {
  std::size_t client;  // an index into Audit::clients, and so on
  std::size_t name;
  int version;
  Observation seen;
};

// A session of one name, offered under another, or under the same.
struct Pair {
  std::size_t client;
  std::size_t made_under;
  std::size_t offered_under;
  Mechanism mechanism;
  Outcome outcome = Outcome::no_session;
  Observation made;
  Observation offered;  // as it began, if it came to no offer
};

struct Audit {
  std::vector<std::string> names;
  std::vector<Client> clients;
  std::vector<Visit> visits;
  std::vector<Pair> pairs;

  [[nodiscard]] const Observation& fresh(std::size_t client, std::size_t name, int version) const;
  [[nodiscard]] Policy policy(std::size_t name, int version) const;
  [[nodiscard]] std::map<Outcome, std::size_t> count() const;
  [[nodiscard]] bool reached() const;  // at least one handshake was completed
  [[nodiscard]] std::size_t count_if(bool (*is_such)(Outcome)) const;
};

// Gets a line of progress now and then.
using Progress = std::function<void(std::string_view)>;

// Throws Unreachable if the server cannot be connected to at all.
Audit run_audit(const Options& options, std::vector<Client> clients, const Progress& progress);

}  // namespace resumption_audit

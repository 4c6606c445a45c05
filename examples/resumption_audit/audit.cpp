#include "audit.hpp"

#include <algorithm>
#include <stdexcept>

namespace resumption_audit {
namespace {

// Whether a session made here is one that the mechanism is about: a server without tickets hands out ids instead.
bool is_session_of(Mechanism mechanism, const SSL_SESSION* session) {
  if (session == nullptr) return false;
  return (SSL_SESSION_has_ticket(session) == 1) == (mechanism != Mechanism::session_id_1_2);
}

bool was_no_answer(const Observation& seen) {
  return seen.ending == Ending::unreachable || seen.ending == Ending::timed_out || seen.ending == Ending::garbled;
}

Outcome outcome_of_no_answer(const Observation& seen) {
  if (seen.ending == Ending::timed_out) return Outcome::timed_out;
  return seen.ending == Ending::garbled ? Outcome::garbled : Outcome::unreachable;
}

// A server that has gone in the middle of the audit is not waited for thousands of times.
constexpr int max_in_vain = 10;

class Auditor {
 public:
  Auditor(const Options& options, std::vector<Client> clients, const Progress& progress)
      : options_(options), progress_(progress), server_(find_server(options)) {
    audit_.names = options.names;
    audit_.clients = std::move(clients);
  }

  Audit run() {
    visit_as_a_new_client(TLS1_2_VERSION);
    visit_as_a_new_client(TLS1_3_VERSION);
    in_vain_ = 0;
    for (const Mechanism mechanism : options_.mechanisms) {
      for (std::size_t client = 0; client < audit_.clients.size(); ++client) {
        report(std::string("TLS ").append(to_string(mechanism)) + ", certificate: " + audit_.clients[client].label);
        for (std::size_t name = 0; name < audit_.names.size(); ++name) offer_everywhere(client, name, mechanism);
      }
    }
    return std::move(audit_);
  }

 private:
  void report(const std::string& line) { progress_(line); }

  void visit_as_a_new_client(int version) {
    const auto of_version = [version](Mechanism mechanism) { return version_of(mechanism) == version; };
    const auto mechanism = std::ranges::find_if(options_.mechanisms, of_version);
    if (mechanism == options_.mechanisms.end()) return;
    report(std::string("TLS ").append(version_text(version)) + ", new clients");
    for (std::size_t client = 0; client < audit_.clients.size(); ++client) {
      for (std::size_t name = 0; name < audit_.names.size(); ++name) {
        Observation seen = connect(client, name, *mechanism);
        if (audit_.visits.empty() && seen.ending == Ending::unreachable) {
          throw Unreachable("no connection to " + options_.host + " port " + std::to_string(options_.port) + ": " +
                            seen.error);
        }
        audit_.visits.push_back({client, name, version, std::move(seen)});
      }
    }
  }

  Observation connect(std::size_t client, std::size_t name, Mechanism mechanism, SSL_SESSION* session = nullptr) {
    Observation seen = probe(server_, audit_.clients[client].context(mechanism), audit_.names[name], session);
    const bool in_vain = seen.ending == Ending::unreachable || seen.ending == Ending::timed_out;
    in_vain_ = in_vain ? in_vain_ + 1 : 0;
    return seen;
  }

  // The session's own name comes first: without it a full handshake elsewhere shows nothing.
  void offer_everywhere(std::size_t client, std::size_t made_under, Mechanism mechanism) {
    const bool resumes = offer(client, made_under, made_under, mechanism, true);
    for (std::size_t name = 0; name < audit_.names.size(); ++name) {
      if (name != made_under) offer(client, made_under, name, mechanism, resumes);
    }
  }

  // Whether it was resumed. Each pair has a session of its own: some servers take one only once.
  bool offer(std::size_t client, std::size_t made_under, std::size_t offered_under, Mechanism mechanism,
             bool own_name_resumes) {
    Pair& pair = audit_.pairs.emplace_back(Pair{.client = client,
                                                .made_under = made_under,
                                                .offered_under = offered_under,
                                                .mechanism = mechanism,
                                                .made = {},
                                                .offered = {}});
    pair.outcome = try_pair(pair, own_name_resumes);
    return pair.offered.resumed;
  }

  Outcome try_pair(Pair& pair, bool own_name_resumes) {
    if (in_vain_ >= max_in_vain) return Outcome::unreachable;
    const int version = version_of(pair.mechanism);
    const Observation& fresh = audit_.fresh(pair.client, pair.offered_under, version);
    // Who does not answer a new client would be waited for again and again.
    for (const Observation* seen : {&audit_.fresh(pair.client, pair.made_under, version), &fresh}) {
      if (was_no_answer(*seen)) return outcome_of_no_answer(*seen);
    }
    pair.made = connect(pair.client, pair.made_under, pair.mechanism);
    if (was_no_answer(pair.made)) return outcome_of_no_answer(pair.made);
    if (!is_session_of(pair.mechanism, pair.made.session.get())) return Outcome::no_session;
    pair.offered = connect(pair.client, pair.offered_under, pair.mechanism, pair.made.session.get());
    const bool own_name = pair.made_under == pair.offered_under;
    return classify({.own_name = own_name,
                     .own_name_resumes = own_name ? pair.offered.resumed : own_name_resumes,
                     .made_under = audit_.policy(pair.made_under, version),
                     .offered_under = audit_.policy(pair.offered_under, version),
                     .made = pair.made,
                     .fresh = fresh,
                     .offered = pair.offered});
  }

  const Options& options_;
  const Progress& progress_;
  Server server_;
  Audit audit_;
  int in_vain_ = 0;  // connections in a row that had no answer
};

}  // namespace

const Observation& Audit::fresh(std::size_t client, std::size_t name, int version) const {
  for (const Visit& visit : visits) {
    if (visit.client == client && visit.name == name && visit.version == version) return visit.seen;
  }
  throw std::logic_error("no such visit");
}

// Any client that was asked tells what the name asks: who has no certificate is asked like the others.
Policy Audit::policy(std::size_t name, int version) const {
  for (const Visit& visit : visits) {
    if (visit.name == name && visit.version == version && visit.seen.asked) return {true, visit.seen.ca_names};
  }
  return {};
}

std::map<Outcome, std::size_t> Audit::count() const {
  std::map<Outcome, std::size_t> counts;
  for (const Pair& pair : pairs) ++counts[pair.outcome];
  return counts;
}

bool Audit::reached() const {
  return std::ranges::any_of(visits, [](const Visit& visit) { return visit.seen.handshake_done; });
}

std::size_t Audit::count_if(bool (*is_such)(Outcome)) const {
  const auto is_such_pair = [is_such](const Pair& pair) { return is_such(pair.outcome); };
  return static_cast<std::size_t>(std::ranges::count_if(pairs, is_such_pair));
}

Audit run_audit(const Options& options, std::vector<Client> clients, const Progress& progress) {
  return Auditor(options, std::move(clients), progress).run();
}

}  // namespace resumption_audit

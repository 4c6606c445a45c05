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
    return probe(server_, audit_.clients[client].context(mechanism), audit_.names[name], session);
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
    const int version = version_of(mechanism);
    const Observation& fresh = audit_.fresh(client, offered_under, version);
    if (!audit_.fresh(client, made_under, version).handshake_done) return false;  // as a new client: no session
    if (was_no_answer(fresh)) {  // to a new client, who would be waited for again and again
      pair.outcome = outcome_of_no_answer(fresh);
      return false;
    }
    pair.made = connect(client, made_under, mechanism);
    if (!is_session_of(mechanism, pair.made.session.get())) return false;
    pair.offered = connect(client, offered_under, mechanism, pair.made.session.get());
    const bool own_name = made_under == offered_under;
    pair.outcome = classify({.own_name = own_name,
                             .own_name_resumes = own_name ? pair.offered.resumed : own_name_resumes,
                             .made_under = audit_.policy(made_under, version),
                             .offered_under = audit_.policy(offered_under, version),
                             .made = pair.made,
                             .fresh = fresh,
                             .offered = pair.offered});
    return pair.offered.resumed;
  }

  const Options& options_;
  const Progress& progress_;
  Server server_;
  Audit audit_;
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

Audit run_audit(const Options& options, std::vector<Client> clients, const Progress& progress) {
  return Auditor(options, std::move(clients), progress).run();
}

}  // namespace resumption_audit

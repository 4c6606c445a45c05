#include "json_report.hpp"

#include "table.hpp"

namespace resumption_audit {
namespace {

using Json = nlohmann::ordered_json;

// Null for the client without one.
Json certificate_of(const Audit& audit, std::size_t client) {
  return client == 0 ? Json(nullptr) : Json(audit.clients[client].label);
}

Json ending(const Observation& seen) {
  Json json = {{"text", ending_text(seen)}};
  if (seen.status != 0) json["status"] = seen.status;
  if (seen.alert != 0) json["alert"] = {{"number", seen.alert}, {"text", alert_text(seen.alert)}};
  if (!seen.error.empty()) json["error"] = seen.error;
  return json;
}

Json new_client(const Audit& audit, const Visit& visit) {
  return {{"certificate", certificate_of(audit, visit.client)},
          {"name", audit.names[visit.name]},
          {"tls", version_text(visit.version)},
          {"asked", visit.seen.asked},
          {"ca_names", visit.seen.ca_names},
          {"certificate_sent", visit.seen.certificate_sent},
          {"ending", ending(visit.seen)}};
}

Json pair_report(const Audit& audit, const Pair& pair) {
  Json json = {{"certificate", certificate_of(audit, pair.client)},
               {"made_under", audit.names[pair.made_under]},
               {"offered_under", audit.names[pair.offered_under]},
               {"mechanism", to_string(pair.mechanism)},
               {"outcome", text_of(pair.outcome).id},
               {"made", nullptr},
               {"offered", nullptr}};
  if (pair.made.handshake_done) {
    json["made"] = {{"certificate_sent", pair.made.certificate_sent}, {"ending", ending(pair.made)}};
  }
  // What came to no offer has no more to tell than its outcome.
  if (pair.made.session != nullptr && pair.outcome != Outcome::no_session) {
    json["offered"] = {{"resumed", pair.offered.resumed},
                       {"asked", pair.offered.asked},
                       {"certificate_sent", pair.offered.certificate_sent},
                       {"ending", ending(pair.offered)}};
  }
  return json;
}

}  // namespace

Json json_report(const Options& options, const Audit& audit) {
  Json json = {{"host", options.host}, {"port", options.port}, {"names", audit.names}};
  json["certificates"] = Json::array();
  for (const Client& client : audit.clients) {
    if (!client.subject.empty()) json["certificates"].push_back({{"label", client.label}, {"subject", client.subject}});
  }
  json["new_clients"] = Json::array();
  for (const Visit& visit : audit.visits) json["new_clients"].push_back(new_client(audit, visit));
  json["pairs"] = Json::array();
  for (const Pair& pair : audit.pairs) json["pairs"].push_back(pair_report(audit, pair));
  const auto counts = audit.count();
  for (const OutcomeText& text : outcome_texts) {
    const auto found = counts.find(text.outcome);
    json["counts"][std::string(text.id)] = found == counts.end() ? 0 : found->second;
  }
  json["summary"] = summary(audit);
  return json;
}

}  // namespace resumption_audit

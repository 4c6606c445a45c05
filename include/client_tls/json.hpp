// LogEntry as JSON, for programs that use nlohmann-json: its own to_json convention, found by argument-dependent
// look-up. The library itself neither needs nor links nlohmann-json; only who includes this header does.
#pragma once

#include <nlohmann/json.hpp>

#include "client_tls/log.hpp"

namespace client_tls {

// {"version": ..., "cipher": ..., "client_verify": ...}, the object that Kong logs as request.tls. Works for
// nlohmann::json and nlohmann::ordered_json. Throws what the assignment throws (std::bad_alloc).
template <class BasicJson>
void to_json(BasicJson& json, const LogEntry& entry) {
  json = BasicJson{{"version", entry.version}, {"cipher", entry.cipher}, {"client_verify", entry.client_verify}};
}

}  // namespace client_tls

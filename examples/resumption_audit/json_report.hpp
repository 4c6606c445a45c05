// The report for programs.
#pragma once

#include <nlohmann/json.hpp>

#include "audit.hpp"

namespace resumption_audit {

nlohmann::ordered_json json_report(const Options& options, const Audit& audit);

}  // namespace resumption_audit

// The report for people.
#pragma once

#include <iosfwd>

#include "audit.hpp"

namespace resumption_audit {

void write_table(std::ostream& out, const Audit& audit);

// One sentence: what was found.
std::string summary(const Audit& audit);

}  // namespace resumption_audit

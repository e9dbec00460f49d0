// Whether a file that says it is a report has what readers of reports rely on: it may have been cut off, or edited.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace p11shim {

// Of a p11shim.bench.run/1 document: what is wrong and where; empty if nothing is.
std::string report_flaw(const nlohmann::json& document);

}  // namespace p11shim

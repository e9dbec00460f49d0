// One page with everything in it: no script, no font, no picture from elsewhere, so that it opens anywhere.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace p11shim {

// Of p11shim.bench.run documents; of two, with their comparison (p11shim.bench.compare's data; null: none).
std::string html_report(const std::vector<nlohmann::json>& documents);
std::string html_report(const std::vector<nlohmann::json>& documents, const nlohmann::json& comparison);

}  // namespace p11shim

// Two reports of `bench run`, test by test: faster, slower, no change, or impossible to tell.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace p11shim {

// Throws Failure: kNotFound (no such file), kConfiguration (no report, or of another schema version).
nlohmann::json read_bench_report(const std::string& path);

// The data of p11shim.bench.compare/1. A change is what has a probability below `alpha` to be chance;
// `tolerance` is what must at least be seen: a comparison that could miss it is "noisy".
nlohmann::json compare_reports(const nlohmann::json& a, const nlohmann::json& b, double alpha, double tolerance);

}  // namespace p11shim

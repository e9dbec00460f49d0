// Two reports of `bench run`, test by test: faster, slower, no change, or impossible to tell.
//
// The median latency is what a change shows in first. Two things can get worse behind its back, the rate (all that
// the time went to) and the tail; both are judged too, more strictly: by tenths of `alpha`, which the median has the
// rest of, so that chance is called a change no more often than `alpha` says.
//
// Where both reports know how fast the machine itself was (machine_work.h), everything is judged twice, as it was
// measured and without the machine's own change, and a change is what both call one.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace p11shim {

// Throws Failure: kNotFound (no such file), kConfiguration (no report, a damaged one, or of another schema version).
nlohmann::json read_bench_report(const std::string& path);

// The data of p11shim.bench.compare/1. A change is what has a probability below `alpha` to be chance;
// `tolerance` is what must at least be seen: a comparison that could miss it is "noisy". What got worse by more, and
// what the first report has and the second one has not, is "regressed".
nlohmann::json compare_reports(const nlohmann::json& a, const nlohmann::json& b, double alpha, double tolerance);

}  // namespace p11shim

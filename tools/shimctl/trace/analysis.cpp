#include "tools/shimctl/trace/analysis.h"

#include <algorithm>

namespace p11shim {

namespace {

// The smallest value that `part` of a thousand do not exceed.
std::int64_t percentile(const std::vector<std::int64_t>& sorted, std::size_t part) {
  const std::size_t rank = (sorted.size() * part + 999) / 1000;
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

}  // namespace

Durations durations_of(std::vector<std::int64_t> all) {
  Durations found;
  if (all.empty()) return found;
  std::sort(all.begin(), all.end());
  found.count = all.size();
  for (const auto each : all) found.sum += each;
  found.min = all.front();
  found.max = all.back();
  found.p50 = percentile(all, 500);
  found.p90 = percentile(all, 900);
  found.p99 = percentile(all, 990);
  found.p999 = percentile(all, 999);
  return found;
}

bool is_failure(CK_RV rv) {
  return rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL && rv != CKR_ATTRIBUTE_TYPE_INVALID &&
         rv != CKR_ATTRIBUTE_SENSITIVE;
}

Analysis analyze(const Recording& recording, std::size_t slowest) {
  Analysis found;
  std::map<std::string, std::vector<std::int64_t>> by_function;
  std::map<std::string, std::uint64_t> failed;
  std::map<std::pair<std::string, CK_RV>, std::uint64_t> errors;
  std::vector<std::int64_t> all;
  std::int64_t end = 0;
  for (const RecordedCall& call : recording.calls) {
    all.push_back(call.took_ns);
    by_function[call.function].push_back(call.took_ns);
    end = std::max(end, call.began_ns + call.took_ns);
    if (call.mechanism) ++found.mechanisms[*call.mechanism];
    found.slowest.push_back(&call);
    if (!is_failure(call.rv)) continue;
    ++found.failed;
    ++failed[call.function];
    ++errors[{call.function, call.rv}];
  }
  found.calls = recording.calls.size();
  if (!recording.calls.empty()) found.seconds = static_cast<double>(end - recording.calls.front().began_ns) / 1e9;
  found.took = durations_of(std::move(all));
  for (auto& [function, took] : by_function)
    found.functions.push_back({function, failed[function], durations_of(std::move(took))});
  std::stable_sort(found.functions.begin(), found.functions.end(),
                   [](const FunctionSummary& a, const FunctionSummary& b) { return a.took.sum > b.took.sum; });
  for (const auto& [key, count] : errors) found.errors.push_back({key.first, key.second, count});
  std::stable_sort(found.errors.begin(), found.errors.end(),
                   [](const ErrorSummary& a, const ErrorSummary& b) { return a.count > b.count; });
  std::stable_sort(found.slowest.begin(), found.slowest.end(),
                   [](const RecordedCall* a, const RecordedCall* b) { return a->took_ns > b->took_ns; });
  if (found.slowest.size() > slowest) found.slowest.resize(slowest);
  return found;
}

}  // namespace p11shim

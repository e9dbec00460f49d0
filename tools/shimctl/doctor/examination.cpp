#include "tools/shimctl/doctor/examination.h"

#include <algorithm>

namespace p11shim {

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSkip: return "SKIP";
    case Verdict::kPass: return "PASS";
    case Verdict::kWarn: return "WARN";
    default: return "FAIL";
  }
}

const Finding* Examination::find(std::string_view check) const {
  const auto found = std::find_if(findings_.begin(), findings_.end(),
                                  [check](const Finding& finding) { return finding.check == check; });
  return found == findings_.end() ? nullptr : &*found;
}

void Examination::leave_out(std::string_view check, const std::string& why) {
  add(check, Verdict::kSkip, why);
  const_cast<Finding*>(find(check))->irrelevant = true;
}

void Examination::add(std::string_view check, Verdict verdict, const std::string& detail) {
  auto* finding = const_cast<Finding*>(find(check));
  if (finding == nullptr) {
    findings_.push_back({.check = std::string(check), .verdict = verdict, .detail = detail});
  } else if (verdict > finding->verdict) {
    finding->verdict = verdict;
    finding->detail = detail;
  } else if (verdict == finding->verdict) {
    finding->detail += "; " + detail;
  }
}

}  // namespace p11shim

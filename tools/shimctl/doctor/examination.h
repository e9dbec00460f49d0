// What the checks of doctor found: one finding for each check, the worst of all that was seen.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace p11shim {

enum class Verdict : std::uint8_t { kSkip, kPass, kWarn, kFail };  // from harmless to bad
const char* verdict_name(Verdict verdict);                         // "PASS"

struct Finding {
  std::string check;  // as data/checks_*.toml calls it
  Verdict verdict = Verdict::kPass;
  std::string detail;
  bool irrelevant = false;  // skipped, since it concerns nothing that is there
};

class Examination {
 public:
  void pass(std::string_view check, const std::string& detail) { add(check, Verdict::kPass, detail); }
  void warn(std::string_view check, const std::string& detail) { add(check, Verdict::kWarn, detail); }
  void fail(std::string_view check, const std::string& detail) { add(check, Verdict::kFail, detail); }
  void skip(std::string_view check, const std::string& why) { add(check, Verdict::kSkip, why); }
  // Skipped as well, but nothing is missing by it.
  void leave_out(std::string_view check, const std::string& why);

  const std::vector<Finding>& findings() const { return findings_; }
  const Finding* find(std::string_view check) const;

 private:
  // Of one check the worse verdict counts; details of the same verdict are joined.
  void add(std::string_view check, Verdict verdict, const std::string& detail);

  std::vector<Finding> findings_;
};

}  // namespace p11shim

// Runs cases of the contract on one side or on both, and compares.
#pragma once

#include <map>
#include <ostream>

#include "cases.h"
#include "compare/comparator.h"

namespace p11shim::contract {

// What one run of one case left behind.
struct CaseRecord {
  std::string transcript;
  std::string failure;  // of the process: a crash, a deadline, a must()
};

CaseRecord run_case(const Case& test_case, const Side& side);

// Prints what differs, and counts.
class Verdict {
 public:
  Verdict(std::string backend, AllowedDifferences allowed, std::ostream& out)
      : backend_(std::move(backend)), allowed_(std::move(allowed)), out_(out) {}

  void judge(const std::string& test_case, const CaseRecord& direct, const CaseRecord& proxied);
  // A case that proxyd must refuse an administrative call for that reason: it has to be equal until then.
  void judge_refused(const std::string& test_case, const char* reason, const CaseRecord& direct,
                     const CaseRecord& proxied);
  // Prints rows of the table that none of the cases judged so far has needed.
  void report_unused_rows();
  // Prints the sum; whether every case was equal.
  bool conclude();

 private:
  std::string backend_;
  AllowedDifferences allowed_;
  std::ostream& out_;
  int cases_ = 0;
  int calls_ = 0;
  int failed_ = 0;
  int refused_ = 0;
};

// Files with the records of a whole run.
void save_records(const std::map<std::string, CaseRecord>& records, const std::string& path);
std::map<std::string, CaseRecord> load_records(const std::string& path);

}  // namespace p11shim::contract

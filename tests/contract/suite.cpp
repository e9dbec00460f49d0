#include "suite.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "over_tcp.h"

namespace p11shim::contract {
namespace {

constexpr std::size_t kDifferencesShown = 3;

}  // namespace

CaseRecord run_case(const Case& test_case, const Side& side) {
  const ChildEnd end = side.run([&](const Scene& scene, int fd) {
    TranscriptWriter transcript(fd);
    const Module module(scene.module);
    Application application(scene, module, transcript);
    test_case.run(application);
  });
  return {end.output, end.failure};
}

void Verdict::judge(const std::string& test_case, const CaseRecord& direct, const CaseRecord& proxied) {
  const auto ours = parse_transcript(direct.transcript);
  const auto theirs = parse_transcript(proxied.transcript);
  ++cases_;
  calls_ += static_cast<int>(ours.size());

  bool failed = false;
  // A case that cannot run on the module itself proves nothing.
  if (!direct.failure.empty()) {
    out_ << test_case << ": directly: " << direct.failure << "\n";
    failed = true;
  }
  const auto differences = compare::compare(test_case, backend_, ours, theirs, allowed_);
  for (std::size_t i = 0; i < std::min(differences.size(), kDifferencesShown); ++i)
    out_ << explain(differences[i], ours);
  if (differences.size() > kDifferencesShown)
    out_ << "    … and " << differences.size() - kDifferencesShown << " more\n";
  if (!proxied.failure.empty()) out_ << test_case << ": through the proxy: " << proxied.failure << "\n";
  if (failed || !differences.empty() || !proxied.failure.empty()) ++failed_;
}

void Verdict::judge_refused(const std::string& test_case, const char* reason, const CaseRecord& direct,
                            const CaseRecord& proxied) {
  const auto ours = parse_transcript(direct.transcript);
  const auto differences = compare::compare(test_case, backend_, ours, parse_transcript(proxied.transcript), allowed_);
  const bool is_whole = proxied.failure.empty() || proxied.failure.starts_with("exit ");  // it gave up at the refusal
  if (!direct.failure.empty() || !is_whole || !is_refusal(differences)) {
    out_ << test_case << " should be equal until " << reason << " is refused\n";
    judge(test_case, direct, proxied);
    if (direct.failure.empty() && proxied.failure.empty() && differences.empty()) ++failed_;
    return;
  }
  ++cases_;
  ++refused_;
  calls_ += static_cast<int>(differences.front().line);
  out_ << test_case << ": only until " << reason << " is refused\n";
}

void Verdict::report_unused_rows() {
  for (const std::string& row : allowed_.unused(backend_))
    if (!row.ends_with("| walk")) out_ << "no case needs this row: " << row << "\n";
}

bool Verdict::conclude() {
  out_ << backend_ << ": " << cases_ << " cases, " << calls_ << " calls, " << failed_ << " cases differ or failed";
  if (refused_ != 0) out_ << ", " << refused_ << " were compared only until they were refused";
  out_ << "\n";
  return failed_ == 0 && cases_ > 0;
}

void save_records(const std::map<std::string, CaseRecord>& records, const std::string& path) {
  std::ofstream file(path);
  for (const auto& [name, record] : records) {
    file << Json{{"case", name}, {"failure", record.failure}}.dump() << "\n" << record.transcript;
    if (!record.transcript.ends_with('\n')) file << "\n";  // a crash ends in the middle of a line
  }
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::map<std::string, CaseRecord> load_records(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::map<std::string, CaseRecord> records;
  CaseRecord* record = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("{\"case\":")) {
      const Json header = Json::parse(line);
      record = &records[header["case"]];
      record->failure = header["failure"];
      continue;
    }
    if (record) record->transcript += line + "\n";
  }
  return records;
}

}  // namespace p11shim::contract

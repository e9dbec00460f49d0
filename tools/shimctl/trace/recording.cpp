#include "tools/shimctl/trace/recording.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::size_t kLongestLine = 1 << 20;
constexpr std::int64_t kSecond = 1'000'000'000;

class Threads {
 public:
  explicit Threads(Recording& recording) : recording_(recording) {}

  std::uint64_t index_of(const std::string& name) {
    const auto [found, fresh] = known_.emplace(name, recording_.threads.size());
    if (fresh) recording_.threads.push_back(name);
    return found->second;
  }

 private:
  Recording& recording_;
  std::map<std::string, std::uint64_t> known_;
};

bool is_function(const std::string& name) {
  return name.size() > 2 && name.size() < 64 && name.starts_with("C_") &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

// "2026-11-21 06:46:54.868", "2026-11-20T23:57:32.123456Z"; -1 if it is none.
std::int64_t parse_time(const std::string& text) {
  std::tm date{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%d", &date);
  if (rest == nullptr || (*rest != ' ' && *rest != 'T')) return -1;
  rest = ::strptime(rest + 1, "%H:%M:%S", &date);
  if (rest == nullptr) return -1;
  std::int64_t fraction = 0;
  std::int64_t unit = kSecond;
  if (*rest == '.')
    for (++rest; *rest >= '0' && *rest <= '9' && unit > 1; ++rest) fraction += (*rest - '0') * (unit /= 10);
  return static_cast<std::int64_t>(::timegm(&date)) * kSecond + fraction;
}

void read_ours(const json& line, Recording& recording, Threads& threads,
               std::map<std::int64_t, std::string>& programs) {
  const auto pid = line.value("pid", std::int64_t{0});
  if (line.contains("schema")) {
    programs[pid] = line.value("program", "");
    recording.module = line.value("module", recording.module);
    return;
  }
  RecordedCall call;
  call.function = line.value("call", "");
  if (!is_function(call.function)) throw json::other_error::create(501, "no call", nullptr);
  call.began_ns = line.at("t").get<std::int64_t>();
  call.took_ns = std::max<std::int64_t>(0, line.at("ns").get<std::int64_t>());
  call.rv = line.at("rv").get<CK_RV>();
  if (line.contains("mechanism")) call.mechanism = line.at("mechanism").get<CK_MECHANISM_TYPE>();
  call.thread =
      threads.index_of(programs[pid] + " " + std::to_string(pid) + "/" + std::to_string(line.value("tid", pid)));
  recording.calls.push_back(std::move(call));
}

// One line of the audit log is one operation; it is written at its end.
void read_audit(const json& line, Recording& recording, Threads& threads) {
  RecordedCall call;
  call.function = line.at("function").get<std::string>();
  if (!is_function(call.function)) throw json::other_error::create(501, "no call", nullptr);
  const json times = line.value("us", json::object());
  call.took_ns = std::max<std::int64_t>(0, times.value("total", std::int64_t{0})) * 1000;
  call.began_ns = parse_time(line.at("time").get<std::string>()) - call.took_ns;
  call.rv = line.at("rv_number").get<CK_RV>();
  if (const auto mechanism = ckm_value(line.value("mechanism", ""))) call.mechanism = mechanism;
  call.thread = threads.index_of(line.value("program", "") + " " + std::to_string(line.value("pid", 0)));
  recording.calls.push_back(std::move(call));
}

// A log of pkcs11-spy: "7: C_Login", its time, arguments (with PINs and data, which are passed over),
// "Returned:  0 CKR_OK".
class SpyReader {
 public:
  explicit SpyReader(Recording& recording) : recording_(recording), threads_(recording) {}

  void line(const std::string& text) {
    if (text.starts_with("Loaded: \"")) {
      recording_.module = text.substr(9, text.find('"', 9) - 9);
      ++process_;
    } else if (const auto colon = text.find(": C_"); colon != std::string::npos && begins_call(text, colon)) {
      call_ = RecordedCall{.function = text.substr(colon + 2)};
      open_ = true;
    } else if (open_ && text.starts_with("Returned:")) {
      call_.rv = std::strtoul(text.c_str() + 9, nullptr, 10);
      call_.thread = threads_.index_of("process " + std::to_string(std::max<std::uint64_t>(1, process_)) + thread_);
      recording_.calls.push_back(call_);
      open_ = false;
    } else if (open_ && call_.began_ns == 0) {
      when(text);
    } else if (open_ && !call_.mechanism && text.find("pMechanism->type") != std::string::npos) {
      mechanism(text);
    }
  }

  void finish() {
    auto& calls = recording_.calls;
    for (std::size_t i = 0; i + 1 < calls.size(); ++i)
      if (calls[i].thread == calls[i + 1].thread)
        calls[i].took_ns = std::max<std::int64_t>(0, calls[i + 1].began_ns - calls[i].began_ns);
  }

 private:
  static bool begins_call(const std::string& text, std::size_t colon) {
    return colon > 0 &&
           std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(colon),
                       [](unsigned char c) { return std::isdigit(c) != 0; }) &&
           is_function(text.substr(colon + 2));
  }

  // Newer ones write "P:4711; T:0x7f… 2026-11-21 06:46:54.868".
  void when(const std::string& text) {
    const auto at = text.find("; T:") == std::string::npos ? 0 : text.find(' ', text.find("; T:") + 4);
    const auto time = parse_time(at == 0 ? text : at == std::string::npos ? "" : text.substr(at + 1));
    if (time < 0) return;
    call_.began_ns = time;
    thread_ = at == 0 ? "" : ", " + text.substr(0, at);
  }

  void mechanism(const std::string& text) {
    const auto at = text.find("CKM_");
    if (at == std::string::npos) return;
    call_.mechanism = ckm_value(text.substr(at, text.find_first_of(" \t\r", at) - at));
  }

  Recording& recording_;
  Threads threads_;
  RecordedCall call_;
  std::string thread_;
  bool open_ = false;
  std::uint64_t process_ = 0;
};

void read_spy(std::istream& file, Recording& recording) {
  SpyReader reader(recording);
  for (std::string line; std::getline(file, line);)
    if (line.size() < kLongestLine) reader.line(line);
  reader.finish();
}

void read_lines(std::istream& file, std::string line, Recording& recording) {
  Threads threads(recording);
  std::map<std::int64_t, std::string> programs;
  do {
    if (line.empty()) continue;
    const json parsed = json::parse(line.size() < kLongestLine ? line : "", nullptr, false);
    try {
      if (!parsed.is_object()) ++recording.skipped;
      else if (recording.kind == Recording::Kind::kAudit) read_audit(parsed, recording, threads);
      else read_ours(parsed, recording, threads, programs);
    } catch (const json::exception&) {
      ++recording.skipped;
    }
  } while (std::getline(file, line));
}

}  // namespace

Recording read_recording(std::istream& file, const std::string& name) {
  Recording recording;
  std::string line;
  while (line.empty() && std::getline(file, line)) {
  }
  const json first = json::parse(line.size() < kLongestLine ? line : "", nullptr, false);
  if (first.is_object() && (first.contains("call") || first.value("schema", json()) == "p11shim.trace/1")) {
    read_lines(file, std::move(line), recording);
  } else if (first.is_object() && first.contains("function") && first.contains("rv_number")) {
    recording.kind = Recording::Kind::kAudit;
    read_lines(file, std::move(line), recording);
  } else {
    recording.kind = Recording::Kind::kSpy;
    read_spy(file, recording);
  }
  if (recording.calls.empty()) {
    throw Failure(ExitCode::kUsage, in_quotes(name) + " holds no recorded calls",
                  "recordings of shimctl trace, logs of pkcs11-spy and audit logs of proxyd are read");
  }
  std::stable_sort(recording.calls.begin(), recording.calls.end(),
                   [](const RecordedCall& a, const RecordedCall& b) { return a.began_ns < b.began_ns; });
  return recording;
}

}  // namespace p11shim

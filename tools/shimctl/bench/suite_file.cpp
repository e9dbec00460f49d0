#include "tools/shimctl/bench/suite_file.h"

#include "config/section.h"
#include "config/text_file.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

constexpr DurationKind kTime{.shortest = std::chrono::milliseconds(0), .longest = std::chrono::hours(24 * 7)};
const auto kRunFields = std::make_tuple(
    config_field("name", &SuiteRun::name, TextKind{.longest = 64}),
    config_field("only", &SuiteRun::only, ListKind<TextKind>{{}, "tests"}),
    config_field("key", &SuiteRun::key, TextKind{.longest = 512}),
    config_field("mix", &SuiteRun::mix, TextKind{.longest = 512}),
    config_field("threads", &SuiteRun::threads, WholeNumberKind{1, 1024}),
    config_field("duration", &SuiteRun::duration, kTime),
    config_field("iterations", &SuiteRun::iterations, WholeNumberKind{1, INT64_MAX}),
    config_field("warmup", &SuiteRun::warmup, kTime),
    config_field("rate", &SuiteRun::rate, WholeNumberKind{1, 10'000'000}),
    config_field("data_sizes", &SuiteRun::data_sizes, ListKind<WholeNumberKind>{{1, 16 << 20}, "bytes"}));

}  // namespace

std::vector<SuiteRun> read_suite_file(const std::string& path) {
  const TextFile file = read_text_file(path);
  if (file.error != 0) throw Failure(ExitCode::kNotFound, path + ": " + file.message, "");
  ConfigReport report(path);
  const ConfigValue root = parse_toml(file.text, report);
  std::vector<SuiteRun> runs;
  ConfigSection top(root, "", "", report);
  const ConfigEntry* list = top.take("run");
  const auto* items = list == nullptr ? nullptr : list->value.get<ConfigValue::List>();
  if (!report.has_errors() && items == nullptr) report.error({}, "no [[run]] in it");
  for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) {
    SuiteRun run{.name = "run " + std::to_string(i + 1)};
    ConfigSection section((*items)[i], "[[run]]", "run[" + std::to_string(i) + "]", report);
    section.read(run, kRunFields);
    section.finish();
    runs.push_back(std::move(run));
  }
  top.finish();
  if (!report.has_errors()) return runs;
  std::string all;
  for (const auto& problem : report.take_problems()) all += (all.empty() ? "" : "; ") + to_string(problem);
  throw Failure(ExitCode::kConfiguration, all, "");
}

}  // namespace p11shim

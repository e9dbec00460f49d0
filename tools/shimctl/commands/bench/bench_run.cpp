#include "tools/shimctl/commands/bench/bench_run.h"

#include <algorithm>
#include <charconv>

#include "config/problem.h"
#include "config/quantity.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/progress.h"

namespace p11shim {

using nlohmann::json;

namespace {

std::size_t parse_bytes(const std::string& text) {
  std::size_t bytes = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, bytes);
  if (parsed.ec == std::errc() && parsed.ptr == end) return bytes;
  if (const auto size = parse_size(text)) return *size;
  throw Failure(ExitCode::kUsage, in_quotes(text) + " is no size", "--data-size 16,1024,64KiB");
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const auto end = std::min(text.find(',', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void check(const BenchSettings& settings) {
  const auto refuse = [](const char* what, const char* fix) { throw Failure(ExitCode::kUsage, what, fix); };
  if (settings.threads == 0 || settings.threads > 1024) refuse("--threads is between 1 and 1024", "");
  if (settings.connections == 0 || settings.connections > 256) refuse("--connections is between 1 and 256", "");
  if (settings.connections > 1 && !settings.versus.empty())
    refuse("--vs compares within one process, --connections measures with several", "take one of them");
  if (settings.duration && settings.iterations != 0) refuse("--duration or --iterations, not both", "");
  if (settings.rate < 0 || settings.rate > 1e7) refuse("--rate is a number of operations per second", "");
  for (const auto size : settings.data_sizes) {
    if (size == 0 || size > (16u << 20)) refuse("--data-size is between 1 and 16MiB", "");
  }
}

// The tests of --only; with --key those that the key is made for.
std::vector<const BenchTest*> wanted_tests(const BenchSettings& settings, BenchTargets& targets) {
  auto tests = choose_bench_tests(settings.only);
  if (settings.key.empty() || !settings.only.empty()) return tests;
  return tests_for_key(targets.all().front().session(), settings.key);
}

// A long run must not lose what it has to a token that went away.
std::vector<json> measured(Measurement& measurement, const BenchTest& test, std::size_t size) {
  try {
    return measurement.measure(test, size);
  } catch (const CallError& error) {
    return {{{"name", test.name},
             {"group", test.group},
             {"data_size", nullptr},
             {"side", nullptr},
             {"key", nullptr},
             {"comparison", nullptr},
             {"status", "failed"},
             {"reason", error.what()}}};
  }
}

}  // namespace

std::chrono::nanoseconds parse_time(const std::string& text, const std::string& option) {
  const auto time = parse_duration(text);
  if (time) return *time;
  throw Failure(ExitCode::kUsage, in_quotes(text) + " is no time", option + " 10s, 500ms or 2m");
}

BenchSettings settings_of(const BenchRunOptions& options) {
  BenchSettings settings = options.settings;
  if (!options.duration.empty()) settings.duration = parse_time(options.duration, "--duration");
  settings.warmup = parse_time(options.warmup, "--warmup");
  settings.poisson = options.arrivals == "poisson";
  if (settings.duration && settings.duration->count() <= 0)
    throw Failure(ExitCode::kUsage, "--duration is too short", "");
  if (!options.data_sizes.empty()) settings.data_sizes.clear();
  for (const auto& list : options.data_sizes) {
    for (const auto& size : split(list)) settings.data_sizes.push_back(parse_bytes(size));
  }
  check(settings);
  check_outputs(options.output);
  return settings;
}

void check_connections(const Invocation& invocation, const BenchSettings& settings) {
  const std::string& source = invocation.token.pin_from;
  if (settings.connections == 1 || source.empty() || source.starts_with("env:") || source.starts_with("file:")) return;
  throw Failure(ExitCode::kUsage, "each of the --connections reads the PIN for itself",
                "--pin-from env:NAME or file:PATH");
}

ExitCode list_bench_tests(const Invocation& invocation, const BenchListOptions& options) {
  Report report{.name = "bench.list", .rows_key = "tests"};
  report.columns = {{"TEST", "name"},           {"GROUP", "group"}, {"KEY", "key"},
                    {"MECHANISM", "mechanism"}, {"SIZED", "sized"}, {"WHAT", "what"}};
  const auto tests = choose_bench_tests(options.only);
  const Page page = page_of(invocation, tests.size());
  for (std::size_t i = page.begin; i < page.end; ++i) {
    const BenchTest& test = *tests[i];
    Value row;
    row.set("name", test.name).set("group", test.group);
    row.set("key", test.key.empty() ? Value() : Value(test.key));
    row.set("mechanism", test.mechanism == 0 ? Value() : Value(display(NameKind::ckm, test.mechanism)));
    row.set("sized", test.sized).set("what", test.what);
    report.rows.push_back(std::move(row));
  }
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return ExitCode::kOk;
}

void measure_all(const Invocation& invocation, const BenchSettings& settings, BenchTargets& targets,
                 Interruption& interruption, BenchDocument& document, const std::string& name) {
  const auto tests = wanted_tests(settings, targets);
  std::size_t steps = 0;
  for (const auto* test : tests) steps += test->sized ? settings.data_sizes.size() : 1;
  Progress progress(invocation, name.empty() ? "bench" : name, steps, "tests");
  Measurement measurement(invocation, settings, targets, interruption);
  for (const auto* test : tests) {
    for (std::size_t i = 0; i < (test->sized ? settings.data_sizes.size() : 1); ++i) {
      if (interruption.happened()) return;
      auto records = measured(measurement, *test, settings.data_sizes[i]);
      for (auto& record : records) record["run"] = name.empty() ? json() : json(name);
      document.add(std::move(records));
      progress.advance(1);
    }
  }
}

ExitCode bench_run(const Invocation& invocation, const BenchRunOptions& options) {
  const BenchSettings settings = settings_of(options);
  choose_bench_tests(settings.only);  // a mistake is said before anything is loaded
  check_connections(invocation, settings);
  Interruption interruption;
  BenchTargets targets(invocation, settings.versus, interruption.signals(), settings.connections);
  BenchDocument document("run", settings, targets.all());
  measure_all(invocation, settings, targets, interruption, document);
  return document.finish(invocation, options.output, interruption);
}

std::vector<MixPart> parse_mix(const std::string& text, const BenchSettings& settings, Session& session) {
  std::vector<MixPart> parts;
  for (const auto& word : split(text)) {
    const auto colon = word.find(':');
    double weight = 0;
    if (colon != std::string::npos) weight = std::strtod(word.c_str() + colon + 1, nullptr);
    if (!(weight > 0 && weight <= 1e6)) {
      throw Failure(ExitCode::kUsage, in_quotes(word) + " has no weight", "sign:50%,verify:30%,encrypt:20%");
    }
    const auto tests = choose_bench_tests({word.substr(0, colon)});
    // The first that needs no key of ours; otherwise the first that works at all.
    const BenchTest* chosen = nullptr;
    std::string why;
    for (const bool may_make : {false, true}) {
      for (const auto* test : tests) {
        if (chosen != nullptr || (may_make && !settings.make_keys)) continue;
        try {
          const BenchKey key(session, *test, {.key = settings.key, .may_make = may_make});
          chosen = test;
        } catch (const TestSkipped& reason) {
          why = reason.what();
        } catch (const Failure& failure) {
          why = failure.what();
        }
      }
    }
    if (chosen == nullptr) {
      throw Failure(ExitCode::kNotFound,
                    {.what = "nothing here can do " + in_quotes(word.substr(0, colon)), .why = why});
    }
    parts.push_back({chosen, weight});
  }
  return parts;
}

ExitCode bench_mix(const Invocation& invocation, const BenchRunOptions& options) {
  BenchSettings settings = settings_of(options);
  check_connections(invocation, settings);
  Interruption interruption;
  BenchTargets targets(invocation, "", interruption.signals(), settings.connections);
  const auto parts = parse_mix(options.mix, settings, targets.all().front().session());
  BenchDocument document("mix", settings, targets.all());
  Measurement measurement(invocation, settings, targets, interruption);
  try {
    document.add(measurement.mix(parts));
  } catch (const TestSkipped& why) {
    throw Failure(ExitCode::kPkcs11, std::string("this mix cannot be measured: ") + why.what(), "");
  }
  document.set("mix", options.mix);
  return document.finish(invocation, options.output, interruption);
}

}  // namespace p11shim

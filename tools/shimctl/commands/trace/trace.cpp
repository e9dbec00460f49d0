#include "tools/shimctl/commands/trace/trace.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/commands/trace/record.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/run/private_folder.h"
#include "tools/shimctl/trace/timeline.h"

namespace p11shim {

namespace {

struct AnalyzeOptions {
  std::string file;
  std::string html;
  std::size_t top = 10;
};

struct TraceOptions {
  std::string out;
};

Value durations_value(const Durations& took) {
  Value value;
  value.set("count", took.count).set("sum_ns", took.sum).set("min_ns", took.min).set("p50_ns", took.p50);
  value.set("p90_ns", took.p90).set("p99_ns", took.p99).set("p999_ns", took.p999);
  return value.set("max_ns", took.max);
}

std::string time_text(std::int64_t ns) {
  return duration_text(static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0)));
}

const char* kind_name(Recording::Kind kind) {
  switch (kind) {
    case Recording::Kind::kSpy: return "pkcs11-spy";
    case Recording::Kind::kAudit: return "audit";
    default: return "trace";
  }
}

Report report_of(const Recording& recording, const Analysis& analysis) {
  Report report{.name = "trace.analyze",
                .rows_key = "functions",
                .columns = {{"FUNCTION", "function"},
                            {"CALLS", "took.count"},
                            {"FAILED", "failed"},
                            {"SUM", "took.sum_ns"},
                            {"P50", "took.p50_ns"},
                            {"P90", "took.p90_ns"},
                            {"P99", "took.p99_ns"},
                            {"MAX", "took.max_ns"}}};
  Value errors = Value::List{}, slowest = Value::List{}, mechanisms = Value::List{};
  for (const ErrorSummary& each : analysis.errors)
    errors.push_back(Value(
        Value::Record{{"function", each.function}, {"rv", display(NameKind::ckr, each.rv)}, {"count", each.count}}));
  for (const RecordedCall* call : analysis.slowest) {
    Value entry;
    entry.set("function", call->function).set("took_ns", call->took_ns).set("began_ns", call->began_ns);
    entry.set("rv", display(NameKind::ckr, call->rv)).set("thread", recording.threads[call->thread]);
    entry.set("mechanism", call->mechanism ? Value(display(NameKind::ckm, *call->mechanism)) : Value());
    slowest.push_back(std::move(entry));
  }
  for (const auto& [mechanism, count] : analysis.mechanisms)
    mechanisms.push_back(Value(Value::Record{{"mechanism", display(NameKind::ckm, mechanism)}, {"count", count}}));
  report.data.set("source", kind_name(recording.kind))
      .set("module", recording.module.empty() ? Value() : Value(recording.module));
  report.data.set("durations", recording.measured() ? "measured" : "at most").set("skipped_lines", recording.skipped);
  report.data.set("calls", analysis.calls).set("failed", analysis.failed).set("seconds", analysis.seconds);
  report.data.set("threads", recording.threads.size()).set("took", durations_value(analysis.took));
  report.data.set("errors", std::move(errors))
      .set("slowest", std::move(slowest))
      .set("mechanisms", std::move(mechanisms));
  for (const FunctionSummary& each : analysis.functions) {
    Value row;
    row.set("function", each.function).set("failed", each.failed).set("took", durations_value(each.took));
    report.rows.push_back(std::move(row));
  }
  return report;
}

void write_for_people(std::ostream& out, const Recording& recording, const Analysis& analysis) {
  out << analysis.calls << " calls in " << time_text(static_cast<std::int64_t>(analysis.seconds * 1e9)) << ", "
      << analysis.failed << " failed, " << recording.threads.size() << " threads"
      << (recording.measured() ? "" : "; durations are at most: until the next call begins") << "\n\n";
  const auto right = Align::kRight;
  Table functions({{"FUNCTION"},
                   {"CALLS", right},
                   {"FAILED", right},
                   {"SUM", right},
                   {"P50", right},
                   {"P90", right},
                   {"P99", right},
                   {"MAX", right}});
  for (const FunctionSummary& each : analysis.functions)
    functions.add_row({each.function, std::to_string(each.took.count), std::to_string(each.failed),
                       time_text(each.took.sum), time_text(each.took.p50), time_text(each.took.p90),
                       time_text(each.took.p99), time_text(each.took.max)});
  functions.write(out);
  if (!analysis.errors.empty()) {
    Table errors({{"FUNCTION"}, {"RETURN CODE"}, {"COUNT", right}});
    for (const ErrorSummary& each : analysis.errors)
      errors.add_row({each.function, display(NameKind::ckr, each.rv), std::to_string(each.count)});
    out << '\n';
    errors.write(out);
  }
  Table slowest({{"SLOWEST"}, {"TOOK", right}, {"AFTER", right}, {"RETURN CODE"}, {"MECHANISM"}, {"THREAD"}});
  for (const RecordedCall* call : analysis.slowest)
    slowest.add_row({call->function, time_text(call->took_ns),
                     time_text(call->began_ns - recording.calls.front().began_ns), display(NameKind::ckr, call->rv),
                     call->mechanism ? display(NameKind::ckm, *call->mechanism) : "-",
                     recording.threads[call->thread]});
  if (slowest.empty()) return;
  out << '\n';
  slowest.write(out);
}

ExitCode analyze_file(const Invocation& invocation, const AnalyzeOptions& options) {
  std::ifstream file;
  const bool standard = options.file == "-";
  if (!standard) {
    file.open(options.file);
    if (!file)
      throw Failure(ExitCode::kNotFound, "cannot read " + in_quotes(options.file) + ": " + std::strerror(errno), "");
  }
  const Recording recording = read_recording(standard ? std::cin : file, options.file);
  const Analysis analysis = analyze(recording, options.top);
  if (recording.kind == Recording::Kind::kSpy)
    note(invocation, "logs of pkcs11-spy hold PINs and data in the clear; delete it when it has served");
  if (!options.html.empty() && !invocation.dry_run)
    write_file(options.html, timeline_html(recording, analysis, standard ? "standard input" : options.file));
  if (invocation.format == OutputFormat::kTable) write_for_people(invocation.out, recording, analysis);
  else present(invocation, report_of(recording, analysis));
  return ExitCode::kOk;
}

// A file that was there already is not written into: it may be anything.
void create(const std::string& file) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0)
    throw Failure(ExitCode::kConfiguration, "cannot make " + in_quotes(file) + ": " + std::strerror(errno),
                  errno == EEXIST ? "name a new file" : "");
  ::close(descriptor);
}

ExitCode run_trace(const Invocation& invocation, const TraceOptions& options) {
  if (invocation.command_line.empty())
    throw Failure(ExitCode::kUsage, "which command?", "shimctl trace [--module PATH] [--out FILE] -- COMMAND");
  if (!options.out.empty()) {
    create(options.out);
    return ExitCode{record_command(invocation, std::filesystem::absolute(options.out))};
  }
  const PrivateFolder folder;
  const std::string file = folder.path() / "calls";
  create(file);
  const int code = record_command(invocation, file);
  try {
    std::ifstream calls(file);
    const Recording recording = read_recording(calls, file);
    invocation.err << '\n';
    write_for_people(invocation.err, recording, analyze(recording, 3));
  } catch (const Failure&) {
    note(invocation, "no call was recorded: does the command load the module that P11_MODULE names?");
  }
  return ExitCode{code};
}

}  // namespace

void add_trace(CLI::App& root, Invocation& invocation) {
  const auto [trace, options] =
      add_command(root, invocation, "trace",
                  "Record what a command calls, without PINs and data; add up what was recorded", &run_trace);
  trace->add_option("--out", options->out, "Where the calls go; otherwise they are added up at the end")
      ->option_text("FILE");
  trace->prefix_command();
  auto* app = trace;  // clang 14 captures no structured binding
  const auto chosen = options;
  app->callback([&invocation, app, chosen] {
    if (app->get_subcommands().empty())
      invocation.command = [&invocation, chosen] { return run_trace(invocation, *chosen); };
  });
  trace->footer(
      "The command finds the path of the recording module in P11_MODULE. Its exit code becomes "
      "shimctl's.\n\nExamples:\n"
      "  shimctl trace --module /usr/lib/softhsm/libsofthsm2.so -- sh -c 'pkcs11-tool --module "
      "\"$P11_MODULE\" -L'\n"
      "  shimctl trace --out calls.ndjson -- ./my-application\n"
      "  shimctl trace analyze calls.ndjson --html timeline.html");
  const auto analyzing = add_command(*trace, invocation, "analyze",
                                     "Totals, percentiles, errors and the slowest calls of a recording", &analyze_file);
  analyzing.app
      ->add_option("file", analyzing.options->file,
                   "Of trace --out, of pkcs11-spy, or proxyd's audit log; - is standard input")
      ->required();
  analyzing.app->add_option("--html", analyzing.options->html, "Write a timeline, one page that needs nothing else")
      ->option_text("FILE");
  analyzing.app->add_option("--top", analyzing.options->top, "How many of the slowest calls are shown")
      ->option_text("N")
      ->capture_default_str();
}

}  // namespace p11shim

#include "tools/shimctl/commands/doctor/doctor.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <stdexcept>

#include "tools/shimctl/commands/explain/prose.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/explain/knowledge.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

namespace {

struct Checked {
  CheckText text;
  Finding finding;
};

std::vector<Checked> numbered(const Examination& found) {
  std::map<std::string, CheckText> texts;
  for (CheckText& text : known_checks()) texts.emplace(text.name, std::move(text));
  std::vector<Checked> checks;
  for (const Finding& finding : found.findings()) checks.push_back({texts.at(finding.check), finding});
  std::sort(checks.begin(), checks.end(),
            [](const Checked& a, const Checked& b) { return a.text.number < b.text.number; });
  return checks;
}

bool is_bad(Verdict verdict) { return verdict == Verdict::kWarn || verdict == Verdict::kFail; }

std::size_t count(const std::vector<Checked>& checks, Verdict verdict) {
  return static_cast<std::size_t>(std::count_if(
      checks.begin(), checks.end(), [verdict](const Checked& check) { return check.finding.verdict == verdict; }));
}

// A warning is worth half; what readiness asks and nobody could look at is not ready.
unsigned score_of(const std::vector<Checked>& checks) {
  const std::size_t passed = count(checks, Verdict::kPass), warned = count(checks, Verdict::kWarn);
  const auto unknown = std::count_if(checks.begin(), checks.end(), [](const Checked& check) {
    return check.text.of == "readiness" && check.finding.verdict == Verdict::kSkip && !check.finding.irrelevant;
  });
  const std::size_t all = passed + warned + count(checks, Verdict::kFail) + static_cast<std::size_t>(unknown);
  return all == 0 ? 0 : static_cast<unsigned>((2 * passed + warned) * 50 / all);
}

Value row_of(const Checked& check) {
  const bool bad = is_bad(check.finding.verdict);
  Value fixes = Value::List{};
  if (bad)
    for (const std::string& fix : check.text.fix) fixes.push_back(fix);
  Value row;
  row.set("number", check.text.number).set("check", check.text.name).set("area", check.text.area);
  row.set("result", verdict_name(check.finding.verdict))
      .set("detail", check.finding.detail)
      .set("fix", std::move(fixes));
  return row.set("explain", bad && !check.text.code.empty() ? Value(check.text.code) : Value());
}

// For one reason, in one area: a line says it of all.
bool is_skipped_alike(const Checked& a, const Checked& b) {
  return a.finding.verdict == Verdict::kSkip && b.finding.verdict == Verdict::kSkip && a.text.area == b.text.area &&
         a.finding.detail == b.finding.detail;
}

const char* colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPass: return "\x1b[32m";
    case Verdict::kWarn: return "\x1b[33m";
    case Verdict::kFail: return "\x1b[31m";
    default: return "\x1b[2m";
  }
}

void write_for_people(const Invocation& invocation, const std::vector<Checked>& checks, const std::string& summary) {
  const bool colour = wants_colour(STDOUT_FILENO);
  const std::size_t columns = terminal_columns();
  constexpr std::size_t kIndent = 11;
  Prose prose(invocation.out, columns, colour);
  std::string area;
  for (std::size_t i = 0; i < checks.size(); ++i) {
    const Checked& check = checks[i];
    if (check.text.area != area) {
      invocation.out << (area.empty() ? "" : "\n");
      prose.title(area = check.text.area);
    }
    std::string number = std::to_string(check.text.number);
    number.insert(0, number.size() < 3 ? 3 - number.size() : 0, ' ');
    std::string names = check.text.name;
    while (i + 1 < checks.size() && is_skipped_alike(check, checks[i + 1])) names += ", " + checks[++i].text.name;
    const char* verdict = verdict_name(check.finding.verdict);
    invocation.out << number << "  " << (colour ? colour_of(check.finding.verdict) : "") << verdict
                   << (colour ? "\x1b[0m" : "") << "  ";
    prose.hanging(names + ": " + check.finding.detail, kIndent);
    if (!is_bad(check.finding.verdict)) continue;
    for (const std::string& fix : check.text.fix) {
      invocation.out << std::string(kIndent, ' ');
      prose.hanging("- " + fix, kIndent);
    }
  }
  invocation.out << '\n' << summary << '\n';
}

void examine(Patient& patient, Examination& found, bool readiness) {
  examine_load_path(patient, found);
  examine_endpoint(patient, found);
  examine_proxyd(patient, found);
  examine_tokens(patient, found);
  examine_pools(patient, found);
  examine_machine(patient, found);
  examine_unit(patient, found);
  if (readiness) examine_readiness(patient, found);
}

}  // namespace

ExitCode run_doctor(const Invocation& invocation, const DoctorOptions& options) {
  Patient patient{.invocation = invocation,
                  .proxied = invocation.token.module.empty(),
                  .config_path = options.config,
                  .unit_path = options.unit,
                  .version = P11SHIM_VERSION,
                  .patience = std::chrono::seconds(options.seconds)};
  Examination found;
  examine(patient, found, options.readiness);
  const auto checks = numbered(found);
  const std::size_t failed = count(checks, Verdict::kFail), warned = count(checks, Verdict::kWarn);
  const std::string score = options.readiness ? std::to_string(score_of(checks)) : "";
  if (invocation.format == OutputFormat::kTable) {
    const std::string summary = std::to_string(count(checks, Verdict::kPass)) + " passed, " + std::to_string(warned) +
                                " warnings, " + std::to_string(failed) + " failed, " +
                                std::to_string(count(checks, Verdict::kSkip)) + " skipped" +
                                (score.empty() ? "" : ": readiness " + score + " of 100") +
                                (failed + warned > 0 ? ". shimctl explain check NUMBER says more" : "");
    write_for_people(invocation, checks, summary);
  } else {
    Report report{.name = "doctor",
                  .rows_key = "checks",
                  .columns = {{"NUMBER", "number"}, {"RESULT", "result"}, {"CHECK", "check"}, {"DETAIL", "detail"}}};
    for (const Checked& check : checks) report.rows.push_back(row_of(check));
    Value counts;
    for (const Verdict verdict : {Verdict::kPass, Verdict::kWarn, Verdict::kFail, Verdict::kSkip})
      counts.set(verdict_name(verdict), count(checks, verdict));
    report.data.set("healthy", failed == 0).set("counts", std::move(counts));
    report.data.set("score", options.readiness ? Value(score_of(checks)) : Value());
    present(invocation, report);
  }
  const bool bad = failed > 0 || (options.fail_on == "warn" && warned > 0);
  return bad && options.fail_on != "never" ? ExitCode::kNegative : ExitCode::kOk;
}

void add_doctor(CLI::App& root, Invocation& invocation) {
  const auto command =
      add_command(root, invocation, "doctor",
                  "Check everything between an application and its keys, and say how to mend it", &run_doctor);
  command.app->add_flag("--readiness", command.options->readiness, "What production needs on top, with a score");
  command.app->add_option("--config", command.options->config, "proxyd's configuration")
      ->option_text("FILE")
      ->capture_default_str();
  command.app->add_option("--unit", command.options->unit, "The systemd unit; where systemd looks for it otherwise")
      ->option_text("FILE");
  command.app->add_option("--timeout", command.options->seconds, "How long a module may take to load")
      ->option_text("SECONDS")
      ->check(CLI::Range(1U, 3600U))
      ->capture_default_str();
  command.app->add_option("--fail-on", command.options->fail_on, "When to exit with 1: fail, warn or never")
      ->check(CLI::IsMember({"fail", "warn", "never"}))
      ->capture_default_str();
  command.app->footer(
      "Examples:\n  shimctl doctor\n  shimctl --module /usr/lib/softhsm/libsofthsm2.so doctor\n"
      "  shimctl doctor --readiness -o json | jq .data.score");
}

}  // namespace p11shim

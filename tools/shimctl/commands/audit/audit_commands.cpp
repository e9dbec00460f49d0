#include "tools/shimctl/commands/audit/audit_commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/audit/snapshot.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/explain/knowledge.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/value_json.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::array<std::string_view, 5> kFromLow{"info", "low", "medium", "high", "critical"};

std::size_t rank(std::string_view severity) {
  return static_cast<std::size_t>(std::find(kFromLow.begin(), kFromLow.end(), severity) - kFromLow.begin());
}

using Rules = std::map<std::string, CheckText>;

Rules rules() {
  Rules all;
  for (CheckText& text : known_checks())
    if (text.of == "audit") all.emplace(text.name, std::move(text));
  return all;
}

void check_ignored(const std::vector<std::string>& ignored, const Rules& all) {
  std::vector<std::string_view> known;
  for (const auto& [name, text] : all) known.push_back(name);
  for (const std::string& name : ignored)
    if (!all.contains(name))
      throw Failure(ExitCode::kUsage, "there is no rule " + in_quotes(name) + did_you_mean(name, known),
                    "shimctl explain check shows all");
}

std::string time_text(std::time_t time) {
  std::tm date{};
  ::gmtime_r(&time, &date);
  char text[32] = "";
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &date);
  return text;
}

struct Judged {
  KeyFinding finding;
  const CheckText* rule;
  std::string severity;
  bool fresh;  // not in the snapshot
};

Value row_of(const Judged& judged) {
  const AuditedObject& object = *judged.finding.object;
  const bool key = object.object_class != CKO_CERTIFICATE;
  Value fixes = Value::List{};
  for (const std::string& fix : judged.rule->fix) fixes.push_back(fix);
  const Value whole = key_row(object.handle, object.attributes);
  const auto part = [&](const char* name) { return *whole.find(name); };
  Value row;
  row.set("severity", judged.severity).set("rule", judged.rule->name).set("number", judged.rule->number);
  row.set("label", object.label()).set("id", hex(object.id())).set("class", class_name(object.object_class));
  row.set("type", key ? part("type") : Value()).set("size", key ? part("size") : Value());
  row.set("detail", judged.finding.detail).set("new", judged.fresh).set("fix", std::move(fixes));
  return row;
}

Value changes_value(const std::vector<KeyChange>& all) {
  Value list = Value::List{};
  for (const KeyChange& change : all) {
    Value entry;
    entry.set("identity", change.identity).set("change", change.change);
    entry.set("attribute", change.attribute.empty() ? Value() : Value(change.attribute));
    entry.set("left", value_of(change.left)).set("right", value_of(change.right));
    list.push_back(std::move(entry));
  }
  return list;
}

void write_changes(const Invocation& invocation, const std::vector<KeyChange>& all) {
  for (const KeyChange& change : all) {
    std::string line = change.change + ": " + change.identity;
    if (change.change == "changed")
      line += ": " + change.attribute + " was " + change.left.dump() + ", is " + change.right.dump();
    note(invocation, line);
  }
}

Report report_of(const std::vector<Judged>& judged, const std::string& label, std::size_t objects) {
  Report report{.name = "audit.keys",
                .rows_key = "findings",
                .columns = {{"SEVERITY", "severity"},
                            {"RULE", "rule"},
                            {"LABEL", "label"},
                            {"ID", "id"},
                            {"CLASS", "class"},
                            {"TYPE", "type"},
                            {"SIZE", "size"},
                            {"DETAIL", "detail"}},
                .if_empty = "nothing found"};
  Value counts;
  for (const auto severity : kFromLow)
    counts.set(severity, std::count_if(judged.begin(), judged.end(),
                                       [&](const Judged& each) { return each.severity == severity; }));
  report.data.set("token", label).set("objects", objects).set("counts", std::move(counts));
  for (const Judged& each : judged) report.rows.push_back(row_of(each));
  return report;
}

}  // namespace

ExitCode audit_token_keys(const Invocation& invocation, const AuditKeysOptions& options) {
  const Rules all = rules();
  check_ignored(options.ignore, all);
  std::optional<Snapshot> before;
  if (!options.diff.empty()) before = read_snapshot(invocation, options.diff);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  if (!access.has_pin_source()) note(invocation, "private keys need a login: --pin-from");
  const auto objects = take_inventory(invocation, session);
  const std::time_t time = std::time(nullptr);
  const auto findings = audit_keys(objects, {.now = time, .days = options.days});

  std::vector<Judged> judged;
  for (const KeyFinding& finding : findings) {
    if (std::find(options.ignore.begin(), options.ignore.end(), finding.rule) != options.ignore.end()) continue;
    const CheckText& rule = all.at(finding.rule);
    const bool fresh = !before || !before->found.contains({finding.rule, finding.object->identity});
    judged.push_back({finding, &rule, finding.severity.empty() ? rule.severity : finding.severity, fresh});
  }
  std::stable_sort(judged.begin(), judged.end(),
                   [](const Judged& a, const Judged& b) { return rank(a.severity) > rank(b.severity); });

  Snapshot now = snapshot(objects, findings);
  now.token = access.label();
  now.serial = padded_text(access.module().token_info(access.slot()).serialNumber);
  now.taken = time_text(time);
  Report report = report_of(judged, now.token, objects.size());
  if (before) {
    const auto changed = changes(*before, now);
    report.data.set("since", before->taken).set("changes", changes_value(changed));
    if (invocation.format == OutputFormat::kTable) {
      report.data = Value::Record{};
      write_changes(invocation, changed);
    }
  }
  if (!options.snapshot.empty() && !invocation.dry_run) write_file(options.snapshot, snapshot_text(now));
  if (invocation.format == OutputFormat::kTable) report.data = Value::Record{};
  present(invocation, report);
  const bool bad = options.fail_on != "never" && std::any_of(judged.begin(), judged.end(), [&](const Judged& each) {
                     return each.fresh && rank(each.severity) >= rank(options.fail_on);
                   });
  return bad ? ExitCode::kNegative : ExitCode::kOk;
}

void add_audit_commands(CLI::App& root, Invocation& invocation) {
  auto& audit = add_noun(root, "audit", "What is out of order");
  const auto keys =
      add_command(audit, invocation, "keys", "Weak, open, expired and duplicate keys of a token", &audit_token_keys);
  keys.app
      ->add_option("--fail-on", keys.options->fail_on, "Exit with 1 for a finding of this severity or above, or never")
      ->check(CLI::IsMember({"info", "low", "medium", "high", "critical", "never"}))
      ->option_text("SEVERITY")
      ->capture_default_str();
  keys.app->add_option("--snapshot", keys.options->snapshot, "Write what is there to a file")->option_text("FILE");
  keys.app->add_option("--diff", keys.options->diff, "Compare with a snapshot; only new findings count")
      ->option_text("FILE");
  keys.app->add_option("--days", keys.options->days, "Certificates that end so soon are found")
      ->option_text("DAYS")
      ->check(CLI::Range(0U, 36'500U))
      ->capture_default_str();
  keys.app->add_option("--ignore", keys.options->ignore, "A rule that is left out")->option_text("RULE")->take_all();
  keys.app->footer(
      "Examples:\n  shimctl --token test --pin-from prompt audit keys\n"
      "  shimctl --token test --pin-from env:PIN audit keys --diff last-week.json --fail-on medium");
}

}  // namespace p11shim

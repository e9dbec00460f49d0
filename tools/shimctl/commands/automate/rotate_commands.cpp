#include "tools/shimctl/commands/automate/rotate_commands.h"

#include <CLI/CLI.hpp>

#include <array>
#include <ctime>
#include <filesystem>
#include <set>

#include "config/problem.h"
#include "config/quantity.h"
#include "tools/shimctl/automate/rotation.h"
#include "tools/shimctl/commands/automate/backup_commands.h"
#include "tools/shimctl/commands/automate/job_commands.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"

namespace p11shim {

using nlohmann::json;

namespace {

struct RotateOptions {
  RotationRule rule;
  std::string max_age;
  std::string policy;
  std::string journal;
  bool recover = false;
};

std::vector<RotationRule> rules_of(const RotateOptions& options) {
  if (options.policy.empty() == options.rule.pattern.empty())
    throw Failure(ExitCode::kUsage, "either --pattern or --policy says which keys",
                  "shimctl rotate run --pattern 'prod-*'");
  if (!options.policy.empty()) return read_rotation_policy(options.policy);
  RotationRule rule = options.rule;
  if (!options.max_age.empty()) {
    const auto age = parse_duration(options.max_age);
    if (!age) throw Failure(ExitCode::kUsage, in_quotes(options.max_age) + " is no time", "--max-age 90d");
    rule.max_age = *age;
  }
  stage_size(rule, 1);  // throws if it is none
  return {rule};
}

KeyDates dates_in(const RotateOptions& options) { return Journal(journal_path(options.journal)).made_keys(); }

std::vector<RotatedKey> due_keys(const Session& session, const RotationRule& rule, const KeyDates& dates) {
  auto keys = keys_to_rotate(session, rule, dates);
  std::erase_if(keys, [&](const RotatedKey& key) {
    return !is_due(key, rule) || key.label == rule.kek || key.label == rule.sign_with;
  });
  return keys;
}

// A key that several rules match is the first one's.
std::vector<json> all_steps(const Session& session, const std::vector<RotationRule>& rules, const KeyDates& dates) {
  std::vector<json> steps;
  std::set<std::string> taken;
  for (const auto& rule : rules) {
    auto keys = due_keys(session, rule, dates);
    std::erase_if(keys, [&](const RotatedKey& key) { return !taken.insert(key.label).second; });
    for (auto& step : rotation_steps(keys, rule)) steps.push_back(std::move(step));
  }
  return steps;
}

std::string backup_name(const std::string& token) {
  char time[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &utc);
  std::string name;
  for (const char byte : token) name += std::isalnum(static_cast<unsigned char>(byte)) != 0 ? byte : '_';
  return name + "-" + time + ".backup";
}

// Former keys stay on the token; what can also leave it is written down first.
void back_up(const Invocation& invocation, TokenAccess& access, const RotationRule& rule) {
  if (rule.backup.empty()) return;
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(rule.backup, error);
  const Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  std::string kek = rule.kek;
  if (kek.empty()) {
    // The one key that can be nothing else.
    const auto found = session.find(Template()
                                        .set(CKA_CLASS, CKO_SECRET_KEY)
                                        .set(CKA_KEY_TYPE, CKK_AES)
                                        .set(CKA_TOKEN, true)
                                        .set(CKA_WRAP, true)
                                        .set(CKA_SIGN, true));
    if (found.size() != 1) {
      throw Failure(ExitCode::kNotFound,
                    std::string(found.empty() ? "no key" : "more than one key") + " of the token can wrap a backup",
                    "--kek names it");
    }
    // Named as it can be found again: a handle is not.
    const auto attributes = session.read(found.front(), std::array{CKA_LABEL, CKA_ID});
    const auto label = attributes.text(CKA_LABEL);
    kek = label.empty() ? "id:" + hex(attributes.text(CKA_ID)) : label;
  }
  const auto file = fs::path(rule.backup) / backup_name(access.label());
  write_backup(invocation, session, access, {.kek = kek, .sign_with = rule.sign_with, .file = file.string()});
}

ExitCode plan_rotation(const Invocation& invocation, const RotateOptions& options) {
  const auto rules = rules_of(options);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly, Login::kUser);
  return show_intents(invocation, "rotate.plan", "rotation", all_steps(session, rules, dates_in(options)));
}

// What a crash or a signal left of a rotation is taken back, as if it had failed; or finished, if it is past that.
void recover(const Invocation& invocation, Journal& journal, TokenAccess& access, Interruption& interruption) {
  JobRunner runner(invocation, journal, access, interruption);
  for (const auto& job : journal.jobs()) {
    if (!job.is_open() || job.kind != "rotate" || !runner.is_about_token(job)) continue;
    const bool finish = job.state == "committing";
    note(invocation, "job " + job.id + ", a rotation that was interrupted, is " + (finish ? "finished" : "taken back"));
    if (finish) {
      runner.run(job.id);
      continue;
    }
    for (const auto& step : runner.roll_back(job.id))
      note(invocation, "could not be taken back, its key is not there any more: " + step);
  }
}

ExitCode run_rotation(const Invocation& invocation, const RotateOptions& options) {
  if (invocation.dry_run) return plan_rotation(invocation, options);
  const auto rules = rules_of(options);
  Interruption interruption;
  Journal journal(journal_path(options.journal));
  journal.lock();
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  json identity = json::array();
  for (const auto& rule : rules) identity.push_back(rule.pattern);
  const std::string plan = hex(sha256_of("rotate" + identity.dump()));
  if (options.recover) recover(invocation, journal, access, interruption);
  refuse_open_jobs(journal, access, plan);  // before a backup is written
  const auto dates = journal.made_keys();
  const auto steps = all_steps(session, rules, dates);
  if (steps.empty()) return show_intents(invocation, "rotate.plan", "rotation", steps);
  for (const auto& rule : rules) {
    if (!due_keys(session, rule, dates).empty()) back_up(invocation, access, rule);
  }
  return run_new_job(invocation, journal, access,
                     {.kind = "rotate",
                      .name = "rotation of " + cell_text(Value(rules.front().pattern), CellStyle::kPrograms),
                      .plan_sha256 = plan,
                      .roll_back = true},
                     steps, interruption);
}

ExitCode rotation_status(const Invocation& invocation, const RotateOptions& options) {
  const auto rules = rules_of(options);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly, Login::kUser);
  Report report{.name = "rotate.status", .rows_key = "keys", .if_empty = "no key matches"};
  report.columns = {{"KEY", "label"},     {"TYPE", "type"}, {"VERSION", "version", Align::kRight},
                    {"FORMER", "former"}, {"AGE", "age"},   {"DUE", "due"}};
  bool any_due = false;
  const auto dates = dates_in(options);
  for (const auto& rule : rules) {
    for (const auto& key : keys_to_rotate(session, rule, dates)) {
      const bool due = is_due(key, rule);
      any_due = any_due || due;
      Value former = Value::List{};
      for (const unsigned version : key.versions) former.push_back("v" + std::to_string(version));
      Value row;
      row.set("label", key.label).set("type", key.type).set("version", key.former + 1).set("former", std::move(former));
      row.set("age", key.age_s ? Value(age_text(static_cast<double>(*key.age_s))) : Value());
      row.set("age_seconds", key.age_s ? Value(*key.age_s) : Value()).set("due", due);
      report.rows.push_back(std::move(row));
    }
  }
  present(invocation, report);
  return any_due ? ExitCode::kNegative : ExitCode::kOk;
}

void add_rule(CLI::App& app, RotateOptions& options) {
  app.add_option("--pattern", options.rule.pattern, "Labels: 'prod-*'")->option_text("PATTERN");
  app.add_option("--policy", options.policy, "A file with rules instead")->option_text("FILE");
  app.add_option("--max-age", options.max_age, "Only keys that are older, or of unknown age: 90d")->option_text("TIME");
  app.add_option("--type", options.rule.type, "Of the new keys; otherwise as before")->option_text("TYPE");
  app.add_option("--keep", options.rule.keep, "Former versions that stay; otherwise all")->option_text("N");
  app.add_option("--canary", options.rule.canary, "The first so many are also tried by --canary-command")
      ->option_text("N");
  app.add_option("--journal", options.journal, "Where jobs are written down")->option_text("FILE");
  app.add_option("--canary-command", options.rule.canary_command,
                 "Must succeed with the new key's label in $KEY, once it is live")
      ->option_text("COMMAND");
  app.add_option("--try-command", options.rule.try_command,
                 "Must succeed before a new key is live; $KEY is what it is called until then")
      ->option_text("COMMAND");
  app.add_option("--stage", options.rule.stage,
                 "After the canaries, so many at a time, with a check after each: 10, 25%")
      ->option_text("N[%]");
  app.add_option("--stage-command", options.rule.stage_command,
                 "Must succeed after each stage, with its labels in $KEYS")
      ->option_text("COMMAND");
}

}  // namespace

void add_rotate_commands(CLI::App& root, Invocation& invocation) {
  auto& rotate = add_noun(root, "rotate", "Replace keys by new ones, and keep the old ones as name@v1, name@v2, …");
  const auto plan = add_command(rotate, invocation, "plan", "Show what would be done", &plan_rotation);
  add_rule(*plan.app, *plan.options);
  const auto run = add_command(rotate, invocation, "run", "Rotate; whatever fails is taken back", &run_rotation);
  add_rule(*run.app, *run.options);
  run.app->add_option("--backup", run.options->rule.backup, "Write a backup there first")->option_text("FOLDER");
  run.app->add_option("--kek", run.options->rule.kek, "The backup's; otherwise the only key that can wrap one")
      ->option_text("KEY");
  run.app->add_option("--sign-with", run.options->rule.sign_with, "Sign the backup, with this private key of the token")
      ->option_text("KEY");
  run.app->add_flag("--recover", run.options->recover, "First take back a rotation that was interrupted");
  const auto status = add_command(rotate, invocation, "status", "Show ages and versions; exits with 1 if a key is due",
                                  &rotation_status);
  add_rule(*status.app, *status.options);
}

}  // namespace p11shim

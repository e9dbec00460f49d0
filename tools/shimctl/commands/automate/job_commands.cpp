#include "tools/shimctl/commands/automate/job_commands.h"

#include <CLI/CLI.hpp>

#include "config/problem.h"
#include "tools/shimctl/automate/plan.h"
#include "tools/shimctl/automate/step.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"

namespace p11shim {

using nlohmann::json;

namespace {

struct BatchOptions {
  std::string file;
  std::vector<std::string> variables;
  std::string journal;
  std::string job;
  bool roll_back = false;
};

struct JobOptions {
  std::string job;
  std::string journal;
};

std::string path_of(const std::string& journal) { return journal.empty() ? Journal::default_path() : journal; }

bool is_open(const JobRecord& job) { return job.state != "done" && job.state != "rolled-back"; }

Value job_value(const JobRecord& job) {
  Value value;
  value.set("id", job.id).set("kind", job.kind).set("name", job.name).set("state", job.state);
  value.set("token", job.token_label).set("serial", job.token_serial).set("created", job.created);
  value.set("steps", job.steps).set("steps_done", job.steps_done);
  return value.set("error", job.error.empty() ? Value() : Value(job.error));
}

ExitCode show_job(const Invocation& invocation, Journal& journal, const std::string& id) {
  const auto job = journal.job(id);
  Report report{.name = "job.result"};
  report.data = job_value(*job);
  present(invocation, report);
  if (job->state == "done" || job->state == "rolled-back") return ExitCode::kOk;
  return ExitCode::kPartial;
}

std::vector<json> intents_of(const Plan& plan) {
  std::vector<json> intents;
  for (const auto& step : plan.steps) intents.push_back(intent_of(step));
  return intents;
}

ExitCode plan_batch(const Invocation& invocation, const BatchOptions& options) {
  const Plan plan = read_plan(options.file, options.variables);
  return show_intents(invocation, "batch.plan", plan.name, intents_of(plan));
}

ExitCode apply_batch(const Invocation& invocation, const BatchOptions& options) {
  const Plan plan = read_plan(options.file, options.variables);
  const auto intents = intents_of(plan);
  if (invocation.dry_run) return show_intents(invocation, "batch.plan", plan.name, intents);
  Interruption interruption;
  TokenAccess access(invocation);
  return run_new_job(invocation, access,
                     {.kind = "batch",
                      .name = plan.name.empty() ? options.file : plan.name,
                      .plan_sha256 = plan.text_sha256,
                      .journal = options.journal,
                      .roll_back = options.roll_back},
                     intents, interruption);
}

// The one that was named, or the only one that is not over.
std::string chosen_job(Journal& journal, const std::string& id) {
  if (!id.empty()) return id;
  std::string open;
  std::size_t count = 0;
  for (const auto& job : journal.jobs()) {
    if (!is_open(job)) continue;
    open = job.id;
    ++count;
  }
  if (count == 1) return open;
  throw Failure(ExitCode::kNotFound,
                count == 0 ? "no job is unfinished" : std::to_string(count) + " jobs are unfinished",
                count == 0 ? "" : "name one; shimctl job list shows them");
}

ExitCode resume_batch(const Invocation& invocation, const BatchOptions& options) {
  Interruption interruption;
  Journal journal(path_of(options.journal));
  journal.lock();
  const std::string job = chosen_job(journal, options.job);
  TokenAccess access(invocation);
  JobRunner(invocation, journal, access, interruption).run(job);
  return show_job(invocation, journal, job);
}

ExitCode roll_back_batch(const Invocation& invocation, const BatchOptions& options) {
  Interruption interruption;
  Journal journal(path_of(options.journal));
  journal.lock();
  const std::string job = chosen_job(journal, options.job);
  TokenAccess access(invocation);
  JobRunner(invocation, journal, access, interruption).roll_back(job);
  return show_job(invocation, journal, job);
}

ExitCode list_jobs(const Invocation& invocation, const JobOptions& options) {
  Journal journal(path_of(options.journal));
  const auto jobs = journal.jobs();
  Report report{.name = "job.list", .rows_key = "jobs", .if_empty = "no jobs"};
  report.columns = {{"JOB", "id"},
                    {"KIND", "kind"},
                    {"NAME", "name"},
                    {"STATE", "state"},
                    {"DONE", "steps_done", Align::kRight},
                    {"STEPS", "steps", Align::kRight},
                    {"TOKEN", "token"},
                    {"CREATED", "created"}};
  const Page page = page_of(invocation, jobs.size());
  for (std::size_t i = page.begin; i < page.end; ++i) report.rows.push_back(job_value(jobs[i]));
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return ExitCode::kOk;
}

JobRecord named_job(Journal& journal, const std::string& id) {
  const auto job = journal.job(id);
  if (job) return *job;
  throw Failure(ExitCode::kNotFound, "there is no job " + in_quotes(id), "shimctl job list shows them");
}

ExitCode job_status(const Invocation& invocation, const JobOptions& options) {
  Journal journal(path_of(options.journal));
  Report report{.name = "job.status", .rows_key = "steps"};
  report.data = job_value(named_job(journal, options.job));
  report.data.set("step_count", *report.data.find("steps"));
  report.columns = {{"STEP", "number", Align::kRight}, {"STATE", "state"}, {"WHAT", "what"}};
  for (const auto& step : journal.steps(options.job)) {
    Value row;
    row.set("number", step.number + 1).set("state", step.state).set("what", step_text(step.intent));
    report.rows.push_back(std::move(row));
  }
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode cancel_job(const Invocation& invocation, const JobOptions& options) {
  Journal journal(path_of(options.journal));
  const JobRecord job = named_job(journal, options.job);
  if (!is_open(job)) throw Failure(ExitCode::kUsage, "job " + job.id + " is over: it is " + job.state, "");
  if (!invocation.dry_run) journal.want_cancel(job.id, true);
  Report report{.name = "job.cancel"};
  report.data.set("id", job.id).set("cancel_wanted", true).set("state", job.state);
  present(invocation, report);
  return ExitCode::kOk;
}

void add_journal(CLI::App& app, std::string& journal) {
  app.add_option("--journal", journal, "Where jobs are written down; otherwise $SHIMCTL_JOURNAL, or in ~/.local/state")
      ->option_text("FILE");
}

void add_plan(CLI::App& app, BatchOptions& options) {
  app.add_option("plan", options.file, "TOML, or YAML if it is called .yaml")->required();
  app.add_option("--set", options.variables, "A variable of the plan: env=test")
      ->option_text("NAME=VALUE")
      ->allow_extra_args(false);
}

}  // namespace

ExitCode show_intents(const Invocation& invocation, const std::string& schema, const std::string& name,
                      const std::vector<json>& intents) {
  Report report{.name = schema, .rows_key = "steps", .if_empty = "nothing to do"};
  report.data.set("name", name);
  report.columns = {{"STEP", "number", Align::kRight}, {"ACTION", "action"}, {"LABEL", "label"}, {"WHAT", "what"}};
  for (std::size_t i = 0; i < intents.size(); ++i) {
    Value row;
    row.set("number", i + 1).set("action", intents[i]["action"].get<std::string>());
    row.set("label", intents[i]["label"].get<std::string>()).set("what", step_text(intents[i]));
    report.rows.push_back(std::move(row));
  }
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode run_new_job(const Invocation& invocation, TokenAccess& access, const JobRequest& request,
                     const std::vector<json>& intents, Interruption& interruption) {
  Journal journal(path_of(request.journal));
  journal.lock();
  const auto info = access.module().token_info(access.slot());
  const JobRecord record{.kind = request.kind,
                         .name = request.name,
                         .plan_sha256 = request.plan_sha256,
                         .token_label = padded_text(info.label),
                         .token_serial = padded_text(info.serialNumber)};
  for (const auto& job : journal.jobs()) {
    if (!is_open(job) || job.plan_sha256 != record.plan_sha256 || job.token_serial != record.token_serial) continue;
    throw Failure(ExitCode::kPartial,
                  {.what = "this plan was begun before and is not finished",
                   .why = "job " + job.id + " is " + job.state + " with " + std::to_string(job.steps_done) + " of " +
                          std::to_string(job.steps) + " steps done",
                   .fix = "shimctl batch resume " + job.id + ", or shimctl batch rollback " + job.id});
  }
  access.session(Session::Access::kReadWrite, Login::kUser);  // a wrong PIN makes no job
  const std::string id = journal.create(record, intents);
  JobRunner runner(invocation, journal, access, interruption);
  try {
    runner.run(id);
  } catch (const Failure& failure) {
    FailureReason reason = failure.reason();
    if (request.roll_back) {
      runner.roll_back(id);
      reason.what += "; everything was taken back";
    } else {
      reason.fix += std::string(reason.fix.empty() ? "" : "; ") + "shimctl batch resume " + id +
                    " goes on, shimctl batch rollback " + id + " takes it back";
    }
    throw Failure(failure.code(), reason);
  }
  return show_job(invocation, journal, id);
}

void add_job_commands(CLI::App& root, Invocation& invocation) {
  auto& batch = add_noun(root, "batch", "Many changes to a token, all or none");
  const auto plan = add_command(batch, invocation, "plan", "Show the steps of a plan", &plan_batch);
  add_plan(*plan.app, *plan.options);
  const auto apply = add_command(batch, invocation, "apply", "Carry out a plan", &apply_batch);
  add_plan(*apply.app, *apply.options);
  add_journal(*apply.app, apply.options->journal);
  apply.app->add_flag("--rollback-on-failure", apply.options->roll_back, "Take everything back if a step fails");
  const auto resume = add_command(batch, invocation, "resume", "Finish a job that was interrupted", &resume_batch);
  const auto back = add_command(batch, invocation, "rollback", "Take an unfinished job back", &roll_back_batch);
  for (const auto& command : {resume, back}) {
    command.app->add_option("job", command.options->job, "Its id; otherwise the only one that is unfinished");
    add_journal(*command.app, command.options->journal);
  }

  auto& job = add_noun(root, "job", "What batch and rotate have done");
  const auto list = add_command(job, invocation, "list", "List jobs", &list_jobs);
  add_journal(*list.app, list.options->journal);
  const auto status = add_command(job, invocation, "status", "Show the steps of a job", &job_status);
  const auto cancel = add_command(job, invocation, "cancel", "Stop a running job after its current step", &cancel_job);
  for (const auto& command : {status, cancel}) {
    command.app->add_option("job", command.options->job, "Its id")->required();
    add_journal(*command.app, command.options->journal);
  }
}

}  // namespace p11shim

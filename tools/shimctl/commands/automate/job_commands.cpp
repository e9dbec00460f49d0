#include "tools/shimctl/commands/automate/job_commands.h"

#include <CLI/CLI.hpp>

#include "config/problem.h"
#include "tools/shimctl/automate/plan.h"
#include "tools/shimctl/automate/step.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/confirm.h"
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
  return job->is_open() ? ExitCode::kPartial : ExitCode::kOk;
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
  Journal journal(journal_path(options.journal));
  journal.lock();
  TokenAccess access(invocation);
  return run_new_job(invocation, journal, access,
                     {.kind = "batch",
                      .name = plan.name.empty() ? options.file : plan.name,
                      .plan_sha256 = plan.text_sha256,
                      .roll_back = options.roll_back},
                     intents, interruption);
}

// The one that was named, or the only one that is not over.
std::string chosen_job(Journal& journal, const std::string& id) {
  if (!id.empty()) return id;
  std::string open;
  std::size_t count = 0;
  for (const auto& job : journal.jobs()) {
    if (!job.is_open()) continue;
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
  Journal journal(journal_path(options.journal));
  journal.lock();
  const std::string job = chosen_job(journal, options.job);
  TokenAccess access(invocation);
  JobRunner(invocation, journal, access, interruption).run(job);
  return show_job(invocation, journal, job);
}

ExitCode roll_back_batch(const Invocation& invocation, const BatchOptions& options) {
  Interruption interruption;
  Journal journal(journal_path(options.journal));
  journal.lock();
  const std::string job = chosen_job(journal, options.job);
  TokenAccess access(invocation);
  const auto gone = JobRunner(invocation, journal, access, interruption).roll_back(job);
  const ExitCode code = show_job(invocation, journal, job);
  for (const auto& step : gone) note(invocation, "could not be taken back, its key is not there any more: " + step);
  return gone.empty() ? code : ExitCode::kPartial;
}

ExitCode list_jobs(const Invocation& invocation, const JobOptions& options) {
  Journal journal(journal_path(options.journal));
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
  Journal journal(journal_path(options.journal));
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
  Journal journal(journal_path(options.journal));
  const JobRecord job = named_job(journal, options.job);
  const std::string ways =
      "shimctl batch resume " + job.id + " goes on, shimctl batch rollback " + job.id + " takes it back";
  if (!job.is_open()) throw Failure(ExitCode::kUsage, "job " + job.id + " is over: it is " + job.state, "");
  if (job.state != "running")
    throw Failure(ExitCode::kUsage, "job " + job.id + " does not run: it is " + job.state, ways);
  if (journal.try_lock())
    throw Failure(ExitCode::kUsage, "job " + job.id + " does not run: the shimctl that ran it is gone", ways);
  if (!invocation.dry_run) journal.want_cancel(job.id, true);
  Report report{.name = "job.cancel"};
  report.data.set("id", job.id).set("cancel_wanted", true).set("state", job.state);
  present(invocation, report);
  return ExitCode::kOk;
}

// The way out if a token can be brought to neither end: it stays as it is.
ExitCode abandon_job(const Invocation& invocation, const JobOptions& options) {
  Journal journal(journal_path(options.journal));
  journal.lock();
  const JobRecord job = named_job(journal, options.job);
  if (!job.is_open()) throw Failure(ExitCode::kUsage, "job " + job.id + " is over: it is " + job.state, "");
  if (!invocation.dry_run) {
    confirm(invocation, "leaves token " + in_quotes(job.token_label) + " as it is: what job " + job.id +
                            " did is neither finished nor taken back any more");
    journal.set_state(job.id, "abandoned", job.error);
  }
  const ExitCode code = show_job(invocation, journal, job.id);
  for (const auto& step : journal.steps(job.id)) {
    if (step.state == "doing" || step.state == "done")
      note(invocation, (step.state == "done" ? "stays done: " : "may be half done: ") + step_text(step.intent));
  }
  return invocation.dry_run ? ExitCode::kOk : code;
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

std::string journal_path(const std::string& option) { return option.empty() ? Journal::default_path() : option; }

void refuse_open_jobs(Journal& journal, TokenAccess& access, const std::string& plan_sha256) {
  const auto info = access.module().token_info(access.slot());
  for (const auto& job : journal.jobs()) {
    const bool same_token =
        job.token_serial == padded_text(info.serialNumber) && job.token_label == padded_text(info.label);
    if (!job.is_open() || !same_token) continue;
    const bool back = job.state == "rolling-back";
    const bool on = job.state == "committing";
    std::string ways = back ? "" : "shimctl batch resume " + job.id;
    if (!on) ways += (ways.empty() ? "" : ", or ") + ("shimctl batch rollback " + job.id);
    if (job.kind == "rotate") ways += ", or shimctl rotate run --recover";
    throw Failure(ExitCode::kPartial,
                  {.what = job.plan_sha256 == plan_sha256 ? "this plan was begun before and is not finished"
                                                          : "another job on this token is not finished",
                   .why = "job " + job.id + " (" + job.kind + ", " + job.name + ") is " + job.state + " with " +
                          std::to_string(job.steps_done) + " of " + std::to_string(job.steps) + " steps done",
                   .fix = ways});
  }
}

ExitCode run_new_job(const Invocation& invocation, Journal& journal, TokenAccess& access, const JobRequest& request,
                     const std::vector<json>& intents, Interruption& interruption) {
  refuse_open_jobs(journal, access, request.plan_sha256);
  const auto info = access.module().token_info(access.slot());
  const JobRecord record{.kind = request.kind,
                         .name = request.name,
                         .plan_sha256 = request.plan_sha256,
                         .token_label = padded_text(info.label),
                         .token_serial = padded_text(info.serialNumber)};
  access.session(Session::Access::kReadWrite, Login::kUser);  // a wrong PIN makes no job
  const std::string id = journal.create(record, intents);
  JobRunner runner(invocation, journal, access, interruption);
  try {
    runner.run(id);
  } catch (const Failure& failure) {
    FailureReason reason = failure.reason();
    const auto add_fix = [&](const std::string& fix) { reason.fix += (reason.fix.empty() ? "" : "; ") + fix; };
    const bool committing = journal.job(id)->state == "committing";
    if (!request.roll_back || committing) {
      add_fix("shimctl batch resume " + id + " goes on, shimctl " +
              (committing ? "job abandon " + id + " gives it up" : "batch rollback " + id + " takes it back"));
      throw Failure(failure.code(), reason);
    }
    try {
      const auto gone = runner.roll_back(id);
      reason.what += gone.empty() ? "; everything was taken back" : "; what is still there was taken back";
      for (const auto& step : gone) reason.what += ", not: " + step;
    } catch (const Failure& second) {
      reason.what += "; and then " + second.reason().what;
      if (!second.reason().why.empty()) reason.what += " (" + second.reason().why + ")";
      add_fix(second.reason().fix);
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
  const auto abandon = add_command(job, invocation, "abandon",
                                   "Give up a job that can neither be finished nor taken back", &abandon_job);
  for (const auto& command : {status, cancel, abandon}) {
    command.app->add_option("job", command.options->job, "Its id")->required();
    add_journal(*command.app, command.options->journal);
  }
}

}  // namespace p11shim

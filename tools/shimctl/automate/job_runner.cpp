#include "tools/shimctl/automate/job_runner.h"

#include "config/problem.h"
#include "tools/shimctl/automate/step.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/token/call_failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

JobRecord known(Journal& journal, const std::string& id) {
  const auto job = journal.job(id);
  if (job) return *job;
  throw Failure(ExitCode::kNotFound, "there is no job " + in_quotes(id), "shimctl job list shows them");
}

template <class Action>
void guarded(const json& intent, Action&& action) {
  try {
    action();
  } catch (const CallError& error) {
    throw failure_of(error, "cannot " + step_text(intent));
  }
}

}  // namespace

void JobRunner::check_token(const JobRecord& job) {
  const auto info = access_.module().token_info(access_.slot());
  const auto serial = padded_text(info.serialNumber);
  if (serial == job.token_serial && padded_text(info.label) == job.token_label) return;
  throw Failure(
      ExitCode::kNotFound,
      "job " + job.id + " is about token " + in_quotes(job.token_label) + ", serial " + printable(job.token_serial),
      "choose it with --token");
}

void JobRunner::run_steps(const std::string& job, Session& session, bool& cancelled) {
  const auto steps = journal_.steps(job);
  Progress progress(invocation_, "job " + job, steps.size(), "steps");
  for (const auto& step : steps) {
    if (step.state != "done") {
      const auto record = journal_.job(job);
      cancelled = interruption_.happened() || (record && record->cancel_wanted);
      if (cancelled) return;
      guarded(step.intent, [&] {
        // What was there before is written down once: after a crash it may be there no more.
        json undo = step.undo;
        if (step.state != "doing") {
          undo = prepare_step(session, step.intent, job);
          journal_.set_step(job, step.number, "doing", undo);
        }
        do_step(session, step.intent, undo);
        journal_.set_step(job, step.number, "done", undo);
      });
    }
    progress.advance(1);
  }
}

void JobRunner::commit(const std::string& job, Session& session) {
  journal_.set_state(job, "committing");
  for (const auto& step : journal_.steps(job)) {
    guarded(step.intent, [&] { commit_step(session, step.intent, step.undo); });
  }
  journal_.set_state(job, "done");
}

std::string JobRunner::run(const std::string& id) {
  const JobRecord job = known(journal_, id);
  if (job.state == "done" || job.state == "rolled-back")
    throw Failure(ExitCode::kUsage, "job " + id + " is over: it is " + job.state, "");
  if (job.state == "rolling-back")
    throw Failure(ExitCode::kUsage, "job " + id + " is being rolled back", "shimctl batch rollback " + id);
  check_token(job);
  Session& session = access_.session(Session::Access::kReadWrite, Login::kUser);
  if (job.state != "committing") {
    journal_.set_state(id, "running");
    bool cancelled = false;
    try {
      run_steps(id, session, cancelled);
    } catch (const Failure& failure) {
      journal_.set_state(id, "failed", failure.what());
      throw;
    }
    if (cancelled) {
      journal_.want_cancel(id, false);
      journal_.set_state(id, "cancelled");
      return "cancelled";
    }
  }
  commit(id, session);
  return "done";
}

std::string JobRunner::roll_back(const std::string& id) {
  const JobRecord job = known(journal_, id);
  if (job.state == "rolled-back") return job.state;
  if (job.state == "done" || job.state == "committing") {
    throw Failure(ExitCode::kUsage, "job " + id + " cannot be taken back any more: it is " + job.state,
                  job.state == "done" ? "" : "shimctl batch resume " + id);
  }
  check_token(job);
  Session& session = access_.session(Session::Access::kReadWrite, Login::kUser);
  journal_.set_state(id, "rolling-back", job.error);
  const auto steps = journal_.steps(id);
  Progress progress(invocation_, "taking back job " + id, steps.size(), "steps");
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (step->state == "doing" || step->state == "done") {
      guarded(step->intent, [&] {
        undo_step(session, step->intent, step->undo);
        journal_.set_step(id, step->number, "undone", step->undo);
      });
    }
    progress.advance(1);
  }
  journal_.set_state(id, "rolled-back", job.error);
  return "rolled-back";
}

}  // namespace p11shim

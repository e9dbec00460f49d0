#include "tools/shimctl/automate/job_runner.h"

#include <optional>

#include "config/problem.h"
#include "tools/shimctl/automate/key_halves.h"
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

bool JobRunner::is_about_token(const JobRecord& job) {
  const auto info = access_.module().token_info(access_.slot());
  return padded_text(info.serialNumber) == job.token_serial && padded_text(info.label) == job.token_label;
}

void JobRunner::check_token(const JobRecord& job) {
  if (is_about_token(job)) return;
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
      const bool wanted = interruption_.happened() || (record && record->cancel_wanted);
      cancelled = wanted && !step.intent.value("at_once", false);
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

void JobRunner::commit_steps(const std::string& job, Session& session, bool& changed) {
  const auto steps = journal_.steps(job);
  for (const char* action : {"set", "delete"}) {
    for (std::size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].intent["action"] != action) continue;
      guarded(steps[i].intent, [&] {
        if (std::string_view(action) == "set") commit_set(session, steps, i, changed);
        else commit_delete(session, steps[i].undo, changed);
      });
    }
  }
}

void JobRunner::commit(const JobRecord& job, Session& session) {
  bool changed = job.state == "committing";  // nobody knows what was before
  journal_.set_state(job.id, "committing");
  try {
    commit_steps(job.id, session, changed);
  } catch (const Failure& failure) {
    // The token refuses already the first: everything can still be taken back.
    journal_.set_state(job.id, changed ? "committing" : "failed", failure.what());
    throw;
  }
  journal_.set_state(job.id, "done");
}

std::string JobRunner::run(const std::string& id) {
  const JobRecord job = known(journal_, id);
  if (!job.is_open()) throw Failure(ExitCode::kUsage, "job " + id + " is over: it is " + job.state, "");
  if (job.state == "rolling-back")
    throw Failure(ExitCode::kUsage, "job " + id + " is being rolled back", "shimctl batch rollback " + id);
  check_token(job);
  Session& session = access_.session(Session::Access::kReadWrite, Login::kUser);
  journal_.want_cancel(id, false);  // whoever wanted it meant a run that is over
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
  commit(job, session);
  return "done";
}

std::vector<std::string> JobRunner::roll_back(const std::string& id) {
  const JobRecord job = known(journal_, id);
  std::vector<std::string> gone;
  if (job.state == "rolled-back") return gone;
  if (job.state == "done" || job.state == "committing" || job.state == "abandoned") {
    throw Failure(ExitCode::kUsage, "job " + id + " cannot be taken back any more: it is " + job.state,
                  job.state == "committing" ? "shimctl batch resume " + id : "");
  }
  check_token(job);
  Session& session = access_.session(Session::Access::kReadWrite, Login::kUser);
  journal_.set_state(id, "rolling-back", job.error);
  const auto steps = journal_.steps(id);
  Progress progress(invocation_, "taking back job " + id, steps.size(), "steps");
  std::optional<Failure> refused;
  std::size_t refusals = 0;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    progress.advance(1);
    if (step->state == "gone") gone.push_back(step_text(step->intent));
    if (step->state != "doing" && step->state != "done") continue;
    try {
      guarded(step->intent, [&] { undo_step(session, step->intent, step->undo); });
      journal_.set_step(id, step->number, "undone", step->undo);
    } catch (const KeyIsGone&) {
      gone.push_back(step_text(step->intent));
      journal_.set_step(id, step->number, "gone", step->undo);
    } catch (const Failure& failure) {
      // What was done before it can be taken back all the same.
      if (!refused) refused = failure;
      ++refusals;
    }
  }
  if (!refused) {
    journal_.set_state(id, "rolled-back", job.error);
    return gone;
  }
  FailureReason reason = refused->reason();
  reason.what = std::to_string(refusals) + " step(s) cannot be taken back: " + reason.what;
  reason.fix += std::string(reason.fix.empty() ? "" : "; ") + "shimctl batch rollback " + id +
                " tries again, shimctl job abandon " + id + " gives it up";
  throw Failure(refused->code(), reason);
}

}  // namespace p11shim

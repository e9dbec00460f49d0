// batch plan, apply, resume, rollback; job list, status, cancel.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/automate/job_runner.h"

namespace p11shim {

void add_job_commands(CLI::App& root, Invocation& invocation);

// Throws Failure if a job on this token is not finished: what it is about to do or to take back would meet what the
// new one does.
void refuse_open_jobs(Journal& journal, TokenAccess& access, const std::string& plan_sha256);

// Makes a job of these intents and carries it out; if it fails and `roll_back` is set, takes it back. Answers
// with the job. For batch and rotate, which hold the journal's lock.
struct JobRequest {
  std::string kind;
  std::string name;
  std::string plan_sha256;
  bool roll_back = false;
};
ExitCode run_new_job(const Invocation& invocation, Journal& journal, TokenAccess& access, const JobRequest& request,
                     const std::vector<nlohmann::json>& intents, Interruption& interruption);

std::string journal_path(const std::string& option);  // empty: the default

// What would be done, one row per step.
ExitCode show_intents(const Invocation& invocation, const std::string& schema, const std::string& name,
                      const std::vector<nlohmann::json>& intents);

}  // namespace p11shim

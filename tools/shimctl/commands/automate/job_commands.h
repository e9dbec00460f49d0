// batch plan, apply, resume, rollback; job list, status, cancel.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/automate/job_runner.h"

namespace p11shim {

void add_job_commands(CLI::App& root, Invocation& invocation);

// Makes a job of these intents and carries it out; if it fails and `roll_back` is set, takes it back. Answers
// with the job. For batch and rotate.
struct JobRequest {
  std::string kind;
  std::string name;
  std::string plan_sha256;
  std::string journal;  // empty: the default
  bool roll_back = false;
};
ExitCode run_new_job(const Invocation& invocation, TokenAccess& access, const JobRequest& request,
                     const std::vector<nlohmann::json>& intents, Interruption& interruption);

// What would be done, one row per step.
ExitCode show_intents(const Invocation& invocation, const std::string& schema, const std::string& name,
                      const std::vector<nlohmann::json>& intents);

}  // namespace p11shim

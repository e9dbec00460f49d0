// Carries out a job of the journal, or takes it back.
#pragma once

#include "tools/shimctl/automate/journal.h"
#include "tools/shimctl/bench/interruption.h"
#include "tools/shimctl/output/progress.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

class JobRunner {
 public:
  JobRunner(const Invocation& invocation, Journal& journal, TokenAccess& access, Interruption& interruption)
      : invocation_(invocation), journal_(journal), access_(access), interruption_(interruption) {}

  // The steps that are not done, then the commit. Throws Failure if one cannot be done; the job is then
  // "failed". Returns the job's state: "done", or "cancelled" (^C, or job cancel).
  std::string run(const std::string& job);
  // The job is "rolled-back" then. Returns what was not there any more, as texts of its steps. Throws Failure if a
  // step cannot be undone: all others are, and it can be tried again.
  std::vector<std::string> roll_back(const std::string& job);
  // The token that is open is the job's.
  bool is_about_token(const JobRecord& job);

 private:
  void check_token(const JobRecord& job);
  void run_steps(const std::string& job, Session& session, bool& cancelled);
  void commit(const JobRecord& job, Session& session);
  void commit_steps(const std::string& job, Session& session, bool& changed);

  const Invocation& invocation_;
  Journal& journal_;
  TokenAccess& access_;
  Interruption& interruption_;
};

}  // namespace p11shim

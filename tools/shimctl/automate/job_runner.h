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
  // Returns "rolled-back". Throws Failure if a step cannot be undone; what is left stays in the journal.
  std::string roll_back(const std::string& job);

 private:
  void check_token(const JobRecord& job);
  void run_steps(const std::string& job, Session& session, bool& cancelled);
  void commit(const std::string& job, Session& session);

  const Invocation& invocation_;
  Journal& journal_;
  TokenAccess& access_;
  Interruption& interruption_;
};

}  // namespace p11shim

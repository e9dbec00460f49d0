#include "tools/shimctl/commands/all.h"

#include "tools/shimctl/commands/audit/audit_commands.h"
#include "tools/shimctl/commands/automate/backup_commands.h"
#include "tools/shimctl/commands/automate/job_commands.h"
#include "tools/shimctl/commands/automate/rotate_commands.h"
#include "tools/shimctl/commands/bench/bench_commands.h"
#include "tools/shimctl/commands/complete.h"
#include "tools/shimctl/commands/crypto/crypto_commands.h"
#include "tools/shimctl/commands/doctor/doctor.h"
#include "tools/shimctl/commands/examples.h"
#include "tools/shimctl/commands/explain/explain_commands.h"
#include "tools/shimctl/commands/info/info_commands.h"
#include "tools/shimctl/commands/key/key_commands.h"
#include "tools/shimctl/commands/manual.h"
#include "tools/shimctl/commands/ping.h"
#include "tools/shimctl/commands/pool/pool_commands.h"
#include "tools/shimctl/commands/run.h"
#include "tools/shimctl/commands/stats.h"
#include "tools/shimctl/commands/status.h"
#include "tools/shimctl/commands/trace/trace.h"

namespace p11shim {

void add_all_commands(CLI::App& root, Invocation& invocation) {
  add_info_commands(root, invocation);
  add_key_commands(root, invocation);
  add_crypto_commands(root, invocation);
  add_bench_commands(root, invocation);
  add_job_commands(root, invocation);
  add_backup_commands(root, invocation);
  add_rotate_commands(root, invocation);
  add_complete(root, invocation);
  add_explain_commands(root, invocation);
  add_doctor(root, invocation);
  add_audit_commands(root, invocation);
  add_manual(root, invocation);
  add_ping(root, invocation);
  add_pool_commands(root, invocation);
  add_status(root, invocation);
  add_stats(root, invocation);
  add_run(root, invocation);
  add_trace(root, invocation);
  add_examples(root);
}

}  // namespace p11shim

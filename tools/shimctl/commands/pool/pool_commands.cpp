#include "tools/shimctl/commands/pool/pool_commands.h"

#include "tools/shimctl/commands/pool/diff.h"
#include "tools/shimctl/commands/pool/member.h"
#include "tools/shimctl/commands/pool/pools.h"
#include "tools/shimctl/commands/pool/sync.h"
#include "tools/shimctl/commands/subcommand.h"

namespace p11shim {

namespace {

void add_pool(CLI::App& app, PoolOptions& options) { app.add_option("pool", options.pool, "Its name")->required(); }

void add_verb(CLI::App& noun, Invocation& invocation, const char* name, const char* what, const char* awaited) {
  const auto [app, options] = add_command(noun, invocation, name, what, &change_member);
  options->action = name;
  app->add_option("member", options->member, "POOL/MEMBER, or MEMBER where that is clear")->required();
  app->add_option("--reason", options->reason, "Why; it is kept and shown")->option_text("TEXT");
  if (*awaited != '\0')
    app->add_option("--wait", options->wait, std::string("Wait so long until ") + awaited)
        ->check(CLI::NonNegativeNumber)
        ->option_text("SECONDS");
  if (options->action == "weight")
    app->add_option("weight", options->weight, "1 to 10000; 100 is usual")->required()->check(CLI::Range(1, 10'000));
  if (options->action == "maint") app->add_flag("--now", options->now, "Do not wait for what has begun there");
  if (options->action == "remove") app->add_flag("--force", options->force, "Even if it alone holds some objects");
}

}  // namespace

void add_pool_commands(CLI::App& root, Invocation& invocation) {
  auto& pool = add_noun(root, "pool", "Pools of several members");
  const auto list = add_command(pool, invocation, "list", "List the pools", &list_pools);
  list.app->alias("ls");
  const auto show = add_command(pool, invocation, "show", "Show a pool's members and what became of them", &show_pool);
  add_pool(*show.app, *show.options);
  show.app->footer("Example:\n  shimctl pool show signing -o json | jq '.data.members[].transitions'");
  const auto diff = add_command(pool, invocation, "diff", "Name the objects that not all members have", &diff_pool);
  add_pool(*diff.app, *diff.options);
  diff.app->footer(
      "Exits with 1 if there are some. Private objects: shimctl --token LABEL --pin-from prompt pool diff POOL");

  const auto sync =
      add_command(pool, invocation, "sync", "Have the members do what they owe, and repair differences", &sync_pool);
  sync.app->add_option("pool", sync.options->pool, "Its name")->required();
  sync.app->add_flag("--dry-run", sync.options->dry_run, "Only say what would be done");
  sync.app->footer("It is done as members can be reached. Exits with 9 if not all show their private objects.");

  auto& member = add_noun(root, "member", "What is wanted of a member of a pool, while it serves");
  add_verb(member, invocation, "drain", "Give it nothing new; what has begun goes on", "nothing runs there");
  add_verb(member, invocation, "maint", "Give it nothing new and stop its workers when what has begun there has ended",
           "they are stopped");
  add_verb(member, invocation, "ready", "Use it again; forget its failures and its quarantine", "it is up");
  add_verb(member, invocation, "weight", "Change its share of the calls", "");
  add_verb(member, invocation, "reset-breaker", "Use it again although it failed", "");
  add_verb(member, invocation, "add", "Take in a member that the configuration file has now", "it is up");
  add_verb(member, invocation, "remove", "Drain it, then let it go", "it has gone");
}

}  // namespace p11shim

#include "proxyd/daemon/token_check.h"

#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>

#include "proxyd/tokens/member.h"
#include "proxyd/tokens/token_problems.h"

namespace p11shim {
namespace {

constexpr std::chrono::milliseconds kPatience{10'000};

struct Looked {
  std::string member;
  TokenIdentity identity;
  std::unique_ptr<Worker> worker;
};

bool has_answered(const Looked& looked) { return looked.worker->state() != Worker::State::starting; }

std::vector<std::string> problems_of(const std::vector<Looked>& members) {
  std::vector<std::string> problems;
  std::vector<SeenToken> seen;
  for (const Looked& each : members) {
    if (each.worker->state() != Worker::State::ready) {
      const std::string& why = each.worker->failure().reason;
      problems.push_back("member " + each.member +
                         ": its token cannot be seen: " + (why.empty() ? "its module does not get ready" : why));
      continue;
    }
    const auto& slots = each.worker->slots();
    const auto found =
        std::ranges::find_if(slots, [&](const SlotEntry& entry) { return each.identity.matches(entry); });
    seen.push_back({each.member, found == slots.end() ? nullptr : &*found});
  }
  const auto more = token_problems(seen);
  problems.insert(problems.end(), more.begin(), more.end());
  return problems;
}

std::vector<Looked> start_workers(Runtime& runtime, StartGate& gate, const Config& config, const PoolConfig& pool) {
  std::vector<Looked> members;
  for (const std::string& name : pool.members) {
    const MemberConfig& member = *config.find_member(name);
    const ModuleConfig& module = *config.find_module(member.module);
    TokenIdentity identity{member.token_label, member.token_serial, std::nullopt};
    if (member.slot) identity.slot = *member.slot;
    WorkerSpec spec{name + "/check", module, worker_environment(module, member), member.options};
    spec.options.lanes = 1;
    spec.options.max_stuck_lanes = 0;
    members.push_back({name, identity, std::make_unique<Worker>(runtime, gate, std::move(spec), Worker::Hooks{})});
    members.back().worker->start();
  }
  return members;
}

}  // namespace

std::vector<std::string> problems_of_tokens(const Config& config, const std::string& worker_program) {
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> problems;
  spdlog::logger quiet("check", std::make_shared<spdlog::sinks::null_sink_st>());
  uv_loop_t loop;
  uv_loop_init(&loop);
  {
    Runtime runtime{loop, quiet, worker_program};
    StartGate gate;
    bool late = false;
    Timer patience(loop, [&] { late = true; });
    patience.start(kPatience);
    for (const PoolConfig& pool : config.pools) {
      if (pool.members.size() < 2) continue;
      const std::vector<Looked> members = start_workers(runtime, gate, config, pool);
      while (!late && !std::ranges::all_of(members, has_answered)) uv_run(&loop, UV_RUN_ONCE);
      for (const std::string& problem : problems_of(members)) problems.push_back("pool " + pool.name + ": " + problem);
      if (pool.balance.replication == Replication::wrap)
        problems.push_back("pool " + pool.name + ": whether its members have the key \"" + pool.balance.wrapping_key +
                           "\" (wrapping_key) is not known without a PIN: a proxyd that runs tells it when an "
                           "application has logged in");
      for (const Looked& each : members) each.worker->stop("it was looked at");
    }
  }
  uv_run(&loop, UV_RUN_DEFAULT);  // until the workers have gone
  uv_loop_close(&loop);
  return problems;
}

}  // namespace p11shim

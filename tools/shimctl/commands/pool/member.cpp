#include "tools/shimctl/commands/pool/member.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/confirm.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::chrono::milliseconds kLook{50};

json arguments_of(const MemberOrder& options) {
  const auto slash = options.member.find('/');
  json arguments{{"member", slash == std::string::npos ? options.member : options.member.substr(slash + 1)},
                 {"action", options.action}};
  if (slash != std::string::npos) arguments["pool"] = options.member.substr(0, slash);
  if (!options.reason.empty()) arguments["reason"] = options.reason;
  if (options.action == "weight") arguments["weight"] = options.weight;
  if (options.force) arguments["force"] = true;
  if (options.now) arguments["now"] = true;
  return arguments;
}

// As proxyd has it now; null: it is in its pool no more.
json look(ControlClient& proxyd, const json& member) {
  const json answer = proxyd.ask("pools");
  for (const auto& pool : answer.at("pools"))
    for (const auto& each : pool.at("members"))
      if (pool.at("pool") == member.at("pool") && each.at("member") == member.at("member")) return each;
  return {};
}

bool is_done(const std::string& action, const json& member) {
  if (action == "remove") return member.is_null();
  if (member.is_null()) return true;
  if (action == "drain") return member.at("outstanding") == 0;
  if (action == "maint") return member.at("outstanding") == 0 && member.at("empties") == false;
  if (action == "ready" || action == "add") return member.at("state") == "up";
  return true;
}

}  // namespace

ExitCode change_member(const Invocation& invocation, const MemberOrder& options) {
  const json arguments = arguments_of(options);
  if (options.action == "add" && !arguments.contains("pool"))
    throw Failure(ExitCode::kUsage, "which pool is not clear", "write POOL/MEMBER");
  if (invocation.dry_run) {
    note(invocation, "would tell proxyd: " + arguments.dump());
    return ExitCode::kOk;
  }
  if (options.action == "remove") confirm(invocation, "Remove member " + options.member + " from its pool?");
  ControlClient proxyd(invocation.control_path);
  json member = proxyd.ask("member", arguments);
  const json before = member;
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(options.wait);
  bool done = options.wait <= 0;
  while (!done) {
    member = look(proxyd, before);
    done = is_done(options.action, member);
    if (done || std::chrono::steady_clock::now() >= until) break;
    std::this_thread::sleep_for(kLook);
  }
  if (member.is_null()) {
    member = before;
    member["state"] = "gone";
  }
  Report report{.name = "member.change", .data = value_of(member), .primary = "state"};
  present(invocation, report);
  if (done) return ExitCode::kOk;
  note(invocation, "not done yet: the member goes on with what it has begun (shimctl pool show " +
                       before.at("pool").get<std::string>() + ")");
  return ExitCode::kDeadline;
}

}  // namespace p11shim

#include "tools/shimctl/commands/pool/pools.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/terminal_text.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

json pools_of(const Invocation& invocation) { return ControlClient(invocation.control_path).ask("pools").at("pools"); }

Value summary(const json& pool) {
  std::size_t up = 0;
  for (const auto& member : pool.at("members")) up += member.at("state") == "up";
  json row = pool;
  row["members_up"] = up;
  row["members"] = json::array();
  for (const auto& member : pool.at("members")) row["members"].push_back(member.at("member"));
  return value_of(row);
}

// For people: "2026-03-01T12:00:00.000Z" without what does not matter.
std::string moment(const json& at) {
  std::string text = at.get<std::string>().substr(0, 19);
  if (text.size() == 19) text[10] = ' ';
  return text;
}

void write_transitions(const Invocation& invocation, const json& pool) {
  Table table({{"WHEN (UTC)"}, {"MEMBER"}, {"BY"}, {"FROM"}, {"TO"}, {"REASON"}});
  std::vector<std::pair<std::string, std::vector<std::string>>> rows;
  for (const auto& member : pool.at("members"))
    for (const auto& each : member.at("transitions"))
      rows.push_back(
          {each.at("at"),
           {moment(each.at("at")), member.at("member"), each.at("kind") == "administrative" ? "operator" : "proxyd",
            each.at("from"), each.at("to"), each.at("reason")}});
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& row : rows) table.add_row(std::move(row.second));
  if (table.empty()) return;
  invocation.out << '\n';
  table.write(invocation.out, wants_colour(STDOUT_FILENO));
}

}  // namespace

ExitCode list_pools(const Invocation& invocation, const PoolOptions&) {
  Report report{.name = "pool.list",
                .rows_key = "pools",
                .columns = {{"POOL", "pool"},
                            {"LABEL", "label"},
                            {"SLOT", "slot", Align::kRight},
                            {"STRATEGY", "strategy"},
                            {"MEMBERS", "members"},
                            {"UP", "members_up", Align::kRight},
                            {"SESSIONS", "virtual_sessions", Align::kRight},
                            {"OBJECTS", "objects", Align::kRight}},
                .if_empty = "no pools"};
  for (const auto& pool : pools_of(invocation)) report.rows.push_back(summary(pool));
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode show_pool(const Invocation& invocation, const PoolOptions& options) {
  const json pools = pools_of(invocation);
  const json* found = nullptr;
  for (const auto& pool : pools)
    if (pool.at("pool") == options.pool) found = &pool;
  if (found == nullptr) throw Failure(ExitCode::kNotFound, "there is no pool " + options.pool, "shimctl pool list");
  Report report{.name = "pool.show",
                .rows_key = "members",
                .columns = {{"MEMBER", "member"},
                            {"STATE", "state"},
                            {"HEALTH", "operational.state"},
                            {"WANTED", "administrative.state"},
                            {"WEIGHT", "weight", Align::kRight},
                            {"PRIORITY", "priority", Align::kRight},
                            {"CALLS NOW", "outstanding", Align::kRight},
                            {"EJECTIONS", "ejections", Align::kRight},
                            {"ONLY HERE", "only_here", Align::kRight},
                            {"REASON", "operational.reason"}},
                .if_empty = "no members"};
  json data = *found;
  data.erase("members");
  report.data = value_of(data);
  for (const auto& member : found->at("members")) report.rows.push_back(value_of(member));
  present(invocation, report);
  if (invocation.format != OutputFormat::kTable) return ExitCode::kOk;
  for (const auto& problem : found->at("problems"))
    invocation.out << "PROBLEM: " << terminal_text(problem.get<std::string>()) << '\n';
  write_transitions(invocation, *found);
  return ExitCode::kOk;
}

}  // namespace p11shim

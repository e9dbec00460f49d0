#include "tools/shimctl/commands/pool/sync.h"

#include <nlohmann/json.hpp>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/output/present.h"

namespace p11shim {

using nlohmann::json;

ExitCode sync_pool(const Invocation& invocation, const SyncOptions& options) {
  const json answer =
      ControlClient(invocation.control_path).ask("pool-sync", {{"pool", options.pool}, {"dry_run", options.dry_run}});
  Report report{.name = "pool.sync",
                .rows_key = "work",
                .columns = {{"MEMBER", "member"},
                            {"WORK", "work"},
                            {"LABEL", "label"},
                            {"COUNT", "count", Align::kRight},
                            {"OBSTACLE", "obstacle"}},
                .if_empty = "nothing is to be done"};
  bool all_known = true;
  const auto add = [&](const json& member, const std::string& work, const std::string& label, std::uint64_t count,
                       const std::string& obstacle) {
    Value row;
    row.set("member", member.at("member").get<std::string>())
        .set("work", work)
        .set("label", label)
        .set("count", count)
        .set("obstacle", obstacle);
    report.rows.push_back(std::move(row));
  };
  for (const json& member : answer.at("members")) {
    all_known = all_known && member.at("private_objects_known") == true;
    if (const auto count = member.at("destroys_again").get<std::uint64_t>(); count != 0)
      add(member, "destroy again what came back", "", count, "");
    if (const auto count = member.at("copies").get<std::uint64_t>(); count != 0)
      add(member, "copy what is missing", "", count, "");
    for (const json& debt : member.at("owes"))
      add(member, debt.at("write").get<std::string>(), debt.at("label").get<std::string>(), 1,
          debt.at("obstacle").get<std::string>());
  }
  report.data.set("pool", answer.at("pool").get<std::string>())
      .set("dry_run", options.dry_run)
      .set("all_known", all_known);
  present(invocation, report);
  if (!all_known)
    note(invocation, "some members show no private objects: they are away, or no application is logged in");
  return all_known ? ExitCode::kOk : ExitCode::kPartial;
}

}  // namespace p11shim

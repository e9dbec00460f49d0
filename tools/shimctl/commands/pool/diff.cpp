#include "tools/shimctl/commands/pool/diff.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/value_json.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kPatience{60};

std::string remark(const json& difference) {
  if (difference.at("conflict").is_object())
    return "CONFLICT: " + difference.at("conflict").at("text").get<std::string>();
  return difference.at("proven") == true ? "" : "nothing proves what it is";
}

}  // namespace

ExitCode diff_pool(const Invocation& invocation, const PoolOptions& options) {
  // Private objects are seen while somebody is logged in: if a PIN is given, that is us.
  std::unique_ptr<TokenAccess> access;
  if (!invocation.token.pin_from.empty()) {
    access = std::make_unique<TokenAccess>(invocation);
    access->session(Session::Access::kReadOnly);
  }
  const json result = ControlClient(invocation.control_path).ask("pool-diff", {{"pool", options.pool}}, kPatience);
  Report report{.name = "pool.diff",
                .rows_key = "differences",
                .columns = {{"CLASS", "class"},
                            {"TYPE", "type"},
                            {"LABEL", "label"},
                            {"ID", "id"},
                            {"FINGERPRINT", "fingerprint"},
                            {"ON", "members"},
                            {"MISSING ON", "missing"},
                            {"REMARK", "remark"}},
                .if_empty = "all members that were compared have the same objects"};
  json data = result;
  data.erase("differences");
  report.data = value_of(data);
  for (const auto& difference : result.at("differences")) {
    json row = difference;
    row["remark"] = remark(difference);
    report.rows.push_back(value_of(row));
  }
  present(invocation, report);
  for (const auto& left_out : result.at("not_compared"))
    note(invocation, "member " + left_out.at("member").get<std::string>() +
                         " is not compared: " + left_out.at("reason").get<std::string>());
  if (result.at("private_compared") == false)
    note(invocation, "private objects are not compared: no application is logged in (--pin-from logs in for it)");
  if (!report.rows.empty()) return ExitCode::kNegative;
  return result.at("not_compared").empty() ? ExitCode::kOk : ExitCode::kPartial;
}

}  // namespace p11shim

#include "tools/shimctl/bench/bench_target.h"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tools/shimctl/bench/measurement.h"
#include "tools/shimctl/commands/stats_rows.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/run/installation.h"
#include "tools/shimctl/token/member_token.h"

namespace p11shim {

using nlohmann::json;

namespace {

bool is_shim(const TokenChoice& choice) {
  return choice.module.empty() || std::filesystem::path(choice.module).filename() == "libpkcs11-shim.so";
}

// A run that is compared opens the token twice before it measures.
void log_in(BenchTarget& target) { target.session(); }

}  // namespace

BenchTargets::BenchTargets(const Invocation& invocation, const std::string& versus, const SignalWatch& signals,
                           unsigned connections) {
  if (connections > 1) {
    others_ = std::make_unique<Connections>(connections - 1, [&invocation](Channel& parent, unsigned number) {
      assist_measurements(invocation, parent, number);
    });
  }
  const bool proxied = is_shim(invocation.token);
  const auto add = [&](std::string name, const Invocation& how, std::string control) {
    targets_.push_back({std::move(name), std::make_unique<TokenAccess>(how), std::move(control)});
    log_in(targets_.back());
  };
  const std::string control = proxied ? invocation.control_path : "";
  if (versus == "direct" && proxied) {
    add("proxyd", invocation, control);
    invocations_.push_back(std::make_unique<Invocation>(invocation));
    invocations_.back()->token = member_token_behind(invocation, targets_[0].access->label());
    add("direct", *invocations_.back(), "");
    return;
  }
  add(versus.empty() ? "module" : versus == "direct" ? "direct" : "a", invocation, control);
  if (versus.empty()) return;
  if (versus == "self") {
    TokenChoice choice = invocation.token;
    targets_.push_back({"b", std::make_unique<TokenAccess>(invocation, choice, targets_[0].access->module()), control});
    log_in(targets_.back());
    return;
  }
  if (versus == "direct") {
    add_private_proxyd(invocation, signals);
    std::swap(targets_[0], targets_[1]);
    return;
  }
  invocations_.push_back(std::make_unique<Invocation>(invocation));
  invocations_.back()->token.module = versus;
  add("b", *invocations_.back(), "");
}

void BenchTargets::add_private_proxyd(const Invocation& invocation, const SignalWatch& signals) {
  const auto installation = Installation::find();
  folder_ = std::make_unique<PrivateFolder>();
  const auto places = PrivateProxyd::places_in(*folder_);
  const std::string module = std::filesystem::absolute(invocation.token.module).string();
  proxyd_ = std::make_unique<PrivateProxyd>(
      installation.proxyd, *folder_,
      config_for_module({.path = module, .library_parameters = invocation.token.library_parameters}, places), signals);
  // The shim, which is not loaded yet, reads it.
  ::setenv("P11SHIM_ENDPOINT", ("unix:" + places.endpoint.string()).c_str(), 1);
  invocations_.push_back(std::make_unique<Invocation>(invocation));
  auto& token = invocations_.back()->token;
  token.module = installation.shim.string();
  token.library_parameters.clear();
  token.slot.reset();  // its slots have other numbers
  if (token.token.empty() && token.uri.empty()) token.token = targets_[0].access->label();
  targets_.push_back({"proxyd", std::make_unique<TokenAccess>(*invocations_.back()), places.control.string()});
  log_in(targets_.back());
}

json proxyd_snapshot(const std::string& control) {
  if (control.empty()) return nullptr;
  try {
    return ControlClient(control).ask("stats", {{"raw", true}});
  } catch (const Failure&) {
    return nullptr;
  }
}

json where_time_went(const json& before, const json& after) {
  if (before.is_null() || after.is_null()) return nullptr;
  json rows = json::array();
  std::map<std::string, StatsRows> stages;
  for (const char* stage : {"total", "hsm", "queue"}) {
    stages[stage] = rows_since(read_rows(after, StatsSubject::kFunctions, stage),
                               read_rows(before, StatsSubject::kFunctions, stage));
  }
  for (const auto& [key, row] : stages["total"]) {
    json entry{{"member", key.first}, {"function", key.second}, {"calls", row.calls}, {"failed", row.failed}};
    for (const auto& [stage, of_stage] : stages) {
      const auto found = of_stage.find(key);
      entry[stage + "_ns"] = found == of_stage.end() ? 0 : std::llround(found->second.latency.mean());
    }
    rows.push_back(std::move(entry));
  }
  return rows;
}

}  // namespace p11shim

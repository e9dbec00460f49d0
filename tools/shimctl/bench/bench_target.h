// What is measured: a token reached in one way or in two, which are then compared.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "tools/shimctl/bench/connections.h"
#include "tools/shimctl/run/private_proxyd.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

struct BenchTarget {
  std::string name;  // "module", "proxyd", "direct"
  std::unique_ptr<TokenAccess> access;
  std::string control;  // proxyd's control socket; empty: nothing to ask

  Session& session() { return access->session(Session::Access::kReadWrite); }
};

class BenchTargets {
 public:
  // `versus`: nothing, "direct" (a private proxyd in front of --module, and --module itself; or the running proxyd,
  // and the module of the one member behind it), "self" (the same
  // twice, which shows what the machine's noise is worth), or the path of another module. Throws Failure.
  // `connections`: so many processes measure the token, this one among them.
  BenchTargets(const Invocation& invocation, const std::string& versus, const SignalWatch& signals,
               unsigned connections = 1);

  std::vector<BenchTarget>& all() { return targets_; }
  Connections* others() { return others_.get(); }

 private:
  void add_private_proxyd(const Invocation& invocation, const SignalWatch& signals);

  std::unique_ptr<Connections> others_;
  std::unique_ptr<PrivateFolder> folder_;
  std::unique_ptr<PrivateProxyd> proxyd_;
  std::vector<std::unique_ptr<Invocation>> invocations_;
  std::vector<BenchTarget> targets_;
};

// What proxyd counted between two snapshots, by member and function: calls and mean times of the stages it knows.
// Null if it cannot be asked.
nlohmann::json proxyd_snapshot(const std::string& control);
nlohmann::json where_time_went(const nlohmann::json& before, const nlohmann::json& after);

}  // namespace p11shim

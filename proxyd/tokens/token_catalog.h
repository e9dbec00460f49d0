// All virtual slots, in the order in which applications see them, and the backends and members behind them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "proxyd/tokens/pool.h"

namespace p11shim {

class TokenCatalog {
 public:
  using Hooks = Member::Hooks;
  TokenCatalog(Runtime& runtime, const Config& config, StateDirectory& state,
               std::function<void(Member&, Place&)> worker_lost, std::function<void(Member&, CK_USER_TYPE)> login_lost,
               RealSessions::Reclaim reclaim);

  // Starts the public workers and, where every token of a module is wanted, finds them. Calls back when each worker is
  // ready or has failed; a member that fails is tried again when it is called.
  void start(std::function<void()> done);
  // Looks for new tokens of such modules. CKR_OK, or what a module answered to C_GetSlotList.
  // `count_first`: see Backend::refresh_slots.
  void refresh(bool count_first, std::function<void(CK_RV)> done);
  void stop();
  // Who may use the pools, as the configuration says now.
  void apply_access(const Config& config);
  // A member that the configuration names, for a pool that serves already.
  Member& add_configured(const Config& config, const std::string& name);
  // Told of every pool, also of those that appear later.
  void set_pool_added(std::function<void(Pool&)> added);

  [[nodiscard]] Pool* find(CK_SLOT_ID slot);
  // In the order in which applications see them: configured pools first, then the modules' own order. Slots that a module
  // does not list any more are left out.
  [[nodiscard]] std::vector<Pool*> listed();
  [[nodiscard]] const std::vector<std::unique_ptr<Pool>>& pools() const { return pools_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Member>>& members() const { return members_; }
  [[nodiscard]] bool dynamic() const;  // slots may appear

 private:
  struct EveryToken {
    ModuleConfig module;
    Backend* backend;
  };
  Backend& add_backend(const ModuleConfig& module, Environment environment, const MemberOptions& options,
                       const std::string& name);
  Member& add_member(Backend& backend, MemberConfig config, TokenIdentity identity);
  void add_pool(PoolConfig config, std::optional<CK_SLOT_ID> wanted_slot, const std::vector<Member*>& members);
  void adopt_tokens(EveryToken& every);
  [[nodiscard]] CK_SLOT_ID free_slot(std::optional<CK_SLOT_ID> wanted) const;
  void prepare_backend(Backend& backend, Worker& worker, Worker::Prepared prepared);
  void prepare_members(Backend& backend, Worker& worker, std::size_t from, Worker::Prepared prepared);
  void backend_lost(Backend& backend);

  Runtime& runtime_;
  StateDirectory& state_;
  StartGate gate_;
  const std::function<void(Member&, Place&)> worker_lost_;
  const std::function<void(Member&, CK_USER_TYPE)> login_lost_;
  const RealSessions::Reclaim reclaim_;
  std::function<void(Pool&)> pool_added_;
  std::vector<std::unique_ptr<Backend>> backends_;
  std::vector<EveryToken> every_token_;
  std::map<std::string, LoginDomain::Turn> turns_;  // by the member's name: each of its pools has a Member of its own
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Pool>> pools_;
};

}  // namespace p11shim

#include "proxyd/tokens/token_catalog.h"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace p11shim {
namespace {

constexpr CK_SLOT_ID kSlotLimit = CK_SLOT_ID{1} << 31;  // Java reads slot ids as int

// Calls back once, when as many answers as expected have come.
class Countdown {
 public:
  Countdown(std::size_t count, std::function<void(CK_RV)> done) : left_(count), done_(std::move(done)) {}
  void answer(CK_RV rv) {
    if (worst_ == CKR_OK) worst_ = rv;
    if (--left_ == 0) done_(worst_);
  }

 private:
  std::size_t left_;
  CK_RV worst_ = CKR_OK;
  std::function<void(CK_RV)> done_;
};

// Waits until a worker is ready or has given up.
class Started final : public Waiter {
 public:
  Started(Worker& worker, std::function<void()> done) : worker_(worker), done_(std::move(done)) {}
  void resume() override {
    if (worker_.state() != Worker::State::backoff && !worker_.require(*this)) return;
    const auto done = std::move(done_);
    delete this;
    done();
  }

 private:
  Worker& worker_;
  std::function<void()> done_;
};

}  // namespace

TokenCatalog::TokenCatalog(Runtime& runtime, const Config& config, StateDirectory& state,
                           std::function<void(Member&, Place&)> worker_lost,
                           std::function<void(Member&, CK_USER_TYPE)> login_lost, RealSessions::Reclaim reclaim)
    : runtime_(runtime),
      state_(state),
      worker_lost_(std::move(worker_lost)),
      login_lost_(std::move(login_lost)),
      reclaim_(std::move(reclaim)) {
  for (const PoolConfig& pool : config.pools) {
    std::vector<Member*> members;
    for (const std::string& name : pool.members) members.push_back(&add_configured(config, name));
    add_pool(pool, pool.slot ? std::optional<CK_SLOT_ID>(*pool.slot) : std::nullopt, members);
  }
  for (const ModuleConfig& module : config.modules)
    if (module.every_token)
      every_token_.push_back(
          {module, &add_backend(module, module.environment, module.token_options, module.name + "/public")});
}

Member& TokenCatalog::add_configured(const Config& config, const std::string& name) {
  const MemberConfig& member = *config.find_member(name);
  const ModuleConfig& module = *config.find_module(member.module);
  Backend& backend = add_backend(module, worker_environment(module, member), member.options, member.name + "/public");
  TokenIdentity identity{member.token_label, member.token_serial, std::nullopt};
  if (member.slot) identity.slot = *member.slot;
  return add_member(backend, member, identity);
}

Backend& TokenCatalog::add_backend(const ModuleConfig& module, Environment environment, const MemberOptions& options,
                                   const std::string& name) {
  WorkerSpec spec{name, module, std::move(environment), options};
  if (!module.thread_safe) spec.options.lanes = 1;
  const std::size_t index = backends_.size();
  return *backends_.emplace_back(std::make_unique<Backend>(
      runtime_, gate_, std::move(spec),
      [this, index](Worker& worker, Worker::Prepared prepared) {
        prepare_backend(*backends_[index], worker, std::move(prepared));
      },
      [this, index] { backend_lost(*backends_[index]); }));
}

// A shared worker that is started again is logged in again to each of its tokens, one after the other.
void TokenCatalog::prepare_backend(Backend& backend, Worker& worker, Worker::Prepared prepared) {
  prepare_members(backend, worker, 0, std::move(prepared));
}

void TokenCatalog::prepare_members(Backend& backend, Worker& worker, std::size_t from, Worker::Prepared prepared) {
  while (from != members_.size() && &members_[from]->backend() != &backend) ++from;
  if (from == members_.size()) return prepared(std::nullopt);
  members_[from]->prepare_public(worker,
                                 [this, &backend, &worker, from, prepared](std::optional<WorkerFailure> failure) {
                                   if (failure) return prepared(std::move(failure));
                                   prepare_members(backend, worker, from + 1, prepared);
                                 });
}

void TokenCatalog::backend_lost(Backend& backend) {
  for (const auto& member : members_)
    if (&member->backend() == &backend) {
      member->public_worker_lost();
      worker_lost_(*member, member->public_place());
    }
}

Member& TokenCatalog::add_member(Backend& backend, MemberConfig config, TokenIdentity identity) {
  const std::size_t index = members_.size();
  config.options.lanes = std::min(config.options.lanes, backend.spec().options.lanes);
  Hooks hooks{[this, index](Place& place) { worker_lost_(*members_[index], place); },
              [this, index](CK_USER_TYPE user) { login_lost_(*members_[index], user); }};
  Member& member = *members_.emplace_back(
      std::make_unique<Member>(runtime_, gate_, backend, std::move(config), std::move(identity), std::move(hooks)));
  member.user().share_turn(turns_[member.name()]);
  for (Place* place : member.places()) {
    place->read_only.set_reclaim(reclaim_);
    place->read_write.set_reclaim(reclaim_);
  }
  return member;
}

void TokenCatalog::add_pool(PoolConfig config, std::optional<CK_SLOT_ID> wanted_slot,
                            const std::vector<Member*>& members) {
  pools_.push_back(std::make_unique<Pool>(runtime_, std::move(config), free_slot(wanted_slot), members, state_));
  if (pool_added_) pool_added_(*pools_.back());
}

CK_SLOT_ID TokenCatalog::free_slot(std::optional<CK_SLOT_ID> wanted) const {
  const auto taken = [&](CK_SLOT_ID slot) {
    return std::any_of(pools_.begin(), pools_.end(), [&](const auto& pool) { return pool->slot == slot; });
  };
  if (wanted && *wanted < kSlotLimit && !taken(*wanted)) return *wanted;
  CK_SLOT_ID slot = pools_.size();
  while (taken(slot)) ++slot;
  return slot;
}

void TokenCatalog::start(std::function<void()> done) {
  if (backends_.empty()) return done();
  auto countdown = std::make_shared<Countdown>(backends_.size(), [this, done = std::move(done)](CK_RV) {
    for (EveryToken& every : every_token_) adopt_tokens(every);
    done();
  });
  for (const auto& backend : backends_)
    (new Started(backend->worker(), [countdown] { countdown->answer(CKR_OK); }))->resume();
}

bool TokenCatalog::dynamic() const { return !every_token_.empty(); }

void TokenCatalog::refresh(bool count_first, std::function<void(CK_RV)> done) {
  if (every_token_.empty()) return done(CKR_OK);
  auto countdown = std::make_shared<Countdown>(every_token_.size(), std::move(done));
  for (std::size_t i = 0; i < every_token_.size(); ++i) {
    Backend& backend = *every_token_[i].backend;
    if (backend.worker().state() == Worker::State::backoff) {
      countdown->answer(CKR_OK);  // no slots of this module now
      continue;
    }
    (new Started(backend.worker(), [this, i, count_first, countdown, &backend] {
      if (backend.worker().state() != Worker::State::ready) return countdown->answer(CKR_OK);
      backend.refresh_slots(count_first, [this, i, countdown](CK_RV rv) {
        if (rv == CKR_OK) adopt_tokens(every_token_[i]);
        countdown->answer(rv);
      });
    }))->resume();
  }
}

// Each slot that no member stands for yet becomes a member and a pool of its own.
void TokenCatalog::adopt_tokens(EveryToken& every) {
  for (const SlotEntry& entry : every.backend->worker().slots()) {
    const bool known = std::any_of(members_.begin(), members_.end(), [&](const auto& member) {
      return &member->backend() == every.backend && member->identity().matches(entry);
    });
    if (known) continue;
    const bool initialized = entry.token_rv == CKR_OK && (entry.token.flags & CKF_TOKEN_INITIALIZED) != 0;
    TokenIdentity identity;
    if (initialized) identity = {unpadded(entry.token.label), unpadded(entry.token.serialNumber), std::nullopt};
    if (identity.serial.empty() && identity.label.empty()) identity.slot = entry.slot;
    MemberConfig member;
    member.name =
        every.module.name + "/" + (initialized ? unpadded(entry.token.label) : "slot " + std::to_string(entry.slot));
    member.module = every.module.name;
    member.options = every.module.token_options;
    PoolConfig pool;
    pool.name = member.name;
    while (
        std::any_of(pools_.begin(), pools_.end(), [&](const auto& other) { return other->config.name == pool.name; }))
      pool.name += "/" + (identity.serial.empty() ? std::to_string(entry.slot) : identity.serial);
    pool.members = {member.name};
    pool.access = every.module.token_access;
    add_pool(std::move(pool), entry.slot, {&add_member(*every.backend, std::move(member), std::move(identity))});
  }
}

Pool* TokenCatalog::find(CK_SLOT_ID slot) {
  const auto found = std::find_if(pools_.begin(), pools_.end(), [&](const auto& pool) { return pool->slot == slot; });
  return found == pools_.end() ? nullptr : found->get();
}

std::vector<Pool*> TokenCatalog::listed() {
  std::vector<Pool*> all;
  const auto dynamic = [&](const Backend& backend) {
    return std::any_of(every_token_.begin(), every_token_.end(),
                       [&](const EveryToken& every) { return every.backend == &backend; });
  };
  for (const auto& pool : pools_)
    if (!dynamic(pool->member.backend())) all.push_back(pool.get());
  for (const EveryToken& every : every_token_)
    for (const SlotEntry& entry : every.backend->worker().slots())
      for (const auto& pool : pools_)
        if (&pool->member.backend() == every.backend && pool->member.identity().matches(entry))
          all.push_back(pool.get());
  return all;
}

void TokenCatalog::apply_access(const Config& config) {
  for (const auto& pool : pools_) {
    if (const PoolConfig* changed = config.find_pool(pool->config.name)) {
      pool->config.access = changed->access;
      continue;
    }
    const ModuleConfig* module = config.find_module(pool->member.config().module);
    if (module != nullptr && module->every_token) pool->config.access = module->token_access;
  }
}

void TokenCatalog::set_pool_added(std::function<void(Pool&)> added) {
  pool_added_ = std::move(added);
  for (const auto& pool : pools_) pool_added_(*pool);
}

void TokenCatalog::stop() {
  for (const auto& member : members_) {
    member->user().stop("proxyd stops");
    member->so().stop("proxyd stops");
  }
  for (const auto& backend : backends_) backend->worker().stop("proxyd stops");
}

}  // namespace p11shim

// A session as the application knows it. Idle, it owns nothing in the HSM. A *hold* binds it to a real session from the first
// Init of an operation to its end; operations that run in different workers have one each.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "calls/policy.h"
#include "proxyd/applications/operation_record.h"
#include "proxyd/applications/replay_record.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {

struct Hold {
  RealSession* session = nullptr;
  Place* place = nullptr;
  Operation active = Operation::none;
  Operation in_doubt = Operation::none;  // a call failed; the module may or may not have ended its operation
  std::uint64_t since_ms = 0;
};

struct VirtualSession {
  VirtualSession(std::uint64_t its_handle, Pool& its_pool, bool is_read_write)
      : handle(its_handle), pool(its_pool), read_write(is_read_write) {}

  const std::uint64_t handle;
  Pool& pool;
  const bool read_write;
  bool busy = false;  // one call at a time; others wait in `turn`
  bool closing = false;
  bool search_detached =
      false;  // its search is active for the application only; the real session was needed elsewhere, or is gone
  Operation lost = Operation::none;  // their worker died: the next call of such an operation says so, once
  std::unique_ptr<WaitList> turn;    // made when first needed
  std::vector<Hold> holds;           // almost always none or one
  std::vector<std::uint64_t> found;  // result of the active find, from `found_next` on not handed out yet
  std::size_t found_next = 0;
  std::unordered_set<std::uint64_t> objects;  // session objects made in it (virtual handles)

  std::vector<OperationRecord> records;  // of operations under way, for the audit log

  // In balanced pools:
  std::vector<ReplayRecord> replays;  // of operations that may go on elsewhere; without a hold: of those that must

  [[nodiscard]] ReplayRecord* replay_of(Operation operations) {
    for (ReplayRecord& record : replays)
      if ((record.operation & operations) != Operation::none && operations != Operation::any) return &record;
    return nullptr;
  }
  // These operations lose their hold. What cannot be taken over is lost: the next call of it says so.
  void displace(Operation active) {
    if ((active & Operation::find) != Operation::none) search_detached = true;
    Operation left = active & ~Operation::find;
    for (const ReplayRecord& record : replays)
      if (record.replayable) left = left & ~record.operation;
    std::erase_if(replays, [&](const ReplayRecord& record) { return (record.operation & left) != Operation::none; });
    lost = lost | left;
  }
  void end_find() {
    search_detached = false;
    found.clear();
    found_next = 0;
  }

  [[nodiscard]] Hold* hold_in(const Place& place) {
    for (Hold& hold : holds)
      if (hold.place == &place) return &hold;
    return nullptr;
  }
  // Where the operations of this session are, if it has any: rather where one is active than where one may be, the latest.
  [[nodiscard]] Place* begun() const {
    const Hold* best = nullptr;
    for (const Hold& hold : holds)
      if (best == nullptr || best->active == Operation::none || hold.active != Operation::none) best = &hold;
    return best == nullptr ? nullptr : best->place;
  }
  // True once for operations that died with their worker.
  bool take_lost(Operation operations) {
    const bool some = (lost & operations) != Operation::none;
    lost = lost & ~operations;
    return some;
  }
  [[nodiscard]] Hold* hold_with(Operation operations) {
    for (Hold& hold : holds)
      if ((hold.active & operations) != Operation::none) return &hold;
    return nullptr;
  }
};

}  // namespace p11shim

// A session as the application knows it. Idle, it owns nothing in the HSM. A *hold* binds it to a real session from the first
// Init of an operation to its end; operations that run in different workers have one each.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_set>
#include <vector>

#include "calls/policy.h"
#include "proxyd/applications/operation_record.h"
#include "proxyd/tokens/pool.h"

namespace p11shim {

struct Hold {
  RealSession* session = nullptr;
  Place* place = nullptr;
  Operation active = Operation::none;
  bool in_doubt = false;          // a call failed; the module may or may not have ended its operation
  bool uses_private_key = false;  // it ends when the application logs out
  std::uint64_t since_ms = 0;
};

struct VirtualSession {
  VirtualSession(std::uint64_t its_handle, Pool& its_pool, bool is_read_write) : handle(its_handle), pool(its_pool), read_write(is_read_write) {}

  const std::uint64_t handle;
  Pool& pool;
  const bool read_write;
  bool busy = false;             // one call at a time; others wait in `turn`
  bool closing = false;
  bool search_detached = false;  // its search is active for the application only; the real session was needed elsewhere
  Operation lost = Operation::none;  // their worker died: the next call of such an operation says so, once
  std::unique_ptr<WaitList> turn;  // made when first needed
  std::vector<Hold> holds;         // almost always none or one
  std::vector<std::uint64_t> found;  // result of the active find, from `found_next` on not handed out yet
  std::size_t found_next = 0;
  std::unordered_set<std::uint64_t> objects;  // session objects made in it (virtual handles)

  std::vector<OperationRecord> records;  // of operations under way, for the audit log

  [[nodiscard]] Hold* hold_in(const Place& place) {
    for (Hold& hold : holds)
      if (hold.place == &place) return &hold;
    return nullptr;
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

// What an application remembers of answers, so that asking again costs no message. All of it is dropped together: at its own
// logins, changes and destructions, and when another proxyd takes over; and it is used only while the slot's generation has
// not moved.
#pragma once

#include <optional>

#include "shim/generations.h"
#include "shim/object_values.h"

namespace p11shim {

// One kind of CK_…_INFO by key.
template <class Info>
class Infos {
 public:
  std::optional<Info> find(std::uint64_t key, std::uint64_t generation, const ObjectValues& values) {
    const std::lock_guard lock(mutex_);
    const auto found = infos_.find(key);
    if (found == infos_.end() || !values.is_current(found->second.first, generation)) return std::nullopt;
    return found->second.second;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    infos_.clear();
  }
  void add(std::uint64_t key, const Stamp& asked, const Info& info) {
    const std::lock_guard lock(mutex_);
    if (infos_.size() >= kMost) infos_.clear();
    infos_.insert_or_assign(key, std::pair(asked, info));
  }

 private:
  static constexpr std::size_t kMost = 4096;
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::pair<Stamp, Info>> infos_;  // guarded by mutex_
};

// Session counts in it are true as long as the application has opened and closed none.
struct KnownToken {
  CK_TOKEN_INFO info;
  std::uint64_t sessions;  // Sessions::changes()
};

struct Remembered {
  explicit Remembered(std::chrono::milliseconds keep) : values(keep) {}

  ObjectValues values;
  GenerationView generations;
  Infos<CK_SESSION_INFO> sessions;                        // by handle
  Infos<CK_MECHANISM_INFO> mechanisms;                    // by a hash of slot and type
  Infos<std::vector<CK_MECHANISM_TYPE>> mechanism_lists;  // by slot
  Infos<CK_SLOT_INFO> slots;                              // by slot
  Infos<KnownToken> tokens;                               // by slot
  Infos<std::vector<CK_SLOT_ID>> slot_lists;              // by tokenPresent

  void clear() { values.clear(); }  // nothing else outlives its epoch
};

}  // namespace p11shim

// Which real handle is which object, inside one worker: token objects by the pool's handle, session objects with their
// owner. Emptied when the worker is lost. Real handles are unique per worker, not per token.
#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>

#include "proxyd/objects/object_directory.h"
#include "proxyd/workers/real_sessions.h"

namespace p11shim {

class Pool;
class WorkerObjects;

// One session object. Shared by the application that made it and, after fork, its children: it lives until the last of
// them lets go (hence shared_ptr), or its worker is lost.
struct SessionObject {
  std::uint64_t handle = 0;   // in all of them
  std::uint64_t session = 0;  // the virtual session that made it
  std::uint64_t real = 0;
  WorkerObjects* place = nullptr;  // null: gone with its worker
  const Pool* pool = nullptr;      // whose token it is on
  RealSession* creator = nullptr;  // the real session it lives and dies with
  CK_OBJECT_CLASS object_class = 0;
  bool is_private = false;
  bool has_key_type = false;
  CK_KEY_TYPE key_type = 0;
  std::string label;
};

class WorkerObjects {
 public:
  explicit WorkerObjects(Worker& worker) : worker_(worker) {}
  [[nodiscard]] Worker& worker() { return worker_; }

  // Token objects. 0: unknown.
  [[nodiscard]] std::uint64_t real_of(std::uint64_t handle) const { return look(real_, handle); }
  [[nodiscard]] std::uint64_t handle_of(std::uint64_t real) const { return look(handle_, real); }
  void bind(std::uint64_t real, std::uint64_t handle) {
    real_[handle] = real;
    handle_[real] = handle;
  }
  void unbind_handle(std::uint64_t handle) {
    ++removals_;
    if (const auto found = real_.find(handle); found != real_.end()) {
      handle_.erase(found->second);
      real_.erase(found);
    }
  }

  [[nodiscard]] std::vector<std::uint64_t> reals() const {
    std::vector<std::uint64_t> all;
    for (const auto& entry : handle_) all.push_back(entry.first);
    return all;
  }

  // Moves on when all of them are forgotten.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_; }
  // Moves on when one is, whether it was known here or not.
  [[nodiscard]] std::uint64_t removals() const { return removals_; }

  // Session objects, by real handle.
  [[nodiscard]] std::shared_ptr<SessionObject> session_object(std::uint64_t real) const {
    const auto found = session_objects_.find(real);
    return found == session_objects_.end() ? nullptr : found->second.lock();
  }
  void add(const std::shared_ptr<SessionObject>& object) { session_objects_[object->real] = object; }
  void remove_session_object(std::uint64_t real) { session_objects_.erase(real); }
  [[nodiscard]] bool has_session_objects() const { return !session_objects_.empty(); }

  void clear() {
    for (const auto& [real, weak] : session_objects_)
      if (const auto object = weak.lock()) {
        object->place = nullptr;
        object->creator = nullptr;
      }
    session_objects_.clear();
    forget_token_objects();
  }
  // After the token was initialised anew, or the module forgot its handles: what is not found again is gone.
  void forget_token_objects() {
    ++epoch_;
    real_.clear();
    handle_.clear();
    looked_for_.clear();
    listed_ms_ = 0;
  }

  // All objects are listed when a handle is not known here. For one that the pool knows: if nobody has looked for it in
  // vain within the last second.
  bool may_look_for(std::uint64_t handle, std::uint64_t now_ms) {
    if (looked_for_.size() >= kMostLookedFor) looked_for_.clear();
    const auto [entry, is_new] = looked_for_.try_emplace(handle, now_ms);
    if (is_new) return true;
    if (now_ms - entry->second < kLookAgainMs) return false;
    entry->second = now_ms;
    return true;
  }
  // For one that nobody knows: if no listing was finished within the last second, so that nobody keeps a worker busy with
  // wrong handles.
  [[nodiscard]] bool may_list(std::uint64_t now_ms) const {
    return listed_ms_ == 0 || now_ms - listed_ms_ >= kLookAgainMs;
  }
  void note_listed(std::uint64_t now_ms) { listed_ms_ = now_ms; }

 private:
  static constexpr std::size_t kMostLookedFor = 4096;
  static constexpr std::uint64_t kLookAgainMs = 1000;
  using Map = std::unordered_map<std::uint64_t, std::uint64_t>;
  static std::uint64_t look(const Map& map, std::uint64_t key) {
    const auto found = map.find(key);
    return found == map.end() ? 0 : found->second;
  }

  Worker& worker_;
  Map real_;        // by handle
  Map handle_;      // by real handle
  Map looked_for_;  // when, by handle
  std::uint64_t listed_ms_ = 0;
  std::uint64_t epoch_ = 0;
  std::uint64_t removals_ = 0;
  std::unordered_map<std::uint64_t, std::weak_ptr<SessionObject>> session_objects_;
};

}  // namespace p11shim

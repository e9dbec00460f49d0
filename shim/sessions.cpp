#include "shim/sessions.h"

#include <algorithm>
#include <new>
#include <utility>

namespace p11shim {
namespace {

constexpr std::size_t kMostKept = 16;
// proxyd counts its handles from 1 on. The application's of a session that was given out again has a number in its upper half,
// and one bit that no handle has stands for "not open".
constexpr unsigned kReopenedShift = 32;
constexpr CK_SESSION_HANDLE kNobodys = CK_SESSION_HANDLE{1} << 62;

}  // namespace

void Sessions::opened(const OpenSession& session) noexcept {
  const std::lock_guard lock(mutex_);
  changed();
  try {
    Entry& entry = sessions_[session.handle];
    drop_waiting(entry.operations, known_);
    drop_gathered(entry.operations, known_);
    if (entry.session.handle == CK_INVALID_HANDLE || entry.is_closing) ++open_[session.slot];
    entry = {};
    entry.session = session;
    entry.operations.session = session.handle;
  } catch (const std::bad_alloc&) {
  }
}

void Sessions::closed(CK_SESSION_HANDLE handle) noexcept {
  const std::lock_guard lock(mutex_);
  changed();
  const auto found = sessions_.find(handle);
  if (found == sessions_.end()) return;
  const auto left = open_.find(found->second.session.slot);
  if (!found->second.is_closing && left != open_.end()) --left->second;
  drop_waiting(found->second.operations, known_);
  drop_gathered(found->second.operations, known_);
  sessions_.erase(found);
  known_.forget_session_objects();
  if (left != open_.end() && left->second != 0) return;
  if (left != open_.end()) open_.erase(left);
  known_.forget_all();  // the last one took the login with it
}

void Sessions::closed_all(CK_SLOT_ID slot) noexcept {
  const std::lock_guard lock(mutex_);
  changed();
  for (auto next = sessions_.begin(); next != sessions_.end();) {
    const auto entry = next++;
    if (entry->second.session.slot != slot) continue;
    drop_waiting(entry->second.operations, known_);
    drop_gathered(entry->second.operations, known_);
    std::erase(kept_, entry->first);
    sessions_.erase(entry);
  }
  open_.erase(slot);
  known_.forget_all();
}

std::vector<OpenSession> Sessions::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<OpenSession> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [handle, entry] : sessions_)
    if (!entry.is_kept) sessions.push_back(entry.session);
  return sessions;
}

bool Sessions::keep(CK_SESSION_HANDLE handle, std::uint64_t slots) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = find_open(handle);
  if (found == sessions_.end() || found->second.is_closing) return false;
  Entry& entry = found->second;
  const auto open = open_.find(entry.session.slot);
  if (open == open_.end()) return false;
  bool keeps = kept_.size() < kMostKept && open->second >= 2 && may_be_kept(entry);
  if (keeps) {
    try {
      kept_.push_back(handle);
      has_kept_.store(true, std::memory_order_release);
    } catch (const std::bad_alloc&) {
      keeps = false;
    }
  }
  // Decided at once which of them is the last one that takes the kept ones along: others may be closing theirs meanwhile.
  --open->second;
  entry.is_kept = keeps;
  entry.kept_when = slots;
  entry.is_closing = !keeps;
  if (!keeps) return false;
  drop_waiting(entry.operations, known_);
  entry.operations = {};
  changed();
  return true;
}

void Sessions::close_failed(CK_SESSION_HANDLE handle) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(handle);
  if (found == sessions_.end() || !std::exchange(found->second.is_closing, false)) return;
  try {
    ++open_[found->second.session.slot];
  } catch (const std::bad_alloc&) {
  }
}

bool Sessions::may_be_kept(const Entry& entry) {
  const SessionOperations& operations = entry.operations;
  return (operations.active | operations.in_doubt | operations.lost) == Operation::none && !operations.is_sending &&
         operations.gathered.empty() && entry.messages.empty() && !operations.has_objects &&
         (entry.session.wire >> kReopenedShift) == 0;
}

CK_SESSION_HANDLE Sessions::reopen(CK_SLOT_ID slot, CK_FLAGS flags, std::uint64_t slots) noexcept {
  const std::lock_guard lock(mutex_);
  const auto kept = std::find_if(kept_.begin(), kept_.end(), [&](CK_SESSION_HANDLE handle) {
    const Entry& entry = sessions_.find(handle)->second;
    return entry.session.slot == slot && entry.session.flags == flags && entry.kept_when == slots;
  });
  if (kept == kept_.end()) return CK_INVALID_HANDLE;
  auto node = sessions_.extract(*kept);
  kept_.erase(kept);
  OpenSession& session = node.mapped().session;
  session.handle = session.wire | (++reopened_ << kReopenedShift);
  node.mapped().is_kept = false;
  node.mapped().operations.session = session.handle;
  node.key() = session.handle;
  ++open_[slot];
  changed();
  const CK_SESSION_HANDLE handle = session.handle;
  sessions_.insert(std::move(node));
  return handle;
}

CK_SESSION_HANDLE Sessions::drop_kept() noexcept {
  const std::lock_guard lock(mutex_);
  return drop_kept_locked();
}

CK_SESSION_HANDLE Sessions::drop_kept_with(CK_SESSION_HANDLE closing) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = find_open(closing);
  if (found == sessions_.end()) return CK_INVALID_HANDLE;
  const auto open = open_.find(found->second.session.slot);
  return open != open_.end() && open->second != 0 ? CK_INVALID_HANDLE : drop_kept_locked();
}

CK_SESSION_HANDLE Sessions::drop_kept_locked() {
  if (kept_.empty()) return CK_INVALID_HANDLE;
  const auto found = sessions_.find(kept_.back());
  kept_.pop_back();
  const CK_SESSION_HANDLE wire = found->second.session.wire;
  sessions_.erase(found);
  return wire;
}

CK_SESSION_HANDLE Sessions::wire_handle(CK_SESSION_HANDLE handle) const noexcept {
  if (!has_kept_.load(std::memory_order_acquire)) return handle;
  const std::lock_guard lock(mutex_);
  if (reopened_ == 0 && kept_.empty()) return handle;
  const auto found = sessions_.find(handle);
  return found == sessions_.end() || found->second.is_kept ? handle | kNobodys : found->second.session.wire;
}

void Sessions::message_started(CK_SESSION_HANDLE handle, Operation operation, CK_MECHANISM_TYPE mechanism) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(handle);
  if (found == sessions_.end()) return;
  try {
    found->second.messages[operation] = mechanism;
  } catch (const std::bad_alloc&) {
  }
}

void Sessions::message_ended(CK_SESSION_HANDLE handle, Operation operation) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(handle);
  if (found != sessions_.end()) found->second.messages.erase(operation);
}

CK_MECHANISM_TYPE Sessions::message_mechanism(CK_SESSION_HANDLE handle, Operation operation) const noexcept {
  const std::lock_guard lock(mutex_);
  const auto session = sessions_.find(handle);
  if (session == sessions_.end()) return 0;
  const auto message = session->second.messages.find(operation);
  return message == session->second.messages.end() ? 0 : message->second;
}

CK_SESSION_HANDLE Sessions::waiting(bool only_session_objects) const noexcept {
  const std::lock_guard lock(mutex_);
  return known_.waiting(only_session_objects);
}

void Sessions::forget_inits() noexcept {
  const std::lock_guard lock(mutex_);
  known_.forget_all();
}

void Sessions::forget_session_objects() noexcept {
  const std::lock_guard lock(mutex_);
  known_.forget_session_objects();
}

Unsettled Sessions::wait_until_sent(CK_SESSION_HANDLE handle) noexcept {
  std::unique_lock lock(mutex_);
  Entries::iterator found;
  sent_.wait(lock, [&] {
    found = sessions_.find(handle);
    return found == sessions_.end() || !found->second.operations.is_sending;
  });
  if (found == sessions_.end()) return {};
  const SessionOperations& operations = found->second.operations;
  return {!operations.gathered.empty(), operations.waiting.call != 0, operations.lost != Operation::none};
}

void Sessions::sent(CK_SESSION_HANDLE handle) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(handle);
  if (found != sessions_.end()) found->second.operations.is_sending = false;
  sent_.notify_all();
}

void Sessions::inherit(Sessions& parent) noexcept {
  const std::unique_lock lock(parent.mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    for (const auto& [handle, entry] : parent.sessions_) {
      sessions_[handle].session = entry.session;
      sessions_[handle].is_kept = entry.is_kept;
      sessions_[handle].operations.has_objects = entry.operations.has_objects;
      sessions_[handle].operations.session = handle;
      if (!entry.is_kept) ++open_[entry.session.slot];
    }
    kept_ = parent.kept_;
    has_kept_.store(parent.has_kept_.load(std::memory_order_acquire), std::memory_order_release);
    reopened_ = parent.reopened_;
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace p11shim

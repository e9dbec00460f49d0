#include "shim/sessions.h"

#include <new>

namespace p11shim {

void Sessions::opened(const OpenSession& session) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    Entry& entry = sessions_[session.handle];
    drop_waiting(entry.operations, known_);
    if (entry.session.handle == CK_INVALID_HANDLE) ++open_[session.slot];
    entry = {session, {}, {}};
  } catch (const std::bad_alloc&) {
  }
}

void Sessions::closed(CK_SESSION_HANDLE handle) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(handle);
  if (found == sessions_.end()) return;
  const auto left = open_.find(found->second.session.slot);
  drop_waiting(found->second.operations, known_);
  sessions_.erase(found);
  known_.forget_session_objects();
  if (left == open_.end() || --left->second != 0) return;
  open_.erase(left);
  known_.forget_all();  // the last one took the login with it
}

void Sessions::closed_all(CK_SLOT_ID slot) noexcept {
  const std::lock_guard lock(mutex_);
  for (auto next = sessions_.begin(); next != sessions_.end();) {
    const auto entry = next++;
    if (entry->second.session.slot != slot) continue;
    drop_waiting(entry->second.operations, known_);
    sessions_.erase(entry);
  }
  open_.erase(slot);
  known_.forget_all();
}

std::vector<OpenSession> Sessions::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<OpenSession> sessions;
  sessions.reserve(sessions_.size());
  for (const auto& [handle, entry] : sessions_) sessions.push_back(entry.session);
  return sessions;
}

void Sessions::message_started(CK_SESSION_HANDLE handle, Operation operation,
                               CK_MECHANISM_TYPE mechanism) noexcept {
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
  if (known_.waiting == 0) return CK_INVALID_HANDLE;
  for (const auto& [handle, entry] : sessions_) {
    const WaitingInit& init = entry.operations.waiting;
    if (init.call != 0 && init.operation != Operation::find && (!only_session_objects || init.names_session_object())) return handle;
  }
  return CK_INVALID_HANDLE;
}

void Sessions::forget_inits() noexcept {
  const std::lock_guard lock(mutex_);
  known_.forget_all();
}

void Sessions::wait_until_sent(CK_SESSION_HANDLE handle) noexcept {
  std::unique_lock lock(mutex_);
  sent_.wait(lock, [&] {
    const auto found = sessions_.find(handle);
    return found == sessions_.end() || !found->second.operations.is_sending;
  });
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
      ++open_[entry.session.slot];
    }
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace p11shim

#include "shim/sessions.h"

#include <new>

namespace p11shim {

void Sessions::opened(const OpenSession& session) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    sessions_[session.handle] = {session, {}};
  } catch (const std::bad_alloc&) {
  }
}

void Sessions::closed(CK_SESSION_HANDLE handle) noexcept {
  const std::lock_guard lock(mutex_);
  sessions_.erase(handle);
}

void Sessions::closed_all(CK_SLOT_ID slot) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [slot](const auto& entry) { return entry.second.session.slot == slot; });
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

void Sessions::inherit(Sessions& parent) noexcept {
  const std::unique_lock lock(parent.mutex_, std::try_to_lock);
  if (!lock) return;
  try {
    for (const auto& [handle, entry] : parent.sessions_) sessions_[handle].session = entry.session;
  } catch (const std::bad_alloc&) {
  }
}

}  // namespace p11shim

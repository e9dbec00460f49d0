#include <algorithm>

#include "walker.h"

namespace p11shim::walk {

// Sessions stay on one token: SoftHSM takes a handle of any token in any session, the proxy does not.
CK_SLOT_ID Walker::any_slot(Choice& choice) { return choice.one_in(20) ? Application::kNoSlot : app_.slot; }

Walker::Session Walker::any_session(Choice& choice) {
  if (choice.one_in(60)) return Application::kNoSession;
  if (choice.one_in(60) && !closed_.empty()) return choice.of(closed_);
  if (sessions_.empty()) return CK_INVALID_HANDLE;
  // Mostly the first ones, so that operations go on in them.
  return sessions_[std::min(choice.below(sessions_.size()), choice.below(sessions_.size()))];
}

// Numbers of objects that the module would issue anew: to use the old ones compares nothing.
void Walker::forget_private_objects() {
  logged_in_ = false;
  crossed_ = sessions_;
  std::erase_if(keys_, [](const Key& key) { return key.is_private || key.dead; });
}

// With its last session SoftHSM forgets every handle; the proxy knows those of token objects still.
void Walker::forget_all_objects() {
  logged_in_ = false;
  keys_.clear();
}

void Walker::forget_session_objects(Session session) {
  for (Key& key : keys_)
    if (!key.token && key.owner == session) key.dead = true;
}

void Walker::open_session(Choice& choice) {
  if (sessions_.size() > 12 && !choice.one_in(4)) return close_session(choice);
  Session session = CK_INVALID_HANDLE;
  // NSS opens parallel sessions; docs/differences.md says what becomes of them.
  const CK_FLAGS serial = choice.one_in(20) && !app_.on("nss") ? 0 : CKF_SERIAL_SESSION;
  const CK_FLAGS flags = serial | (choice.one_in(4) ? 0 : CKF_RW_SESSION);
  const CK_SLOT_ID slot = any_slot(choice);
  if (app_.open_session(slot, flags, choice.one_in(40) ? nullptr : &session) != CKR_OK || !session) return;
  sessions_.push_back(session);
  slots_of_.emplace_back(session, slot);
}

void Walker::close_session(Choice& choice) {
  const Session session = any_session(choice);
  if (app_.close_session(session) != CKR_OK) return;
  auto slot = std::ranges::find(slots_of_, session, &std::pair<Session, CK_SLOT_ID>::first);
  const CK_SLOT_ID where = slot == slots_of_.end() ? app_.slot : slot->second;
  std::erase(sessions_, session);
  std::erase_if(slots_of_, [&](const auto& pair) { return pair.first == session; });
  closed_.push_back(session);
  forget_session_objects(session);
  const bool last = std::ranges::none_of(slots_of_, [&](const auto& pair) { return pair.second == where; });
  if (last) forget_all_objects();
}

void Walker::close_all_sessions(Choice& choice) {
  if (!choice.one_in(3)) return session_info(choice);
  const CK_SLOT_ID slot = any_slot(choice);
  if (app_.close_all_sessions(slot) != CKR_OK) return;
  for (const auto& [session, where] : slots_of_) {
    if (where != slot) continue;
    std::erase(sessions_, session);
    closed_.push_back(session);
    forget_session_objects(session);
  }
  std::erase_if(slots_of_, [&](const auto& pair) { return pair.second == slot; });
  forget_all_objects();
}

void Walker::session_info(Choice& choice) {
  CK_SESSION_INFO info;
  app_.get_session_info(any_session(choice), choice.one_in(20) ? nullptr : &info);
}

void Walker::token_info(Choice& choice) {
  CK_TOKEN_INFO info;
  app_.get_token_info(choice.one_in(4) ? app_.other_slot : any_slot(choice), choice.one_in(20) ? nullptr : &info);
}

void Walker::elsewhere(Choice& choice) {
  Session session = CK_INVALID_HANDLE;
  CK_SESSION_INFO info;
  if (app_.open_session(app_.other_slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &session) != CKR_OK) return;
  app_.get_session_info(session, &info);
  if (choice.one_in(3)) app_.login(session, CKU_USER, choice.one_in(2) ? "wrong" : kUserPin);
  app_.get_session_info(session, &info);
  app_.find_all(session, {});
  app_.close_session(session);
}

void Walker::login(Choice& choice) {
  // NSS lets operations go on side by side, also those from before a login: docs/differences.md says what differs.
  if (app_.on("nss")) start_afresh();
  const bool so = choice.one_in(8) && administers_;
  const CK_USER_TYPE user = so ? CKU_SO : choice.one_in(20) ? CKU_CONTEXT_SPECIFIC : CKU_USER;
  const char* right = user == CKU_SO ? kSoPin : kUserPin;
  if (app_.login(any_session(choice), user, choice.one_in(8) ? "wrong" : right) != CKR_OK) return;
  logged_in_ = true;
  crossed_ = sessions_;
}

void Walker::start_afresh() {
  app_.close_all_sessions(app_.slot);
  for (const Session session : sessions_) {
    closed_.push_back(session);
    forget_session_objects(session);
  }
  forget_all_objects();
  const Session first = app_.open();
  sessions_ = {first};
  slots_of_ = {{first, app_.slot}};
}

void Walker::logout(Choice& choice) {
  // NSS keeps private session objects beyond the login.
  if (!choice.one_in(3) || app_.on("nss")) return session_info(choice);
  if (app_.logout(any_session(choice)) == CKR_OK) forget_private_objects();
}

void Walker::change_pin(Choice& choice) {
  // What stays in the user's worker beyond the logout ends with a PIN change; docs/differences.md says so.
  if (!logged_in_) start_afresh();
  // To the same PIN: what a restarted worker or another session believes must not matter.
  app_.set_pin(any_session(choice), choice.one_in(4) ? "wrong" : kUserPin, choice.one_in(8) ? "abc" : kUserPin);
}

void Walker::start_over(Choice& choice) {
  if (!choice.one_in(4)) return token_info(choice);
  app_.finalize();
  if (choice.one_in(2)) app_.finalize();
  sessions_.clear();
  closed_.clear();
  crossed_.clear();
  slots_of_.clear();
  keys_.clear();
  logged_in_ = false;
  app_.start();
  const Session first = app_.open();
  sessions_ = {first};
  slots_of_ = {{first, app_.slot}};
}

void Walker::mechanisms(Choice& choice) {
  const CK_SLOT_ID slot = any_slot(choice);
  static const std::vector<CK_MECHANISM_TYPE> kTypes = {CKM_RSA_PKCS, CKM_AES_CBC, CKM_SHA256, CKM_ECDSA, 0x7fffffff};
  CK_MECHANISM_INFO info;
  app_.get_mechanism_info(slot, choice.of(kTypes), &info);
  // NSS lists them for slots that do not exist.
  if (choice.one_in(4) && slot != Application::kNoSlot) app_.get_mechanism_list(slot, Room::query());
}

void Walker::random(Choice& choice) {
  const Session session = any_session(choice);
  app_.generate_random(session, Room::of(choice.below(80)));
  if (choice.one_in(4)) app_.seed_random(session, pattern(choice.below(20)));
}

void Walker::legacy(Choice& choice) {
  const Session session = any_session(choice);
  app_.get_function_status(session);
  app_.cancel_function(session);
}

void Walker::operation_state(Choice& choice) {
  app_.get_operation_state(any_session(choice), choice.one_in(2) ? Room::query() : Room::of(8192));
}

}  // namespace p11shim::walk

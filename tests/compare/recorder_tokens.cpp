#include <algorithm>
#include <cstring>

#include "infos.h"
#include "recorder_call.h"

namespace p11shim::compare {
namespace {

// (array, *count) with the capacity in CK_ULONGs: slot ids and mechanism types.
class ListArgument {
 public:
  ListArgument(Room room, HandleNames Names::*kind)
      : room_(room),
        kind_(kind),
        count_(room.size),
        buffer_(room.kind == Room::Kind::kNull ? 0 : room.size * sizeof(CK_ULONG)) {}
  auto c() {
    return std::make_tuple(room_.kind == Room::Kind::kNull ? nullptr : reinterpret_cast<CK_ULONG*>(buffer_.data()),
                           room_.kind == Room::Kind::kNoLength ? nullptr : &count_);
  }
  void show(Json& in, const Names&) const {
    in["room"] = room_.kind == Room::Kind::kNull ? Json(nullptr) : Json(room_.size);
  }
  bool misused() const { return room_.kind == Room::Kind::kNoLength; }
  void report(Report& report) const {
    if (room_.kind != Room::Kind::kNoLength) report.out["count"] = count_;
    if (!buffer_.guards_intact()) report.out["overrun"] = true;
    const std::vector<CK_ULONG> listed = values(report.rv);
    if (buffer_.changed_from(listed.size() * sizeof(CK_ULONG))) report.out["scribbled"] = true;
    if (report.rv != CKR_OK || room_.kind == Room::Kind::kNull || report.blurred) return;
    Json& list = report.out["list"] = Json::array();
    for (CK_ULONG value : listed) list.push_back(kind_ ? (report.names.*kind_).found(value) : mechanism_name(value));
  }
  std::vector<CK_ULONG> values(CK_RV rv) const {
    if (rv != CKR_OK || room_.kind == Room::Kind::kNull || count_ > room_.size) return {};
    auto first = reinterpret_cast<const CK_ULONG*>(buffer_.data());
    return {first, first + count_};
  }

 private:
  Room room_;
  HandleNames Names::*kind_;
  CK_ULONG count_;
  GuardedBuffer buffer_;
};

struct InitializeArguments {
  void* args;
  const char* shown;
  auto c() { return std::make_tuple(args); }
  void show(Json& in, const Names&) const { in["args"] = shown; }
  void report(Report&) const {}
};

struct LabelArgument {
  const char* label;  // blank padded; null is passed as NULL
  CK_UTF8CHAR padded[32];
  explicit LabelArgument(const char* text) : label(text) {
    std::memset(padded, ' ', sizeof padded);
    if (text) std::memcpy(padded, text, std::min(std::strlen(text), sizeof padded));
  }
  auto c() { return std::make_tuple(label ? padded : nullptr); }
  void show(Json& in, const Names&) const { in["label"] = label ? Json(label) : Json(nullptr); }
  void report(Report&) const {}
};

}  // namespace

CK_RV Recorder::initialize(void* args, const char* shown) {
  return call(P11_V2(C_Initialize), InitializeArguments{args, shown});
}

CK_RV Recorder::finalize(void* reserved) {
  const CK_RV rv = call(P11_V2(C_Finalize), Plain<void*>{"reserved", reserved});
  if (rv != CKR_OK) return rv;
  open_sessions_.clear();
  finds_.clear();
  random_objects_.clear();
  random_activities_.clear();
  names_.objects.renew();
  return rv;
}

CK_RV Recorder::get_info(CK_INFO* info) { return call(P11_V2(C_GetInfo), InfoArgument<CK_INFO>(info)); }

CK_RV Recorder::get_slot_list(bool token_present, Room room, std::vector<CK_SLOT_ID>* slots) {
  ListArgument list(room, &Names::slots);
  const CK_RV rv =
      call(P11_V2(C_GetSlotList),
           Plain<CK_BBOOL>{"token_present", static_cast<CK_BBOOL>(token_present ? CK_TRUE : CK_FALSE)}, list);
  if (slots) *slots = list.values(rv);
  return rv;
}

CK_RV Recorder::get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO* info) {
  return call(P11_V2(C_GetSlotInfo), slot_argument(slot), InfoArgument<CK_SLOT_INFO>(info));
}

CK_RV Recorder::get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  return call(P11_V2(C_GetTokenInfo), slot_argument(slot), InfoArgument<CK_TOKEN_INFO>(info));
}

CK_RV Recorder::get_mechanism_list(CK_SLOT_ID slot, Room room, std::vector<CK_MECHANISM_TYPE>* types) {
  ListArgument list(room, nullptr);
  const CK_RV rv = call(P11_V2(C_GetMechanismList), slot_argument(slot), list);
  if (types) *types = list.values(rv);
  return rv;
}

CK_RV Recorder::get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info) {
  return call(P11_V2(C_GetMechanismInfo), slot_argument(slot), Plain<CK_MECHANISM_TYPE>{"type", type},
              InfoArgument<CK_MECHANISM_INFO>(info));
}

CK_RV Recorder::init_token(CK_SLOT_ID slot, Input pin, const char* label) {
  const CK_RV rv = call(P11_V2(C_InitToken), slot_argument(slot), InputArgument{"pin", pin}, LabelArgument(label));
  if (rv == CKR_OK) names_.objects.renew();
  return rv;
}

CK_RV Recorder::init_pin(Session session, Input pin) {
  return call(P11_V2(C_InitPIN), session_argument(session), InputArgument{"pin", pin});
}

CK_RV Recorder::set_pin(Session session, Input old_pin, Input new_pin) {
  return call(P11_V2(C_SetPIN), session_argument(session), InputArgument{"old", old_pin},
              InputArgument{"new", new_pin});
}

CK_RV Recorder::wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID* slot, void* reserved) {
  return call(P11_V2(C_WaitForSlotEvent), Plain<CK_FLAGS>{"flags", flags},
              NumberOutArgument("slot", slot, &Names::slots), Plain<void*>{"reserved", reserved});
}

CK_RV Recorder::open_session(CK_SLOT_ID slot, CK_FLAGS flags, Session* session) {
  const CK_RV rv = call(P11_V2(C_OpenSession), slot_argument(slot), Plain<CK_FLAGS>{"flags", flags},
                        Plain<CK_VOID_PTR>{"application", nullptr}, Plain<CK_NOTIFY>{"notify", nullptr},
                        NumberOutArgument("session", session, &Names::sessions));
  if (rv == CKR_OK && session) open_sessions_[*session] = slot;
  return rv;
}

// A module may give the number to another session.
void Recorder::forget(Session session) {
  finds_.erase(session);
  std::erase_if(random_activities_, [&](const auto& activity) { return activity.first.first == session; });
}

void Recorder::closed(Session session) {
  auto open = open_sessions_.find(session);
  if (open == open_sessions_.end()) return;
  const CK_SLOT_ID slot = open->second;
  forget(session);
  open_sessions_.erase(open);
  const bool last = std::ranges::none_of(open_sessions_, [&](const auto& other) { return other.second == slot; });
  if (last) names_.objects.renew();  // it logged the application out
}

CK_RV Recorder::close_session(Session session) {
  const CK_RV rv = call(P11_V2(C_CloseSession), session_argument(session));
  if (rv == CKR_OK) closed(session);
  return rv;
}

CK_RV Recorder::close_all_sessions(CK_SLOT_ID slot) {
  const CK_RV rv = call(P11_V2(C_CloseAllSessions), slot_argument(slot));
  if (rv != CKR_OK) return rv;
  for (const auto& [session, where] : open_sessions_)
    if (where == slot) forget(session);
  std::erase_if(open_sessions_, [&](const auto& open) { return open.second == slot; });
  names_.objects.renew();
  return rv;
}

CK_RV Recorder::get_session_info(Session session, CK_SESSION_INFO* info) {
  return call(P11_V2(C_GetSessionInfo), session_argument(session), InfoArgument<CK_SESSION_INFO>(info));
}

Outcome Recorder::get_operation_state(Session session, Room room) {
  OutputArgument state("output", room);
  const Blur blur(*this);  // the module's private format
  const CK_RV rv = call(P11_V2(C_GetOperationState), session_argument(session), state);
  return {rv, state.length(), state.bytes()};
}

CK_RV Recorder::set_operation_state(Session session, Input state, Object encryption_key, Object authentication_key) {
  return call(P11_V2(C_SetOperationState), session_argument(session), InputArgument{"state", state},
              object_argument(encryption_key, "encryption_key"),
              object_argument(authentication_key, "authentication_key"));
}

CK_RV Recorder::login(Session session, CK_USER_TYPE user, Input pin) {
  return call(P11_V2(C_Login), session_argument(session), Plain<CK_USER_TYPE>{"user", user}, InputArgument{"pin", pin});
}

CK_RV Recorder::login_user(Session session, CK_USER_TYPE user, Input pin, Input name) {
  return call(P11_V3(C_LoginUser), session_argument(session), Plain<CK_USER_TYPE>{"user", user},
              InputArgument{"pin", pin}, InputArgument{"name", name});
}

CK_RV Recorder::logout(Session session) {
  const CK_RV rv = call(P11_V2(C_Logout), session_argument(session));
  if (rv == CKR_OK) names_.objects.renew();
  return rv;
}

CK_RV Recorder::get_function_status(Session session) {
  return call(P11_V2(C_GetFunctionStatus), session_argument(session));
}

CK_RV Recorder::cancel_function(Session session) { return call(P11_V2(C_CancelFunction), session_argument(session)); }

CK_RV Recorder::session_cancel(Session session, CK_FLAGS flags) {
  return call(P11_V3(C_SessionCancel), session_argument(session), Plain<CK_FLAGS>{"flags", flags});
}

}  // namespace p11shim::compare

// The mock's answers where no rule says otherwise. Functions that keep books (slots, sessions, login,
// objects, finds) are written out here under their standard names; all others are answered by answer.h from
// their arguments alone. One lock guards everything; it is never held while a rule lets a call hang.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control.h"
#include "token.h"

namespace p11shim {

struct MockSession {
  CK_SLOT_ID slot = 0;  // index
  CK_FLAGS flags = 0;
  std::set<std::string_view> operations;
  std::vector<CK_OBJECT_HANDLE> found;
  CK_MECHANISM_TYPE message_mechanism = 0;
};

class MockModule {
 public:
  static constexpr CK_SLOT_ID kSlots = 2;

  void use(std::shared_ptr<const Rules> rules) { rules_ = std::move(rules); }
  std::mutex& mutex() { return mutex_; }

  // All of these expect the lock to be held.
  CK_RV C_Initialize(CK_VOID_PTR arguments);
  CK_RV C_Finalize(CK_VOID_PTR reserved);
  CK_RV C_GetInfo(CK_INFO* info);
  CK_RV C_GetSlotList(CK_BBOOL token_present, CK_SLOT_ID* slots, CK_ULONG* count);
  CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO* info);
  CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO* info);
  CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE* list, CK_ULONG* count);
  CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info);
  CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR* pin, CK_ULONG size, CK_UTF8CHAR* label);
  CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID* slot, CK_VOID_PTR reserved);

  CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                      CK_SESSION_HANDLE* session);
  CK_RV C_CloseSession(CK_SESSION_HANDLE session);
  CK_RV C_CloseAllSessions(CK_SLOT_ID slot);
  CK_RV C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO* info);
  CK_RV C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size);
  CK_RV C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size, CK_UTF8CHAR* name,
                    CK_ULONG name_size);
  CK_RV C_Logout(CK_SESSION_HANDLE session);
  CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE session);
  CK_RV C_CancelFunction(CK_SESSION_HANDLE session);

  CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count,
                     CK_OBJECT_HANDLE* copy);
  CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
  CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG* size);
  CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes,
                            CK_ULONG count);
  CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes,
                            CK_ULONG count);
  CK_RV C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE* attributes, CK_ULONG count);
  CK_RV C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE* objects, CK_ULONG capacity, CK_ULONG* count);
  CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session);

  bool initialized() const { return initialized_; }
  MockSession* session(CK_SESSION_HANDLE handle);
  CK_OBJECT_HANDLE add_object(CK_SESSION_HANDLE session, Attributes attributes);

 private:
  static constexpr CK_USER_TYPE kNobody = static_cast<CK_USER_TYPE>(-1);

  CK_SLOT_ID slot_id(CK_SLOT_ID index) const;
  std::optional<CK_SLOT_ID> slot_index(CK_SLOT_ID id) const;
  CK_ULONG next_handle();
  bool visible(const MockObject& object) const;
  MockObject* object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle);
  CK_RV read(const MockObject& object, CK_ATTRIBUTE& attribute) const;
  CK_ULONG count_sessions(CK_SLOT_ID slot, CK_FLAGS flags) const;
  void forget_session(CK_SESSION_HANDLE session);

  std::mutex mutex_;
  std::condition_variable finalized_;
  std::shared_ptr<const Rules> rules_ = std::make_shared<const Rules>();
  bool initialized_ = false;
  CK_ULONG handles_ = 0;
  CK_USER_TYPE users_[kSlots] = {kNobody, kNobody};
  std::map<CK_SESSION_HANDLE, MockSession> sessions_;
  std::map<CK_OBJECT_HANDLE, MockObject> objects_;
};

}  // namespace p11shim

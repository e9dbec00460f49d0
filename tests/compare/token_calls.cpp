#include "token_calls.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <vector>

#include "backend.h"
#include "transcript.h"

namespace p11shim::compare {
namespace {

CK_UTF8CHAR* utf8(const std::string& text) { return reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(text.data())); }

CK_SLOT_ID slot_where(CK_FUNCTION_LIST& functions, const std::function<bool(const CK_TOKEN_INFO&)>& wanted) {
  CK_ULONG count = 0;
  must(functions.C_GetSlotList(CK_TRUE, nullptr, &count), "C_GetSlotList");
  std::vector<CK_SLOT_ID> slots(count);
  must(functions.C_GetSlotList(CK_TRUE, slots.data(), &count), "C_GetSlotList");
  for (CK_SLOT_ID slot : slots) {
    CK_TOKEN_INFO info{};
    if (functions.C_GetTokenInfo(slot, &info) == CKR_OK && wanted(info)) return slot;
  }
  throw std::runtime_error("no slot with such a token");
}

}  // namespace

void must(CK_RV rv, const std::string& what) {
  if (rv != CKR_OK) throw std::runtime_error(what + " gave " + rv_name(rv));
}

CK_SLOT_ID slot_of(CK_FUNCTION_LIST& functions, const std::string& token_label) {
  return slot_where(functions, [&](const CK_TOKEN_INFO& info) {
    std::string label(reinterpret_cast<const char*>(info.label), sizeof info.label);
    label.erase(label.find_last_not_of(' ') + 1);
    return label == token_label;
  });
}

CK_SLOT_ID uninitialised_slot(CK_FUNCTION_LIST& functions) {
  return slot_where(functions, [](const CK_TOKEN_INFO& info) { return !(info.flags & CKF_TOKEN_INITIALIZED); });
}

CK_RV init_token(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot, const std::string& label) {
  CK_UTF8CHAR padded[32];
  std::memset(padded, ' ', sizeof padded);
  std::memcpy(padded, label.data(), std::min(label.size(), sizeof padded));
  const std::string pin = kSoPin;
  return functions.C_InitToken(slot, utf8(pin), pin.size(), padded);
}

void init_user_pin(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot, const std::string& so_pin) {
  const std::string pin = kUserPin;
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  must(functions.C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &session), "C_OpenSession");
  must(functions.C_Login(session, CKU_SO, utf8(so_pin), so_pin.size()), "C_Login");
  must(functions.C_InitPIN(session, utf8(pin), pin.size()), "C_InitPIN");
  must(functions.C_CloseSession(session), "C_CloseSession");
}

}  // namespace p11shim::compare

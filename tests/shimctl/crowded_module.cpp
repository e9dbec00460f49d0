// A PKCS#11 module whose one token has a hundred thousand keys, or CROWDED_KEYS, and knows no PIN. CROWDED_FLAGS adds flags to
// its CK_TOKEN_INFO, CROWDED_INITIALIZE spoils C_Initialize; each C_Login leaves a byte in the file CROWDED_LOGINS. Labels have
// CROWDED_LABEL bytes at least. In the folder CROWDED_CONTROL: while there is a file "hang" C_FindObjectsFinal makes a file
// "hangs" and waits; while there is "crash" reading an attribute ends the process. Only what shimctl calls to list
// keys and to examine the token, and what proxyd needs, is there; random bytes are not random.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "pkcs11/cryptoki.h"

namespace {

CK_ULONG number(const char* name, CK_ULONG usual) {
  const char* chosen = std::getenv(name);
  return chosen == nullptr ? usual : std::strtoul(chosen, nullptr, 0);
}

const CK_ULONG kKeys = number("CROWDED_KEYS", 100'000);
const CK_ULONG kLabel = number("CROWDED_LABEL", 0);
thread_local CK_ULONG next_found = kKeys;

// A file of that name in CROWDED_CONTROL; empty if that is not set.
std::string control(const char* name) {
  static const char* const folder = std::getenv("CROWDED_CONTROL");
  return folder == nullptr ? std::string() : std::string(folder) + "/" + name;
}
bool is_told_to(const char* name) {
  const std::string file = control(name);
  return !file.empty() && ::access(file.c_str(), F_OK) == 0;
}

template <std::size_t N>
void pad(CK_UTF8CHAR (&field)[N], const char* text) {
  std::memset(field, ' ', N);
  std::memcpy(field, text, std::strlen(text));
}

// CROWDED_INITIALIZE: "crash", "hang".
CK_RV initialize(CK_VOID_PTR) {
  const char* chosen = std::getenv("CROWDED_INITIALIZE");
  const std::string how = chosen == nullptr ? "" : chosen;
  if (how == "crash") std::raise(SIGKILL);
  while (how == "hang") ::pause();
  return CKR_OK;
}

CK_RV finalize(CK_VOID_PTR) { return CKR_OK; }

CK_RV get_info(CK_INFO* info) {
  *info = {};
  info->cryptokiVersion = {2, 40};
  pad(info->manufacturerID, "tests");
  pad(info->libraryDescription, "crowd");
  return CKR_OK;
}

CK_RV mechanism_list(CK_SLOT_ID, CK_MECHANISM_TYPE*, CK_ULONG* count) {
  *count = 0;
  return CKR_OK;
}

CK_RV generate_random(CK_SESSION_HANDLE, CK_BYTE* bytes, CK_ULONG size) {
  std::memset(bytes, 7, size);
  return CKR_OK;
}

CK_RV slot_list(CK_BBOOL, CK_SLOT_ID* slots, CK_ULONG* count) {
  if (slots != nullptr) slots[0] = 1;
  *count = 1;
  return CKR_OK;
}

CK_RV slot_info(CK_SLOT_ID, CK_SLOT_INFO* info) {
  *info = {};
  pad(info->manufacturerID, "tests");
  std::memset(info->slotDescription, ' ', sizeof info->slotDescription);
  info->flags = CKF_TOKEN_PRESENT;
  return CKR_OK;
}

CK_RV token_info(CK_SLOT_ID, CK_TOKEN_INFO* info) {
  *info = {};
  pad(info->label, "crowded");
  pad(info->manufacturerID, "tests");
  pad(info->model, "crowd");
  pad(info->serialNumber, "1");
  info->flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED;
  if (const char* more = std::getenv("CROWDED_FLAGS")) info->flags |= std::strtoul(more, nullptr, 0);
  return CKR_OK;
}

CK_RV open_session(CK_SLOT_ID, CK_FLAGS, CK_VOID_PTR, CK_NOTIFY, CK_SESSION_HANDLE* session) {
  *session = 1;
  return CKR_OK;
}

CK_RV close_session(CK_SESSION_HANDLE) { return CKR_OK; }

CK_RV session_info(CK_SESSION_HANDLE, CK_SESSION_INFO* info) {
  *info = {1, CKS_RW_PUBLIC_SESSION, CKF_SERIAL_SESSION | CKF_RW_SESSION, 0};
  return CKR_OK;
}

CK_RV logout(CK_SESSION_HANDLE) { return CKR_USER_NOT_LOGGED_IN; }

CK_RV login(CK_SESSION_HANDLE, CK_USER_TYPE, CK_UTF8CHAR*, CK_ULONG) {
  if (const char* file = std::getenv("CROWDED_LOGINS")) std::ofstream(file, std::ios::app) << '.';
  return CKR_PIN_INCORRECT;
}

CK_RV find_init(CK_SESSION_HANDLE, CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const bool of_class = count == 1 && attributes[0].type == CKA_CLASS;
  next_found = of_class && *static_cast<CK_OBJECT_CLASS*>(attributes[0].pValue) == CKO_SECRET_KEY ? 0 : kKeys;
  return CKR_OK;
}

CK_RV find(CK_SESSION_HANDLE, CK_OBJECT_HANDLE* objects, CK_ULONG most, CK_ULONG* count) {
  for (*count = 0; *count < most && next_found < kKeys; ++*count) objects[*count] = ++next_found;
  return CKR_OK;
}

CK_RV find_final(CK_SESSION_HANDLE) {
  if (is_told_to("hang")) std::ofstream(control("hangs"));
  while (is_told_to("hang")) ::usleep(1000);
  return CKR_OK;
}

void answer(CK_ATTRIBUTE& attribute, const void* value, CK_ULONG size) {
  if (attribute.pValue != nullptr && attribute.ulValueLen >= size) std::memcpy(attribute.pValue, value, size);
  attribute.ulValueLen = size;
}

CK_RV get_attributes(CK_SESSION_HANDLE, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes, CK_ULONG count) {
  const CK_OBJECT_CLASS object_class = CKO_SECRET_KEY;
  const CK_KEY_TYPE type = CKK_AES;
  const CK_ULONG length = 32;
  const CK_BBOOL yes = CK_TRUE;
  const CK_BBOOL no = CK_FALSE;
  std::string label = "key-" + std::to_string(object);
  label.resize(std::max(label.size(), kLabel), '.');
  if (is_told_to("crash")) std::raise(SIGKILL);
  CK_RV rv = CKR_OK;
  for (CK_ULONG i = 0; i < count; ++i) {
    switch (attributes[i].type) {
      case CKA_CLASS: answer(attributes[i], &object_class, sizeof object_class); break;
      case CKA_TOKEN: answer(attributes[i], &yes, sizeof yes); break;
      case CKA_PRIVATE: answer(attributes[i], &no, sizeof no); break;
      case CKA_KEY_TYPE: answer(attributes[i], &type, sizeof type); break;
      case CKA_VALUE_LEN: answer(attributes[i], &length, sizeof length); break;
      case CKA_LABEL: answer(attributes[i], label.data(), label.size()); break;
      case CKA_ID: answer(attributes[i], &object, sizeof object); break;
      default: attributes[i].ulValueLen = CK_UNAVAILABLE_INFORMATION; rv = CKR_ATTRIBUTE_TYPE_INVALID;
    }
  }
  return rv;
}

CK_FUNCTION_LIST make_list() {
  CK_FUNCTION_LIST list{};
  list.version = {2, 40};
  list.C_Initialize = initialize;
  list.C_Finalize = finalize;
  list.C_GetInfo = get_info;
  list.C_GetMechanismList = mechanism_list;
  list.C_GenerateRandom = generate_random;
  list.C_GetSlotList = slot_list;
  list.C_GetSlotInfo = slot_info;
  list.C_GetTokenInfo = token_info;
  list.C_GetSessionInfo = session_info;
  list.C_Logout = logout;
  list.C_OpenSession = open_session;
  list.C_CloseSession = close_session;
  list.C_Login = login;
  list.C_FindObjectsInit = find_init;
  list.C_FindObjects = find;
  list.C_FindObjectsFinal = find_final;
  list.C_GetAttributeValue = get_attributes;
  return list;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  static CK_FUNCTION_LIST functions = make_list();
  *list = &functions;
  return CKR_OK;
}

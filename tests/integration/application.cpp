#include "application.h"
#include "tests/places.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace p11shim {
namespace {

CK_UTF8CHAR* utf8(std::string& text) { return reinterpret_cast<CK_UTF8CHAR*>(text.data()); }

template <class T>
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, T& value) {
  return {type, &value, sizeof value};
}
CK_ATTRIBUTE attribute(CK_ATTRIBUTE_TYPE type, std::string& value) { return {type, value.data(), value.size()}; }

}  // namespace

TestApplication::TestApplication(const std::string& endpoint, const std::string& settings) {
  const std::filesystem::path copy = directory_.path() / "libpkcs11-shim.so";
  std::filesystem::copy_file(build_dir() + "/lib/libpkcs11-shim.so", copy);
  std::ofstream(directory_.path() / "shim.toml") << settings;  // and nothing of the user's
  ::setenv("P11SHIM_ENDPOINT", endpoint.c_str(), 1);
  ::setenv("P11SHIM_CONF", (directory_.path() / "shim.toml").c_str(), 1);
  library_ = ::dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) throw std::runtime_error(::dlerror());
  const auto get = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library_, "C_GetFunctionList"));
  EXPECT_EQ(get(&functions_), CKR_OK);
  EXPECT_EQ(functions_->C_Initialize(nullptr), CKR_OK);
}

TestApplication::~TestApplication() {
  functions_->C_Finalize(nullptr);
  ::dlclose(library_);
}

const CK_FUNCTION_LIST_3_0& TestApplication::v3() const {
  const auto get = reinterpret_cast<CK_C_GetInterface>(::dlsym(library_, "C_GetInterface"));
  CK_VERSION version{3, 0};
  CK_INTERFACE* interface = nullptr;
  EXPECT_EQ(get(nullptr, &version, &interface, 0), CKR_OK);
  return *static_cast<const CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
}

std::vector<CK_SLOT_ID> TestApplication::slots() const {
  std::vector<CK_SLOT_ID> slots(64);
  CK_ULONG count = slots.size();
  EXPECT_EQ(functions_->C_GetSlotList(CK_FALSE, slots.data(), &count), CKR_OK);
  slots.resize(count);
  return slots;
}

CK_SESSION_HANDLE TestApplication::open(bool read_write, CK_SLOT_ID slot) const {
  CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
  EXPECT_EQ(functions_->C_OpenSession(slot, CKF_SERIAL_SESSION | (read_write ? CKF_RW_SESSION : 0), nullptr, nullptr,
                                      &session),
            CKR_OK);
  return session;
}

CK_RV TestApplication::log_in(CK_SESSION_HANDLE session, std::string pin, CK_USER_TYPE user) const {
  return functions_->C_Login(session, user, utf8(pin), pin.size());
}

CK_RV TestApplication::set_pin(CK_SESSION_HANDLE session, std::string before, std::string after) const {
  return functions_->C_SetPIN(session, utf8(before), before.size(), utf8(after), after.size());
}

CK_FLAGS TestApplication::token_flags(CK_SLOT_ID slot) const {
  CK_TOKEN_INFO info{};
  EXPECT_EQ(functions_->C_GetTokenInfo(slot, &info), CKR_OK);
  return info.flags;
}

std::vector<CK_OBJECT_HANDLE> TestApplication::find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS object_class,
                                                    std::string label) const {
  CK_ATTRIBUTE tmpl[] = {attribute(CKA_CLASS, object_class), attribute(CKA_LABEL, label)};
  std::vector<CK_OBJECT_HANDLE> found(256);
  CK_ULONG count = 0;
  EXPECT_EQ(functions_->C_FindObjectsInit(session, tmpl, label.empty() ? 1 : 2), CKR_OK);
  EXPECT_EQ(functions_->C_FindObjects(session, found.data(), found.size(), &count), CKR_OK);
  EXPECT_EQ(functions_->C_FindObjectsFinal(session), CKR_OK);
  found.resize(count);
  return found;
}

CK_OBJECT_HANDLE TestApplication::one(CK_SESSION_HANDLE session, CK_OBJECT_CLASS object_class,
                                      std::string label) const {
  const auto found = find(session, object_class, label);
  EXPECT_EQ(found.size(), 1u) << label;
  return found.empty() ? CK_INVALID_HANDLE : found.front();
}

CK_OBJECT_HANDLE TestApplication::generate_aes(CK_SESSION_HANDLE session, bool on_token, std::string label,
                                               bool is_private, CK_RV* rv) const {
  CK_MECHANISM mechanism{CKM_AES_KEY_GEN, nullptr, 0};
  CK_BBOOL token = on_token, hidden = is_private, yes = CK_TRUE;
  CK_ULONG length = 32;
  CK_ATTRIBUTE tmpl[] = {attribute(CKA_TOKEN, token), attribute(CKA_PRIVATE, hidden),   attribute(CKA_ENCRYPT, yes),
                         attribute(CKA_DECRYPT, yes), attribute(CKA_VALUE_LEN, length), attribute(CKA_LABEL, label)};
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  const CK_RV answer = functions_->C_GenerateKey(session, &mechanism, tmpl, std::size(tmpl), &key);
  if (rv != nullptr) *rv = answer;
  else EXPECT_EQ(answer, CKR_OK);
  return key;
}

CK_OBJECT_HANDLE TestApplication::create_data(CK_SESSION_HANDLE session, bool on_token, std::string label,
                                              std::string value) const {
  CK_OBJECT_CLASS object_class = CKO_DATA;
  CK_BBOOL token = on_token, no = CK_FALSE;
  CK_ATTRIBUTE tmpl[] = {attribute(CKA_CLASS, object_class), attribute(CKA_TOKEN, token), attribute(CKA_PRIVATE, no),
                         attribute(CKA_LABEL, label), attribute(CKA_VALUE, value)};
  CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
  EXPECT_EQ(functions_->C_CreateObject(session, tmpl, std::size(tmpl), &object), CKR_OK);
  return object;
}

CK_RV TestApplication::set_label(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, std::string label) const {
  CK_ATTRIBUTE change = attribute(CKA_LABEL, label);
  return functions_->C_SetAttributeValue(session, object, &change, 1);
}

CK_RV TestApplication::encrypt(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE aes_key) const {
  CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
  if (const CK_RV rv = functions_->C_EncryptInit(session, &mechanism, aes_key); rv != CKR_OK) return rv;
  CK_BYTE data[16] = {}, out[64];
  CK_ULONG length = sizeof out;
  return functions_->C_Encrypt(session, data, sizeof data, out, &length);
}

}  // namespace p11shim

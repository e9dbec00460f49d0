// Slots, sessions and login of the mock.
#include "module.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace p11shim {
namespace {

// What a token might offer, the last two being a vendor's.
constexpr std::array<CK_MECHANISM_TYPE, 24> kMechanisms{CKM_RSA_PKCS_KEY_PAIR_GEN,
                                                        CKM_RSA_PKCS,
                                                        CKM_RSA_PKCS_OAEP,
                                                        CKM_RSA_PKCS_PSS,
                                                        CKM_SHA256_RSA_PKCS,
                                                        CKM_EC_KEY_PAIR_GEN,
                                                        CKM_ECDSA,
                                                        CKM_ECDSA_SHA256,
                                                        CKM_ECDH1_DERIVE,
                                                        CKM_AES_KEY_GEN,
                                                        CKM_AES_ECB,
                                                        CKM_AES_CBC,
                                                        CKM_AES_CBC_PAD,
                                                        CKM_AES_CTR,
                                                        CKM_AES_GCM,
                                                        CKM_AES_CCM,
                                                        CKM_AES_CMAC,
                                                        CKM_AES_KEY_WRAP,
                                                        CKM_SHA256,
                                                        CKM_SHA512,
                                                        CKM_SHA256_HMAC,
                                                        CKM_HKDF_DERIVE,
                                                        CKM_VENDOR_DEFINED + 1,
                                                        CKM_VENDOR_DEFINED + 0x7fffff};

template <std::size_t N>
void pad(CK_UTF8CHAR (&field)[N], std::string_view text) {
  std::memset(field, ' ', N);
  std::memcpy(field, text.data(), std::min(N, text.size()));
}

template <class Values>
CK_RV give_list(const Values& values, CK_ULONG* out, CK_ULONG* count) {
  if (count == nullptr) return CKR_ARGUMENTS_BAD;
  const CK_ULONG capacity = *count;
  *count = values.size();
  if (out == nullptr) return CKR_OK;
  if (capacity < values.size()) return CKR_BUFFER_TOO_SMALL;
  std::copy(values.begin(), values.end(), out);
  return CKR_OK;
}

bool equals(const CK_UTF8CHAR* pin, CK_ULONG size, std::string_view expected) {
  return pin != nullptr && std::string_view(reinterpret_cast<const char*>(pin), size) == expected;
}

}  // namespace

CK_SLOT_ID MockModule::slot_id(CK_SLOT_ID index) const {
  return rules_->wide_slots ? 0x8000'0001'0000'0000 + index : 0x10 + index;
}

std::optional<CK_SLOT_ID> MockModule::slot_index(CK_SLOT_ID id) const {
  for (CK_SLOT_ID index = 0; index < kSlots; ++index) {
    if (slot_id(index) == id) return index;
  }
  return std::nullopt;
}

CK_ULONG MockModule::next_handle() { return (rules_->wide_handles ? 0xfedc'ba98'0000'0000 : 0) + ++handles_; }

MockSession* MockModule::session(CK_SESSION_HANDLE handle) {
  const auto found = sessions_.find(handle);
  return found == sessions_.end() ? nullptr : &found->second;
}

CK_RV MockModule::C_Initialize(CK_VOID_PTR) {
  if (initialized_) return CKR_CRYPTOKI_ALREADY_INITIALIZED;
  initialized_ = true;
  for (CK_SLOT_ID slot = 0; slot < kSlots; ++slot) {
    for (Attributes& attributes : initial_objects(slot, rules_->keys)) {
      objects_[next_handle()] = MockObject{slot, 0, std::move(attributes)};
    }
  }
  return CKR_OK;
}

CK_RV MockModule::C_Finalize(CK_VOID_PTR reserved) {
  if (reserved != nullptr) return CKR_ARGUMENTS_BAD;
  initialized_ = false;
  handles_ = 0;
  sessions_.clear();
  objects_.clear();
  std::fill(std::begin(users_), std::end(users_), kNobody);
  finalized_.notify_all();
  return CKR_OK;
}

CK_RV MockModule::C_GetInfo(CK_INFO* info) {
  if (info == nullptr) return CKR_ARGUMENTS_BAD;
  *info = CK_INFO{};
  info->cryptokiVersion = rules_->version;
  pad(info->manufacturerID, "Mock manufacturer");
  pad(info->libraryDescription, "Mock library");
  info->libraryVersion = {7, 13};
  return CKR_OK;
}

CK_RV MockModule::C_GetSlotList(CK_BBOOL, CK_SLOT_ID* slots, CK_ULONG* count) {
  return give_list(std::array{slot_id(0), slot_id(1)}, slots, count);
}

CK_RV MockModule::C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO* info) {
  if (info == nullptr) return CKR_ARGUMENTS_BAD;
  const auto index = slot_index(slot);
  if (!index) return CKR_SLOT_ID_INVALID;
  *info = CK_SLOT_INFO{};
  pad(info->slotDescription, "Mock slot " + std::to_string(*index));
  pad(info->manufacturerID, "Mock manufacturer");
  info->flags = CKF_TOKEN_PRESENT | CKF_HW_SLOT;
  info->hardwareVersion = {1, 2};
  info->firmwareVersion = {3, 4};
  return CKR_OK;
}

CK_RV MockModule::C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO* info) {
  if (info == nullptr) return CKR_ARGUMENTS_BAD;
  const auto index = slot_index(slot);
  if (!index) return CKR_SLOT_ID_INVALID;
  *info = CK_TOKEN_INFO{};
  pad(info->label, "mock-" + std::to_string(*index));
  pad(info->manufacturerID, "Mock manufacturer");
  pad(info->model, "Mock model");
  const std::string serial = rules_->serial + std::to_string(*index);
  std::memset(info->serialNumber, ' ', sizeof info->serialNumber);
  std::memcpy(info->serialNumber, serial.data(), std::min(serial.size(), sizeof info->serialNumber));
  info->flags = CKF_RNG | CKF_TOKEN_INITIALIZED | CKF_USER_PIN_INITIALIZED;
  if (rules_->login) info->flags |= CKF_LOGIN_REQUIRED;
  if (rules_->protected_path) info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
  info->ulMaxSessionCount = rules_->sessions == UINT32_MAX ? CK_EFFECTIVELY_INFINITE : rules_->sessions;
  info->ulMaxRwSessionCount = info->ulMaxSessionCount;
  info->ulSessionCount = count_sessions(*index, 0);
  info->ulRwSessionCount = count_sessions(*index, CKF_RW_SESSION);
  info->ulMinPinLen = rules_->least_pin;
  info->ulMaxPinLen = 255;
  info->ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION;
  info->ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION;
  info->ulTotalPrivateMemory = 1 << 20;
  info->ulFreePrivateMemory = 1 << 19;
  info->hardwareVersion = {5, 6};
  info->firmwareVersion = rules_->firmware;
  std::memcpy(info->utcTime, "2026010203040500", sizeof info->utcTime);
  return CKR_OK;
}

CK_RV MockModule::C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE* list, CK_ULONG* count) {
  return slot_index(slot) ? give_list(kMechanisms, list, count) : CKR_SLOT_ID_INVALID;
}

CK_RV MockModule::C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info) {
  if (info == nullptr) return CKR_ARGUMENTS_BAD;
  if (!slot_index(slot)) return CKR_SLOT_ID_INVALID;
  if (std::find(kMechanisms.begin(), kMechanisms.end(), type) == kMechanisms.end()) return CKR_MECHANISM_INVALID;
  *info = {16, 4096, CKF_HW | CKF_SIGN | CKF_VERIFY | CKF_ENCRYPT | CKF_DECRYPT | (type & 0xff) << 20};
  return CKR_OK;
}

CK_RV MockModule::C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR*, CK_ULONG, CK_UTF8CHAR* label) {
  if (label == nullptr) return CKR_ARGUMENTS_BAD;
  const auto index = slot_index(slot);
  if (!index) return CKR_SLOT_ID_INVALID;
  return count_sessions(*index, 0) > 0 ? CKR_SESSION_EXISTS : CKR_OK;
}

CK_RV MockModule::C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID* slot, CK_VOID_PTR) {
  if (slot == nullptr) return CKR_ARGUMENTS_BAD;
  if ((flags & CKF_DONT_BLOCK) != 0) return CKR_NO_EVENT;
  std::unique_lock lock(mutex_, std::adopt_lock);
  finalized_.wait(lock, [this] { return !initialized_; });
  lock.release();
  return CKR_CRYPTOKI_NOT_INITIALIZED;
}

CK_ULONG MockModule::count_sessions(CK_SLOT_ID slot, CK_FLAGS flags) const {
  return std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    return entry.second.slot == slot && (entry.second.flags & flags) == flags;
  });
}

CK_RV MockModule::C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR, CK_NOTIFY, CK_SESSION_HANDLE* handle) {
  if (handle == nullptr) return CKR_ARGUMENTS_BAD;
  const auto index = slot_index(slot);
  if (!index) return CKR_SLOT_ID_INVALID;
  if ((flags & CKF_SERIAL_SESSION) == 0) return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
  if (users_[*index] == CKU_SO && (flags & CKF_RW_SESSION) == 0) return CKR_SESSION_READ_WRITE_SO_EXISTS;
  if (sessions_.size() >= rules_->sessions) return CKR_SESSION_COUNT;
  *handle = next_handle();
  sessions_[*handle] = MockSession{*index, flags, {}, {}, 0};
  return CKR_OK;
}

void MockModule::forget_session(CK_SESSION_HANDLE handle) {
  const CK_SLOT_ID slot = sessions_.at(handle).slot;
  std::erase_if(objects_, [handle](const auto& entry) { return entry.second.session == handle; });
  sessions_.erase(handle);
  if (count_sessions(slot, 0) == 0) users_[slot] = kNobody;
}

CK_RV MockModule::C_CloseSession(CK_SESSION_HANDLE handle) {
  if (session(handle) == nullptr) return CKR_SESSION_HANDLE_INVALID;
  forget_session(handle);
  return CKR_OK;
}

CK_RV MockModule::C_CloseAllSessions(CK_SLOT_ID slot) {
  const auto index = slot_index(slot);
  if (!index) return CKR_SLOT_ID_INVALID;
  std::vector<CK_SESSION_HANDLE> closing;
  for (const auto& [handle, session] : sessions_) {
    if (session.slot == *index) closing.push_back(handle);
  }
  for (const CK_SESSION_HANDLE handle : closing) forget_session(handle);
  return CKR_OK;
}

CK_RV MockModule::C_GetSessionInfo(CK_SESSION_HANDLE handle, CK_SESSION_INFO* info) {
  if (info == nullptr) return CKR_ARGUMENTS_BAD;
  const MockSession* found = session(handle);
  if (found == nullptr) return CKR_SESSION_HANDLE_INVALID;
  const bool writes = (found->flags & CKF_RW_SESSION) != 0;
  CK_STATE state = writes ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
  if (users_[found->slot] == CKU_USER) state = writes ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
  if (users_[found->slot] == CKU_SO) state = CKS_RW_SO_FUNCTIONS;
  *info = {slot_id(found->slot), state, found->flags, 0x1234};
  return CKR_OK;
}

CK_RV MockModule::C_Login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size) {
  const MockSession* found = session(handle);
  if (found == nullptr) return CKR_SESSION_HANDLE_INVALID;
  if (user != CKU_USER && user != CKU_SO && user != CKU_CONTEXT_SPECIFIC && user != rules_->user)
    return CKR_USER_TYPE_INVALID;
  CK_USER_TYPE& current = users_[found->slot];
  if (user != CKU_CONTEXT_SPECIFIC && current == user) return CKR_USER_ALREADY_LOGGED_IN;
  if (user != CKU_CONTEXT_SPECIFIC && current != kNobody) return CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
  const bool by_keypad = pin == nullptr && rules_->protected_path;
  if (!by_keypad && !equals(pin, size, user == CKU_SO ? kMockSoPin : kMockUserPin)) return CKR_PIN_INCORRECT;
  if (user == CKU_SO && count_sessions(found->slot, 0) != count_sessions(found->slot, CKF_RW_SESSION)) {
    return CKR_SESSION_READ_ONLY_EXISTS;
  }
  if (user != CKU_CONTEXT_SPECIFIC) current = user;
  return CKR_OK;
}

CK_RV MockModule::C_LoginUser(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_UTF8CHAR* pin, CK_ULONG size,
                              CK_UTF8CHAR*, CK_ULONG) {
  return C_Login(handle, user, pin, size);
}

CK_RV MockModule::C_Logout(CK_SESSION_HANDLE handle) {
  const MockSession* found = session(handle);
  if (found == nullptr) return CKR_SESSION_HANDLE_INVALID;
  if (users_[found->slot] == kNobody) return CKR_USER_NOT_LOGGED_IN;
  users_[found->slot] = kNobody;
  return CKR_OK;
}

CK_RV MockModule::C_GetFunctionStatus(CK_SESSION_HANDLE) { return CKR_FUNCTION_NOT_PARALLEL; }
CK_RV MockModule::C_CancelFunction(CK_SESSION_HANDLE) { return CKR_FUNCTION_NOT_PARALLEL; }

}  // namespace p11shim

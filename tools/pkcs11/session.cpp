#include "tools/pkcs11/session.h"

#include <algorithm>
#include <array>

#include "pkcs11/attributes.h"

namespace p11shim {

namespace {

// Every value but certificates fits, RSA numbers of 16384 bits included: a module that finds one attribute
// too long and another missing says only one of the two.
constexpr std::size_t kGuess = 2304;
constexpr CK_ULONG kFindBatch = 512;

CK_ULONG first_size(CK_ATTRIBUTE_TYPE type) {
  switch (attribute_kind(type)) {
    case AttributeKind::boolean: return sizeof(CK_BBOOL);
    case AttributeKind::ulong: return sizeof(CK_ULONG);
    default: return kGuess;
  }
}

bool is_per_attribute(CK_RV rv) {
  return rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL;
}

}  // namespace

Session::Session(Module& module, CK_SLOT_ID slot, Access access) : module_(module), slot_(slot) {
  const CK_FLAGS flags = CKF_SERIAL_SESSION | (access == Access::kReadWrite ? CKF_RW_SESSION : 0);
  check("C_OpenSession", module_->C_OpenSession(slot, flags, nullptr, nullptr, &handle_));
}

Session::~Session() { module_->C_CloseSession(handle_); }

void Session::login(CK_USER_TYPE user, std::string_view pin) {
  auto* bytes = reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(pin.data()));
  check("C_Login", module_->C_Login(handle_, user, bytes, pin.size()));
}

void Session::logout() { check("C_Logout", module_->C_Logout(handle_)); }

std::vector<CK_OBJECT_HANDLE> Session::find(Template search, const std::function<void(std::size_t)>& found) const {
  auto view = search.view();
  check("C_FindObjectsInit", module_->C_FindObjectsInit(handle_, view.data(), view.size()));
  std::vector<CK_OBJECT_HANDLE> objects;
  for (CK_ULONG count = 1; count > 0;) {
    std::array<CK_OBJECT_HANDLE, kFindBatch> batch;
    count = 0;
    const CK_RV rv = module_->C_FindObjects(handle_, batch.data(), kFindBatch, &count);
    if (rv != CKR_OK) module_->C_FindObjectsFinal(handle_);
    check("C_FindObjects", rv);
    count = std::min(count, kFindBatch);
    objects.insert(objects.end(), batch.begin(), batch.begin() + count);
    if (found && count > 0) found(count);
  }
  check("C_FindObjectsFinal", module_->C_FindObjectsFinal(handle_));
  return objects;
}

ObjectAttributes Session::read(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types) const {
  std::vector<std::string> buffers;
  std::vector<CK_ATTRIBUTE> attributes;
  for (const auto type : types) buffers.emplace_back(first_size(type), '\0');
  for (std::size_t i = 0; i < types.size(); ++i) {
    attributes.push_back({types[i], buffers[i].data(), buffers[i].size()});
  }
  const CK_RV rv = module_->C_GetAttributeValue(handle_, object, attributes.data(), attributes.size());
  // A module may stumble over one of them (SoftHSM over a private object's dates) and then has none to give.
  if (rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED) return read_each(object, types);
  if (!is_per_attribute(rv)) check("C_GetAttributeValue", rv);
  ObjectAttributes read;
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (attributes[i].ulValueLen <= buffers[i].size()) {
      buffers[i].resize(attributes[i].ulValueLen);
      read.set(types[i], std::move(buffers[i]));
    } else if (rv == CKR_BUFFER_TOO_SMALL) {
      // Too long for the guess, or not to be had: the module tells when asked for it alone.
      std::string value;
      if (read_one(object, types[i], value) == CKR_OK) read.set(types[i], std::move(value));
    }
  }
  return read;
}

ObjectAttributes Session::read_each(CK_OBJECT_HANDLE object, std::span<const CK_ATTRIBUTE_TYPE> types) const {
  ObjectAttributes read;
  CK_RV last = CKR_OK;
  for (const auto type : types) {
    std::string value;
    const CK_RV rv = read_one(object, type, value);
    if (rv == CKR_OK) read.set(type, std::move(value));
    else last = rv;
  }
  if (read.all().empty()) check("C_GetAttributeValue", last);
  return read;
}

CK_RV Session::read_one(CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, std::string& value) const {
  CK_ATTRIBUTE attribute{type, nullptr, 0};
  CK_RV rv = module_->C_GetAttributeValue(handle_, object, &attribute, 1);
  if (rv != CKR_OK) return rv;
  if (attribute.ulValueLen == CK_UNAVAILABLE_INFORMATION) return CKR_ATTRIBUTE_TYPE_INVALID;
  value.assign(attribute.ulValueLen, '\0');
  attribute.pValue = value.data();
  if (value.empty()) return CKR_OK;
  rv = module_->C_GetAttributeValue(handle_, object, &attribute, 1);
  if (rv == CKR_OK) value.resize(std::min<std::size_t>(attribute.ulValueLen, value.size()));
  return rv;
}

CK_OBJECT_HANDLE Session::create(Template attributes) const {
  CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
  auto view = attributes.view();
  check("C_CreateObject", module_->C_CreateObject(handle_, view.data(), view.size(), &object));
  return object;
}

CK_OBJECT_HANDLE Session::copy(CK_OBJECT_HANDLE object, Template changes) const {
  CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
  auto view = changes.view();
  check("C_CopyObject", module_->C_CopyObject(handle_, object, view.data(), view.size(), &made));
  return made;
}

void Session::set(CK_OBJECT_HANDLE object, Template changes) const {
  auto view = changes.view();
  check("C_SetAttributeValue", module_->C_SetAttributeValue(handle_, object, view.data(), view.size()));
}

void Session::destroy(CK_OBJECT_HANDLE object) const {
  check("C_DestroyObject", module_->C_DestroyObject(handle_, object));
}

CK_OBJECT_HANDLE Session::generate(CK_MECHANISM mechanism, Template attributes) const {
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  auto view = attributes.view();
  check("C_GenerateKey", module_->C_GenerateKey(handle_, &mechanism, view.data(), view.size(), &key));
  return key;
}

Session::Pair Session::generate_pair(CK_MECHANISM mechanism, Template public_key, Template private_key) const {
  Pair pair{CK_INVALID_HANDLE, CK_INVALID_HANDLE};
  auto publics = public_key.view();
  auto privates = private_key.view();
  check("C_GenerateKeyPair",
        module_->C_GenerateKeyPair(handle_, &mechanism, publics.data(), publics.size(), privates.data(),
                                   privates.size(), &pair.public_key, &pair.private_key));
  return pair;
}

}  // namespace p11shim

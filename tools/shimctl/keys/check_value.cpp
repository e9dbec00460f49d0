#include "tools/shimctl/keys/check_value.h"

#include <array>

#include "tools/shimctl/keys/hex.h"

namespace p11shim {

namespace {

constexpr CK_ULONG kDesBlock = 8;
constexpr CK_ULONG kAesBlock = 16;

std::string first_bytes(const char* name, const std::array<CK_BYTE, 64>& result, std::size_t count) {
  return name + hex(std::string_view(reinterpret_cast<const char*>(result.data()), count));
}

}  // namespace

std::string check_value(const Session& session, CK_OBJECT_HANDLE key) {
  const auto attributes = session.read(key, std::array{CKA_KEY_TYPE, CKA_ENCRYPT, CKA_SIGN});
  const auto type = attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  const bool aes = type == CKK_AES;
  const bool des = type == CKK_DES3;
  const Module& module = session.module();
  std::array<CK_BYTE, kAesBlock> zeros{};
  std::array<CK_BYTE, 64> result{};
  CK_ULONG length = result.size();
  const CK_ULONG block = des ? kDesBlock : kAesBlock;
  if ((aes || des) && attributes.is(CKA_ENCRYPT)) {
    CK_MECHANISM mechanism{aes ? CKM_AES_ECB : CKM_DES3_ECB, nullptr, 0};
    check("C_EncryptInit", module->C_EncryptInit(session.handle(), &mechanism, key));
    check("C_Encrypt", module->C_Encrypt(session.handle(), zeros.data(), block, result.data(), &length));
    return first_bytes("ecb:", result, 3);
  }
  if (!attributes.is(CKA_SIGN)) return {};
  CK_MECHANISM mechanism{aes ? CKM_AES_CMAC : des ? CKM_DES3_CMAC : CKM_SHA256_HMAC, nullptr, 0};
  check("C_SignInit", module->C_SignInit(session.handle(), &mechanism, key));
  check("C_Sign", module->C_Sign(session.handle(), zeros.data(), block, result.data(), &length));
  return first_bytes(aes || des ? "cmac:" : "hmac:", result, 5);
}

}  // namespace p11shim

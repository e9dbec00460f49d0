#include "workload.h"

#include <algorithm>
#include <cstring>

#include "module.h"
#include "token.h"

namespace p11shim {
namespace {

constexpr CK_ULONG kDigestSize = 32;
constexpr std::size_t kLargest = 1 << 20;

}  // namespace

BenchKeys find_bench_keys(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session) {
  return {.rsa_private = find_object(module, session, CKO_PRIVATE_KEY, kRsaLabel),
          .rsa_public = find_object(module, session, CKO_PUBLIC_KEY, kRsaLabel),
          .ec_private = find_object(module, session, CKO_PRIVATE_KEY, kEcLabel),
          .ec_public = find_object(module, session, CKO_PUBLIC_KEY, kEcLabel),
          .aes = find_object(module, session, CKO_SECRET_KEY, kAesLabel)};
}

Caller::Caller(CK_FUNCTION_LIST& module, CK_SLOT_ID slot, const BenchKeys& keys)
    : module_(module),
      slot_(slot),
      keys_(keys),
      session_(open_bench_session(module, slot)),
      input_(kLargest, 0x5a),
      output_(kLargest + 64) {}

CK_RV Caller::session_info() {
  CK_SESSION_INFO info{};
  const CK_RV rv = module_.C_GetSessionInfo(session_, &info);
  output_size_ = sizeof info;
  std::memcpy(output_.data(), &info, sizeof info);
  return rv;
}

CK_RV Caller::random_32() {
  output_size_ = 32;
  return module_.C_GenerateRandom(session_, output_.data(), output_size_);
}

CK_RV Caller::sha256_1k() {
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  if (const CK_RV rv = module_.C_DigestInit(session_, &mechanism); rv != CKR_OK) return rv;
  output_size_ = output_.size();
  return module_.C_Digest(session_, input_.data(), 1 << 10, output_.data(), &output_size_);
}

CK_RV Caller::sign(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, CK_ULONG input_size) {
  CK_MECHANISM mechanism{type, nullptr, 0};
  if (const CK_RV rv = module_.C_SignInit(session_, &mechanism, key); rv != CKR_OK) return rv;
  output_size_ = output_.size();
  return module_.C_Sign(session_, input_.data(), input_size, output_.data(), &output_size_);
}

CK_RV Caller::ecdsa_p256() { return sign(CKM_ECDSA, keys_.ec_private, kDigestSize); }
CK_RV Caller::rsa_2048() { return sign(CKM_SHA256_RSA_PKCS, keys_.rsa_private, kDigestSize); }

// As most applications do it: begun, asked for its length, made.
CK_RV Caller::ecdsa_logical() {
  CK_MECHANISM mechanism{CKM_ECDSA, nullptr, 0};
  if (const CK_RV rv = module_.C_SignInit(session_, &mechanism, keys_.ec_private); rv != CKR_OK) return rv;
  if (const CK_RV rv = module_.C_Sign(session_, input_.data(), kDigestSize, nullptr, &output_size_); rv != CKR_OK)
    return rv;
  return module_.C_Sign(session_, input_.data(), kDigestSize, output_.data(), &output_size_);
}

CK_RV Caller::aes_cbc(CK_ULONG size) {
  std::array<CK_BYTE, 16> iv = kAesIv;
  return encrypt({CKM_AES_CBC, iv.data(), iv.size()}, size);
}

CK_RV Caller::aes_ecb(CK_ULONG size) { return encrypt({CKM_AES_ECB, nullptr, 0}, size); }

CK_RV Caller::encrypt(CK_MECHANISM mechanism, CK_ULONG size) {
  if (const CK_RV rv = module_.C_EncryptInit(session_, &mechanism, keys_.aes); rv != CKR_OK) return rv;
  output_size_ = output_.size();
  return module_.C_Encrypt(session_, input_.data(), size, output_.data(), &output_size_);
}

CK_RV Caller::find() {
  CK_OBJECT_CLASS type = CKO_PRIVATE_KEY;
  std::string label = kEcLabel;
  std::array<CK_ATTRIBUTE, 2> wanted{{{CKA_CLASS, &type, sizeof type}, {CKA_LABEL, label.data(), label.size()}}};
  CK_OBJECT_HANDLE object = 0;
  CK_ULONG count = 0;
  if (const CK_RV rv = module_.C_FindObjectsInit(session_, wanted.data(), wanted.size()); rv != CKR_OK) return rv;
  if (const CK_RV rv = module_.C_FindObjects(session_, &object, 1, &count); rv != CKR_OK) return rv;
  if (const CK_RV rv = module_.C_FindObjectsFinal(session_); rv != CKR_OK) return rv;
  return count == 1 && object == keys_.ec_private ? CKR_OK : CKR_GENERAL_ERROR;
}

CK_RV Caller::get_attributes() {
  std::array<CK_BYTE, 64> label{};
  CK_KEY_TYPE type = 0;
  std::array<CK_ATTRIBUTE, 3> wanted{{{CKA_MODULUS, output_.data(), output_.size()},
                                      {CKA_LABEL, label.data(), label.size()},
                                      {CKA_KEY_TYPE, &type, sizeof type}}};
  const CK_RV rv = module_.C_GetAttributeValue(session_, keys_.rsa_public, wanted.data(), wanted.size());
  output_size_ = wanted[0].ulValueLen;
  return rv == CKR_OK && type != CKK_RSA ? CKR_GENERAL_ERROR : rv;
}

// A key by its label, and what one wants to know of it: lengths first, then values.
CK_RV Caller::find_and_read() {
  if (const CK_RV rv = find(); rv != CKR_OK) return rv;
  std::array<CK_ATTRIBUTE, 5> wanted{{{CKA_CLASS, nullptr, 0},
                                      {CKA_KEY_TYPE, nullptr, 0},
                                      {CKA_ID, nullptr, 0},
                                      {CKA_LABEL, nullptr, 0},
                                      {CKA_SIGN, nullptr, 0}}};
  if (const CK_RV rv = module_.C_GetAttributeValue(session_, keys_.ec_private, wanted.data(), wanted.size());
      rv != CKR_OK)
    return rv;
  CK_BYTE* place = output_.data();
  for (CK_ATTRIBUTE& attribute : wanted) {
    attribute.pValue = place;
    place += (attribute.ulValueLen + 7) & ~CK_ULONG{7};
  }
  output_size_ = static_cast<CK_ULONG>(place - output_.data());
  return module_.C_GetAttributeValue(session_, keys_.ec_private, wanted.data(), wanted.size());
}

CK_RV Caller::mechanism_info() {
  CK_MECHANISM_INFO info{};
  return module_.C_GetMechanismInfo(slot_, CKM_ECDSA, &info);
}

CK_RV Caller::token_info() {
  CK_TOKEN_INFO info{};
  const CK_RV rv = module_.C_GetTokenInfo(slot_, &info);
  return rv == CKR_OK && std::memcmp(info.label, kBenchLabel, sizeof kBenchLabel - 1) != 0 ? CKR_GENERAL_ERROR : rv;
}

// Asked for the number, then for the list.
CK_RV Caller::slot_list() {
  std::array<CK_SLOT_ID, 64> slots{};
  CK_ULONG count = 0;
  if (const CK_RV rv = module_.C_GetSlotList(CK_TRUE, nullptr, &count); rv != CKR_OK) return rv;
  count = slots.size();
  const CK_RV rv = module_.C_GetSlotList(CK_TRUE, slots.data(), &count);
  return rv == CKR_OK && std::count(slots.data(), slots.data() + count, slot_) != 1 ? CKR_GENERAL_ERROR : rv;
}

CK_RV Caller::open_close() {
  CK_SESSION_HANDLE session = 0;
  const CK_RV rv = module_.C_OpenSession(slot_, CKF_SERIAL_SESSION, nullptr, nullptr, &session);
  return rv == CKR_OK ? module_.C_CloseSession(session) : rv;
}

}  // namespace p11shim

#include "mechanism.h"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace p11shim::compare {
namespace {

CK_ULONG size_of(const Bytes& bytes) { return static_cast<CK_ULONG>(bytes.size()); }

}  // namespace

Mechanism::Mechanism(CK_MECHANISM_TYPE type, const Bytes& parameter) {
  parts_.push_back(parameter);
  mechanism_ = {type, parts_.back().data(), size_of(parameter)};
}

Mechanism Mechanism::raw(CK_MECHANISM_TYPE type, void* parameter, CK_ULONG length) {
  Mechanism made(type);
  made.mechanism_ = {type, parameter, length};
  return made;
}

template <class Parameter>
Mechanism Mechanism::with(CK_MECHANISM_TYPE type, const Parameter& parameter, std::list<Bytes> parts) {
  Mechanism made(type);
  made.parts_ = std::move(parts);
  Bytes& own = made.parts_.emplace_back(sizeof(Parameter));
  std::memcpy(own.data(), &parameter, sizeof(Parameter));
  made.mechanism_ = {type, own.data(), sizeof(Parameter)};
  return made;
}

Mechanism Mechanism::pss(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf,
                         CK_ULONG salt_length) {
  return with(type, CK_RSA_PKCS_PSS_PARAMS{hash, mgf, salt_length});
}

Mechanism Mechanism::oaep(CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf, const Bytes& label) {
  std::list<Bytes> parts{label};
  CK_RSA_PKCS_OAEP_PARAMS parameter{hash, mgf, CKZ_DATA_SPECIFIED, nullptr, size_of(label)};
  if (!label.empty()) parameter.pSourceData = parts.back().data();
  return with(CKM_RSA_PKCS_OAEP, parameter, std::move(parts));
}

Mechanism Mechanism::gcm(const Bytes& iv, const Bytes& aad, CK_ULONG tag_bits) {
  std::list<Bytes> parts{iv, aad};
  CK_GCM_PARAMS parameter{};
  parameter.pIv = parts.front().data();
  parameter.ulIvLen = size_of(iv);
  parameter.ulIvBits = size_of(iv) * 8;
  parameter.pAAD = aad.empty() ? nullptr : parts.back().data();
  parameter.ulAADLen = size_of(aad);
  parameter.ulTagBits = tag_bits;
  return with(CKM_AES_GCM, parameter, std::move(parts));
}

Mechanism Mechanism::ctr(const Bytes& counter_block, CK_ULONG counter_bits) {
  CK_AES_CTR_PARAMS parameter{};
  parameter.ulCounterBits = counter_bits;
  std::copy_n(counter_block.begin(), std::min(counter_block.size(), sizeof parameter.cb), parameter.cb);
  return with(CKM_AES_CTR, parameter);
}

Mechanism Mechanism::mac_length(CK_MECHANISM_TYPE type, CK_ULONG length) { return with(type, length); }

Mechanism Mechanism::ecdh(CK_MECHANISM_TYPE type, const Bytes& point, CK_EC_KDF_TYPE kdf, const Bytes& shared) {
  std::list<Bytes> parts{point, shared};
  CK_ECDH1_DERIVE_PARAMS parameter{};
  parameter.kdf = kdf;
  parameter.ulSharedDataLen = size_of(shared);
  parameter.pSharedData = shared.empty() ? nullptr : parts.back().data();
  parameter.ulPublicDataLen = size_of(point);
  parameter.pPublicData = parts.front().data();
  return with(type, parameter, std::move(parts));
}

Mechanism Mechanism::encrypt_data(CK_MECHANISM_TYPE type, const Bytes& data) {
  std::list<Bytes> parts{data};
  CK_KEY_DERIVATION_STRING_DATA parameter{parts.back().data(), size_of(data)};
  return with(type, parameter, std::move(parts));
}

Mechanism Mechanism::aes_cbc_encrypt_data(const Bytes& iv, const Bytes& data) {
  std::list<Bytes> parts{data};
  CK_AES_CBC_ENCRYPT_DATA_PARAMS parameter{};
  std::copy_n(iv.begin(), std::min(iv.size(), sizeof parameter.iv), parameter.iv);
  parameter.pData = parts.back().data();
  parameter.length = size_of(data);
  return with(CKM_AES_CBC_ENCRYPT_DATA, parameter, std::move(parts));
}

Mechanism Mechanism::des_cbc_encrypt_data(CK_MECHANISM_TYPE type, const Bytes& iv, const Bytes& data) {
  std::list<Bytes> parts{data};
  CK_DES_CBC_ENCRYPT_DATA_PARAMS parameter{};
  std::copy_n(iv.begin(), std::min(iv.size(), sizeof parameter.iv), parameter.iv);
  parameter.pData = parts.back().data();
  parameter.length = size_of(data);
  return with(type, parameter, std::move(parts));
}

Mechanism Mechanism::pbkd2(const Bytes& salt, CK_ULONG iterations, CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE prf,
                           const Bytes& password) {
  std::list<Bytes> parts{salt, password, Bytes(sizeof(CK_ULONG))};
  const CK_ULONG password_length = size_of(password);
  std::memcpy(parts.back().data(), &password_length, sizeof password_length);
  CK_PKCS5_PBKD2_PARAMS parameter{};
  parameter.saltSource = CKZ_SALT_SPECIFIED;
  parameter.pSaltSourceData = parts.front().data();
  parameter.ulSaltSourceDataLen = size_of(salt);
  parameter.iterations = iterations;
  parameter.prf = prf;
  parameter.pPassword = std::next(parts.begin())->data();
  parameter.ulPasswordLen = reinterpret_cast<CK_ULONG_PTR>(parts.back().data());
  return with(CKM_PKCS5_PBKD2, parameter, std::move(parts));
}

Mechanism Mechanism::hkdf(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, const Bytes& salt, const Bytes& info) {
  std::list<Bytes> parts{salt, info};
  CK_HKDF_PARAMS parameter{};
  parameter.bExtract = CK_TRUE;
  parameter.bExpand = CK_TRUE;
  parameter.prfHashMechanism = hash;
  parameter.ulSaltType = CKF_HKDF_SALT_DATA;
  parameter.pSalt = parts.front().data();
  parameter.ulSaltLen = size_of(salt);
  parameter.pInfo = parts.back().data();
  parameter.ulInfoLen = size_of(info);
  return with(type, parameter, std::move(parts));
}

Mechanism Mechanism::object_handle(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE object) { return with(type, object); }

bool Mechanism::randomised(Use use) const {
  switch (mechanism_.mechanism) {
    case CKM_RSA_PKCS: return use == Use::kEncrypt;
    case CKM_RSA_PKCS_OAEP:
    case CKM_RSA_PKCS_PSS:
    case CKM_SHA1_RSA_PKCS_PSS:
    case CKM_SHA224_RSA_PKCS_PSS:
    case CKM_SHA256_RSA_PKCS_PSS:
    case CKM_SHA384_RSA_PKCS_PSS:
    case CKM_SHA512_RSA_PKCS_PSS:
    case CKM_DSA:
    case CKM_DSA_SHA1:
    case CKM_DSA_SHA256:
    case CKM_ECDSA:
    case CKM_ECDSA_SHA1:
    case CKM_ECDSA_SHA224:
    case CKM_ECDSA_SHA256:
    case CKM_ECDSA_SHA384:
    case CKM_ECDSA_SHA512: return true;
    default: return false;
  }
}

}  // namespace p11shim::compare

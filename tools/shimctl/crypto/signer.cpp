#include "tools/shimctl/crypto/signer.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>

#include <algorithm>
#include <array>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

CK_BYTE* bytes(std::string_view text) { return reinterpret_cast<CK_BYTE*>(const_cast<char*>(text.data())); }

std::size_t order_size(std::string_view ec_params) {
  EC_GROUP* group = EC_GROUP_new_by_curve_name(curve_nid(ec_params));
  if (group == nullptr) return 0;
  const auto bits = static_cast<std::size_t>(EC_GROUP_order_bits(group));
  EC_GROUP_free(group);
  return (bits + 7) / 8;
}

std::string to_der(std::string_view raw) {
  const std::size_t half = raw.size() / 2;
  ECDSA_SIG* signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(bytes(raw), static_cast<int>(half), nullptr),
                 BN_bin2bn(bytes(raw) + half, static_cast<int>(half), nullptr));
  unsigned char* der = nullptr;
  const int length = i2d_ECDSA_SIG(signature, &der);
  std::string text(reinterpret_cast<char*>(der), length > 0 ? static_cast<std::size_t>(length) : 0);
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return text;
}

}  // namespace

Signer::Signer(const Session& session, CK_OBJECT_HANDLE key, const SignatureScheme& scheme, Purpose purpose,
               const std::function<void()>& after_init)
    : session_(session), key_(key), scheme_(scheme), purpose_(purpose), type_(CKK_VENDOR_DEFINED) {
  const auto attributes = session.read(key, std::array{CKA_KEY_TYPE, CKA_EC_PARAMS});
  type_ = attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  if (type_ == CKK_EC) order_size_ = order_size(attributes.text(CKA_EC_PARAMS));
  begin_by_type();
  if (after_init) after_init();
}

void Signer::begin_by_type() {
  switch (type_) {
    case CKK_RSA: return begin_rsa();
    case CKK_EC: return begin_ec();
    case CKK_EC_EDWARDS: return begin(CKM_EDDSA);
    case CKK_AES: streams_ = true; return begin(CKM_AES_CMAC);
    case CKK_DES3: streams_ = true; return begin(CKM_DES3_CMAC);
    case CKK_EC_MONTGOMERY:
      throw Failure(ExitCode::kUsage, "a Montgomery key agrees on keys; it does not sign", "shimctl derive");
    default: break;
  }
  if (scheme_.hash == nullptr) throw Failure(ExitCode::kUsage, "an HMAC needs a hash", "--hash sha256");
  streams_ = true;
  begin(scheme_.hash->hmac);
}

Signer::~Signer() = default;

void Signer::begin(CK_MECHANISM_TYPE type) {
  const bool signs = purpose_ == Purpose::kSign;
  require_mechanism(session_, type, signs ? CKF_SIGN : CKF_VERIFY, signs ? "sign this way" : "verify this way");
  CK_MECHANISM mechanism{type, nullptr, 0};
  if (type_ == CKK_RSA && scheme_.padding == SignatureScheme::Padding::kPss) {
    mechanism.pParameter = &pss_;
    mechanism.ulParameterLen = sizeof pss_;
  }
  const Module& module = session_.module();
  if (purpose_ == Purpose::kSign) {
    check("C_SignInit", module->C_SignInit(session_.handle(), &mechanism, key_));
  } else {
    check("C_VerifyInit", module->C_VerifyInit(session_.handle(), &mechanism, key_));
  }
}

void Signer::begin_rsa() {
  const bool pss = scheme_.padding == SignatureScheme::Padding::kPss;
  const CK_MECHANISM_TYPE bare = pss ? CKM_RSA_PKCS_PSS : CKM_RSA_PKCS;
  if (scheme_.hash == nullptr) {
    if (pss) throw Failure(ExitCode::kUsage, "PSS needs to know the hash", "--hash sha256");
    return begin(bare);
  }
  pss_ = pss_parameters(*scheme_.hash, scheme_.salt_length.value_or(scheme_.hash->size));
  if (!scheme_.hash_on_token && session_.module().has_mechanism(session_.slot(), bare)) {
    local_ = std::make_unique<LocalHash>(*scheme_.hash);
    return begin(bare);
  }
  streams_ = true;
  begin(pss ? scheme_.hash->rsa_pss : scheme_.hash->rsa_pkcs);
}

void Signer::begin_ec() {
  if (scheme_.hash == nullptr) return begin(CKM_ECDSA);
  if (!scheme_.hash_on_token && session_.module().has_mechanism(session_.slot(), CKM_ECDSA)) {
    local_ = std::make_unique<LocalHash>(*scheme_.hash);
    return begin(CKM_ECDSA);
  }
  streams_ = true;
  begin(scheme_.hash->ecdsa);
}

void Signer::update(std::string_view data) {
  if (local_) return local_->update(data);
  const Module& module = session_.module();
  if (streams_ && purpose_ == Purpose::kSign) {
    return check("C_SignUpdate", module->C_SignUpdate(session_.handle(), bytes(data), data.size()));
  }
  if (streams_) return check("C_VerifyUpdate", module->C_VerifyUpdate(session_.handle(), bytes(data), data.size()));
  if (collected_.size() + data.size() > kLargestWhole) {
    throw Failure(ExitCode::kUsage, "the input is too long to be signed in one piece, as this key does",
                  "sign its hash instead");
  }
  collected_ += data;
}

std::string Signer::whole() {
  if (!local_) return collected_;
  std::string digest = local_->finish();
  if (type_ == CKK_EC && order_size_ != 0) digest.resize(std::min(digest.size(), order_size_));
  if (type_ == CKK_RSA && scheme_.padding == SignatureScheme::Padding::kPkcs1) {
    return std::string(scheme_.hash->digest_info) + digest;
  }
  return digest;
}

std::string Signer::sign() {
  std::string signature(2048 + 64, '\0');  // RSA of 16384 bits
  CK_ULONG length = signature.size();
  const Module& module = session_.module();
  if (streams_) {
    check("C_SignFinal", module->C_SignFinal(session_.handle(), bytes(signature), &length));
  } else {
    const std::string data = whole();
    check("C_Sign", module->C_Sign(session_.handle(), bytes(data), data.size(), bytes(signature), &length));
  }
  signature.resize(std::min<std::size_t>(length, signature.size()));
  return type_ == CKK_EC && scheme_.der ? to_der(signature) : signature;
}

// Empty if it is no such signature.
std::string Signer::from_der(std::string_view text) const {
  const unsigned char* begin = bytes(text);
  ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(text.size()));
  if (signature == nullptr) return {};
  std::string raw(2 * order_size_, '\0');
  const int half = static_cast<int>(order_size_);
  const bool fits = BN_bn2binpad(ECDSA_SIG_get0_r(signature), bytes(raw), half) == half &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(signature), bytes(raw) + half, half) == half;
  ECDSA_SIG_free(signature);
  return fits ? raw : std::string();
}

bool Signer::verify(std::string_view given) {
  const std::string signature = type_ == CKK_EC && scheme_.der ? from_der(given) : std::string(given);
  const Module& module = session_.module();
  CK_RV rv;
  if (streams_) {
    rv = module->C_VerifyFinal(session_.handle(), bytes(signature), signature.size());
  } else {
    const std::string data = whole();
    rv = module->C_Verify(session_.handle(), bytes(data), data.size(), bytes(signature), signature.size());
  }
  if (rv == CKR_SIGNATURE_INVALID || rv == CKR_SIGNATURE_LEN_RANGE) return false;
  check(streams_ ? "C_VerifyFinal" : "C_Verify", rv);
  return true;
}

}  // namespace p11shim

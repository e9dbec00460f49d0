#include "tools/shimctl/bench/mechanism_parameters.h"

#include <algorithm>

#include "tools/shimctl/crypto/hash.h"

namespace p11shim {

namespace {

template <class Parameters>
void point_to(CK_MECHANISM& mechanism, Parameters& parameters) {
  mechanism.pParameter = &parameters;
  mechanism.ulParameterLen = sizeof parameters;
}

}  // namespace

MechanismParameters::MechanismParameters(CK_MECHANISM_TYPE type) {
  mechanism_.mechanism = type;
  switch (type) {
    case CKM_RSA_PKCS_PSS:
      pss_ = pss_parameters(parse_hash("sha256"), 32);
      point_to(mechanism_, pss_);
      break;
    case CKM_RSA_PKCS_OAEP:
      oaep_ = oaep_parameters(parse_hash("sha1"));  // which every token has
      point_to(mechanism_, oaep_);
      break;
    case CKM_AES_CBC_PAD: point_to(mechanism_, iv_); break;
    case CKM_AES_GCM:
      gcm_.pIv = iv_.data();
      gcm_.ulIvLen = 12;
      gcm_.ulIvBits = 96;
      gcm_.ulTagBits = 128;
      point_to(mechanism_, gcm_);
      break;
    case CKM_AES_CTR:
      ctr_.ulCounterBits = 32;
      point_to(mechanism_, ctr_);
      break;
    default: break;
  }
}

void MechanismParameters::next_iv() {
  for (std::size_t i = 8; i-- > 0;) {
    if (++iv_[i] != 0) break;
  }
  std::copy(iv_.begin(), iv_.begin() + 8, ctr_.cb);
}

void MechanismParameters::agree_with(std::string point) {
  point_ = std::move(point);
  ecdh_.kdf = CKD_NULL;
  ecdh_.pPublicData = reinterpret_cast<CK_BYTE*>(point_.data());
  ecdh_.ulPublicDataLen = point_.size();
  point_to(mechanism_, ecdh_);
}

}  // namespace p11shim

#include "tools/shimctl/crypto/cipher_mode.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "config/problem.h"
#include "tools/shimctl/crypto/hash.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

struct Mode {
  CK_KEY_TYPE key;
  std::string_view name;
  CK_MECHANISM_TYPE mechanism;
  std::size_t iv_size;
};
// The first of a key type is its default.
constexpr std::array<Mode, 8> kModes{{{CKK_AES, "gcm", CKM_AES_GCM, 12},
                                      {CKK_AES, "cbc", CKM_AES_CBC_PAD, 16},
                                      {CKK_AES, "cbc-nopad", CKM_AES_CBC, 16},
                                      {CKK_AES, "ctr", CKM_AES_CTR, 16},
                                      {CKK_DES3, "cbc", CKM_DES3_CBC_PAD, 8},
                                      {CKK_CHACHA20, "chacha20-poly1305", CKM_CHACHA20_POLY1305, 12},
                                      {CKK_RSA, "oaep", CKM_RSA_PKCS_OAEP, 0},
                                      {CKK_RSA, "pkcs1", CKM_RSA_PKCS, 0}}};

CK_BYTE* bytes(std::string& text) { return text.empty() ? nullptr : reinterpret_cast<CK_BYTE*>(text.data()); }

}  // namespace

CipherMode::CipherMode(CK_KEY_TYPE key, const std::string& mode, const std::string& hash, std::string aad)
    : aad_(std::move(aad)) {
  const auto* found = std::find_if(kModes.begin(), kModes.end(), [&](const Mode& known) {
    return known.key == key && (mode.empty() || known.name == mode);
  });
  if (found == kModes.end()) {
    std::string modes;
    for (const auto& known : kModes) {
      if (known.key == key) modes += (modes.empty() ? "" : ", ") + std::string(known.name);
    }
    throw Failure(ExitCode::kUsage,
                  "a key of type " + key_type_name(key) + " does not encrypt" +
                      (mode.empty() ? "" : " with the mode " + in_quotes(mode)),
                  modes.empty() ? "keys of type rsa, aes, des3 and chacha20 do" : "its modes are " + modes);
  }
  mechanism_.mechanism = found->mechanism;
  iv_size_ = found->iv_size;
  if (found->mechanism == CKM_RSA_PKCS_OAEP) {
    oaep_ = oaep_parameters(parse_hash(hash));
    mechanism_.pParameter = &oaep_;
    mechanism_.ulParameterLen = sizeof oaep_;
  }
}

CK_MECHANISM* CipherMode::with_iv(std::string iv) {
  const bool any_length = mechanism_.mechanism == CKM_AES_GCM && !iv.empty();
  if (iv.size() != iv_size_ && !any_length) {
    throw Failure(ExitCode::kUsage, "the IV must have " + std::to_string(iv_size_) + " bytes", "");
  }
  iv_ = std::move(iv);
  switch (mechanism_.mechanism) {
    case CKM_RSA_PKCS:
    case CKM_RSA_PKCS_OAEP: break;
    case CKM_AES_GCM:
      gcm_ = {bytes(iv_), iv_.size(), 8 * iv_.size(), bytes(aad_), aad_.size(), 128};
      mechanism_.pParameter = &gcm_;
      mechanism_.ulParameterLen = sizeof gcm_;
      break;
    case CKM_AES_CTR:
      ctr_.ulCounterBits = 128;
      std::copy(iv_.begin(), iv_.end(), ctr_.cb);
      mechanism_.pParameter = &ctr_;
      mechanism_.ulParameterLen = sizeof ctr_;
      break;
    case CKM_CHACHA20_POLY1305:
      chacha_ = {bytes(iv_), iv_.size(), bytes(aad_), aad_.size()};
      mechanism_.pParameter = &chacha_;
      mechanism_.ulParameterLen = sizeof chacha_;
      break;
    default: mechanism_.pParameter = bytes(iv_); mechanism_.ulParameterLen = iv_.size();
  }
  return &mechanism_;
}

}  // namespace p11shim

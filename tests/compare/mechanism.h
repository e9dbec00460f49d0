// Mechanisms with the memory that their parameters live in.
#pragma once

#include <list>
#include <string>

#include "bytes.h"

namespace p11shim::compare {

class Mechanism {
 public:
  Mechanism(CK_MECHANISM_TYPE type) { mechanism_.mechanism = type; }
  // A flat parameter: an IV, a CK_ULONG, bytes that the module must refuse.
  Mechanism(CK_MECHANISM_TYPE type, const Bytes& parameter);
  // A parameter pointer and length that need not fit together.
  static Mechanism raw(CK_MECHANISM_TYPE type, void* parameter, CK_ULONG length);

  static Mechanism pss(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf, CK_ULONG salt_length);
  static Mechanism oaep(CK_MECHANISM_TYPE hash, CK_RSA_PKCS_MGF_TYPE mgf, const Bytes& label = {});
  static Mechanism gcm(const Bytes& iv, const Bytes& aad = {}, CK_ULONG tag_bits = 128);
  static Mechanism ctr(const Bytes& counter_block, CK_ULONG counter_bits = 128);
  static Mechanism mac_length(CK_MECHANISM_TYPE type, CK_ULONG length);
  static Mechanism ecdh(CK_MECHANISM_TYPE type, const Bytes& point, CK_EC_KDF_TYPE kdf = CKD_NULL,
                        const Bytes& shared = {});
  // CKM_*_ECB_ENCRYPT_DATA.
  static Mechanism encrypt_data(CK_MECHANISM_TYPE type, const Bytes& data);
  static Mechanism aes_cbc_encrypt_data(const Bytes& iv, const Bytes& data);
  static Mechanism des_cbc_encrypt_data(CK_MECHANISM_TYPE type, const Bytes& iv, const Bytes& data);
  static Mechanism pbkd2(const Bytes& salt, CK_ULONG iterations, CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE prf,
                         const Bytes& password);
  static Mechanism hkdf(CK_MECHANISM_TYPE type, CK_MECHANISM_TYPE hash, const Bytes& salt, const Bytes& info);
  static Mechanism object_handle(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE object);

  CK_MECHANISM_TYPE type() const { return mechanism_.mechanism; }
  CK_MECHANISM* get() { return &mechanism_; }
  // Whether the module may answer differently each time: nonces, salts and, when it encrypts, random padding.
  enum class Use { kEncrypt, kOther };
  bool randomised(Use use) const;

 private:
  template <class Parameter>
  static Mechanism with(CK_MECHANISM_TYPE type, const Parameter& parameter, std::list<Bytes> parts = {});

  CK_MECHANISM mechanism_{};
  std::list<Bytes> parts_;  // what the parameter points to, then the parameter itself: moving a list moves no byte
};

}  // namespace p11shim::compare

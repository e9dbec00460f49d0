#include "result_check.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "module.h"
#include "token.h"

namespace p11shim {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Deleter<EVP_PKEY_CTX_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;
using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Deleter<EVP_CIPHER_CTX_free>>;
using Number = std::unique_ptr<BIGNUM, Deleter<BN_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Deleter<ECDSA_SIG_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Deleter<OSSL_PARAM_BLD_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Deleter<OSSL_PARAM_free>>;
using Bytes = std::vector<CK_BYTE>;

struct PublicKeys {
  Key rsa;
  Key ec;
};

Bytes read_attribute(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                     CK_ATTRIBUTE_TYPE type) {
  CK_ATTRIBUTE attribute{type, nullptr, 0};
  require("C_GetAttributeValue", module.C_GetAttributeValue(session, object, &attribute, 1));
  Bytes value(attribute.ulValueLen);
  attribute.pValue = value.data();
  require("C_GetAttributeValue", module.C_GetAttributeValue(session, object, &attribute, 1));
  value.resize(attribute.ulValueLen);
  return value;
}

Key import_key(const char* type, OSSL_PARAM_BLD* builder) {
  const Parameters parameters(OSSL_PARAM_BLD_to_param(builder));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    throw std::runtime_error(std::string("OpenSSL refuses the public ") + type + " key");
  }
  return Key(key);
}

PublicKeys read_public_keys(CK_FUNCTION_LIST& module, CK_SESSION_HANDLE session, const BenchKeys& keys) {
  const Bytes modulus = read_attribute(module, session, keys.rsa_public, CKA_MODULUS);
  const Number n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
  const Number e(BN_new());
  BN_set_word(e.get(), 65537);
  const ParameterBuilder rsa(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(rsa.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(rsa.get(), OSSL_PKEY_PARAM_RSA_E, e.get());

  const Bytes point = read_attribute(module, session, keys.ec_public, CKA_EC_POINT);
  const ParameterBuilder ec(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(ec.get(), OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0);
  constexpr std::size_t kOctetStringHeader = 2;
  OSSL_PARAM_BLD_push_octet_string(ec.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data() + kOctetStringHeader,
                                   point.size() - kOctetStringHeader);
  return {import_key("RSA", rsa.get()), import_key("EC", ec.get())};
}

bool rsa_verifies(EVP_PKEY* key, std::span<const CK_BYTE> data, std::span<const CK_BYTE> signature) {
  const DigestContext context(EVP_MD_CTX_new());
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), signature.data(), signature.size(), data.data(), data.size()) == 1;
}

bool ecdsa_verifies(EVP_PKEY* key, std::span<const CK_BYTE> data, std::span<const CK_BYTE> signature) {
  const int half = static_cast<int>(signature.size() / 2);
  const Signature pair(ECDSA_SIG_new());
  ECDSA_SIG_set0(pair.get(), BN_bin2bn(signature.data(), half, nullptr),
                 BN_bin2bn(signature.data() + half, half, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(pair.get(), &der);
  const KeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  const bool valid = size > 0 && EVP_PKEY_verify_init(context.get()) == 1 &&
                     EVP_PKEY_verify(context.get(), der, static_cast<std::size_t>(size), data.data(), data.size()) == 1;
  OPENSSL_free(der);
  return valid;
}

bool is_digest(std::span<const CK_BYTE> data, std::span<const CK_BYTE> digest) {
  Bytes expected(EVP_MAX_MD_SIZE);
  std::size_t size = 0;
  return EVP_Q_digest(nullptr, "SHA256", nullptr, data.data(), data.size(), expected.data(), &size) == 1 &&
         std::equal(digest.begin(), digest.end(), expected.begin(), expected.begin() + static_cast<long>(size));
}

bool is_ciphertext(const EVP_CIPHER* cipher, std::span<const CK_BYTE> data, std::span<const CK_BYTE> ciphertext) {
  Bytes expected(data.size());
  int size = 0;
  const CipherContext context(EVP_CIPHER_CTX_new());
  return EVP_EncryptInit_ex(context.get(), cipher, nullptr, kAesValue.data(), kAesIv.data()) == 1 &&
         EVP_CIPHER_CTX_set_padding(context.get(), 0) == 1 &&
         EVP_EncryptUpdate(context.get(), expected.data(), &size, data.data(), static_cast<int>(data.size())) == 1 &&
         std::equal(ciphertext.begin(), ciphertext.end(), expected.begin(), expected.end());
}

bool is_session_info(std::span<const CK_BYTE> output, CK_SLOT_ID slot) {
  CK_SESSION_INFO info{};
  std::memcpy(&info, output.data(), sizeof info);
  return info.slotID == slot && info.state == CKS_RO_USER_FUNCTIONS && info.flags == CKF_SERIAL_SESSION;
}

// The result of the workload that was just run.
bool is_right(std::string_view workload, Caller& caller, const PublicKeys& keys, CK_SLOT_ID slot) {
  const auto output = caller.output();
  const auto input = [&](std::size_t size) { return caller.input().first(size); };
  if (workload == "session-info") return is_session_info(output, slot);
  if (workload == "random-32") return std::any_of(output.begin(), output.end(), [](CK_BYTE b) { return b != 0; });
  if (workload == "sha256-1k") return is_digest(input(1 << 10), output);
  if (workload == "ecdsa-p256" || workload == "ecdsa-logical") return ecdsa_verifies(keys.ec.get(), input(32), output);
  if (workload == "rsa-2048") return rsa_verifies(keys.rsa.get(), input(32), output);
  if (workload.starts_with("aes-cbc")) return is_ciphertext(EVP_aes_128_cbc(), input(output.size()), output);
  if (workload.starts_with("aes-ecb")) return is_ciphertext(EVP_aes_128_ecb(), input(output.size()), output);
  if (workload == "get-attributes") return output.size() == 256;
  return true;  // the others look at their results themselves
}

}  // namespace

std::vector<std::string_view> check_results(CK_FUNCTION_LIST& module, CK_SLOT_ID slot) {
  std::vector<std::string_view> refused;
  const CK_SESSION_HANDLE session = open_bench_session(module, slot);
  const BenchKeys keys = find_bench_keys(module, session);
  const PublicKeys public_keys = read_public_keys(module, session, keys);
  Caller caller(module, slot, keys);
  for (const Workload& workload : kWorkloads) {
    for (std::size_t i = 0; i < caller.input().size(); ++i) caller.input()[i] = static_cast<CK_BYTE>(i * 31 + 7);
    const CK_RV rv = (caller.*workload.run)();
    if (rv == CKR_MECHANISM_INVALID) {
      refused.push_back(workload.name);
      continue;
    }
    require(std::string(workload.name).c_str(), rv);
    if (!is_right(workload.name, caller, public_keys, slot)) {
      throw std::runtime_error(std::string(workload.name) + " gave a wrong result");
    }
  }
  require("C_CloseSession", module.C_CloseSession(session));
  return refused;
}

}  // namespace p11shim

#include "load.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "compare/backend.h"
#include "proxyd/objects/public_key.h"
#include "wire/buffer.h"
#include "wire/out.h"

namespace p11shim {

namespace {

using Bytes = std::span<const std::uint8_t>;
using Verifies = std::function<bool(Bytes message, Bytes signature)>;

// Those of the public key of this label, each no longer than 512 bytes.
std::vector<std::vector<CK_BYTE>> attributes_of(TestApplication& application, CK_SESSION_HANDLE session,
                                                const std::string& label,
                                                std::initializer_list<CK_ATTRIBUTE_TYPE> types) {
  const CK_OBJECT_HANDLE key = application.one(session, CKO_PUBLIC_KEY, label);
  std::vector<std::vector<CK_BYTE>> values;
  for (const CK_ATTRIBUTE_TYPE type : types) {
    std::vector<CK_BYTE> value(512);
    CK_ATTRIBUTE attribute{type, value.data(), value.size()};
    if (application->C_GetAttributeValue(session, key, &attribute, 1) != CKR_OK)
      throw std::runtime_error("no public key");
    value.resize(attribute.ulValueLen);
    values.push_back(std::move(value));
  }
  return values;
}

Verifies ec_verifier(const std::vector<CK_BYTE>& curve, const std::vector<CK_BYTE>& point) {
  Buffer content;
  Out out(content);
  out.uint(CKA_EC_PARAMS);
  out.bin(curve.data(), curve.size());
  out.uint(CKA_EC_POINT);
  out.bin(point.data(), point.size());
  const auto key = PublicKey::read(content.bytes());
  if (!key) throw std::runtime_error("no public key that can be read");
  return [key = *key](Bytes message, Bytes signature) { return key.verifies(message, signature); };
}

Verifies rsa_verifier(const std::vector<CK_BYTE>& modulus, const std::vector<CK_BYTE>& exponent) {
  const std::shared_ptr<BIGNUM> n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr), BN_free);
  const std::shared_ptr<BIGNUM> e(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr), BN_free);
  const std::shared_ptr<OSSL_PARAM_BLD> parts(OSSL_PARAM_BLD_new(), OSSL_PARAM_BLD_free);
  OSSL_PARAM_BLD_push_BN(parts.get(), "n", n.get());
  OSSL_PARAM_BLD_push_BN(parts.get(), "e", e.get());
  const std::shared_ptr<OSSL_PARAM> all(OSSL_PARAM_BLD_to_param(parts.get()), OSSL_PARAM_free);
  const std::shared_ptr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr), EVP_PKEY_CTX_free);
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, all.get()) != 1)
    throw std::runtime_error("no public key that can be read");
  return [key = std::shared_ptr<EVP_PKEY>(made, EVP_PKEY_free)](Bytes message, Bytes signature) {
    const std::shared_ptr<EVP_MD_CTX> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    return EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
           EVP_DigestVerify(digest.get(), signature.data(), signature.size(), message.data(), message.size()) == 1;
  };
}

}  // namespace

Load::Load(TestApplication& application, std::size_t threads, unsigned verify_each, Key key)
    : application_(application), verify_each_(verify_each), kind_(key) {
  const auto session = application_.open();
  if (application_.log_in(session, compare::kUserPin) != CKR_OK) throw std::runtime_error("no login");
  const std::string label = key == Key::ec ? "ec" : "rsa";
  key_ = application_.one(session, CKO_PRIVATE_KEY, label);
  if (key == Key::ec) {
    const auto parts = attributes_of(application_, session, label, {CKA_EC_PARAMS, CKA_EC_POINT});
    verifies_ = ec_verifier(parts[0], parts[1]);
  } else {
    const auto parts = attributes_of(application_, session, label, {CKA_MODULUS, CKA_PUBLIC_EXPONENT});
    verifies_ = rsa_verifier(parts[0], parts[1]);
  }
  for (std::size_t i = 0; i < threads; ++i)
    threads_.emplace_back([this, of_thread = application_.open()] { run(of_thread); });
}

void Load::run(CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{kind_ == Key::ec ? CKM_ECDSA : CKM_SHA256_RSA_PKCS, nullptr, 0};
  CK_BYTE digest[32] = {};
  for (unsigned i = 0; !stop_; ++i) {
    std::memcpy(digest, &i, sizeof i);
    CK_BYTE signature[256];
    CK_ULONG size = sizeof signature;
    const auto begin = Clock::now();
    CK_RV rv = application_->C_SignInit(session, &mechanism, key_);
    if (rv == CKR_OK) rv = application_->C_Sign(session, digest, sizeof digest, signature, &size);
    const double ms = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
    const bool verify = rv == CKR_OK && verify_each_ != 0 && i % verify_each_ == 0;
    const bool wrong = verify && !verifies_(digest, {signature, size});
    ++done_;
    const std::lock_guard lock(mutex_);
    result_.wrong += wrong;
    if (rv == CKR_OK) {
      ++result_.good;
      result_.ms.push_back(ms);
      continue;
    }
    result_.last_error = rv;
    if (result_.failed++ == 0) result_.first_error = rv;
  }
}

Load::Result Load::take() {
  const std::lock_guard lock(mutex_);
  Result taken = std::exchange(result_, {});
  const auto now = Clock::now();
  taken.seconds = std::chrono::duration<double>(now - since_).count();
  since_ = now;
  std::ranges::sort(taken.ms);
  return taken;
}

Load::Result Load::measure(std::chrono::milliseconds duration) {
  take();
  std::this_thread::sleep_for(duration);
  return take();
}

void Load::stop() {
  stop_ = true;
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace p11shim

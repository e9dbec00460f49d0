#include "tools/shimctl/bench/crypto_operations.h"

#include <openssl/evp.h>

#include <array>
#include <cstring>
#include <utility>

#include "tools/shimctl/bench/mechanism_parameters.h"
#include "tools/shimctl/bench/result_check.h"
#include "tools/shimctl/crypto/hash.h"

namespace p11shim {

namespace {

constexpr std::size_t kHash = 32;
constexpr std::size_t kLargestResult = 2048;  // of what is not as long as its input: RSA of 16384 bits

CK_BYTE* bytes(std::string& text) { return reinterpret_cast<CK_BYTE*>(text.data()); }
CK_BYTE* bytes(const std::string& text) { return reinterpret_cast<CK_BYTE*>(const_cast<char*>(text.data())); }

// Bytes that no two operations share: what answered the former one cannot answer this.
class Input {
 public:
  Input(const BenchTest& test, std::size_t size) {
    if (test.mechanism == CKM_RSA_PKCS) text_ = parse_hash("sha256").digest_info;
    changing_ = text_.size();
    text_.append(test.sized ? size : kHash, '\x5a');
  }
  void next() {
    ++count_;
    std::memcpy(text_.data() + changing_, &count_, std::min(sizeof count_, text_.size() - changing_));
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::size_t changing_ = 0;
  std::uint64_t count_ = 0;
};

class CryptoOperation : public Operation {
 public:
  // A failed call should have ended what was begun. Where it did not, another one does; where nothing does, a session
  // of its own takes the place of the one that is stuck (which others may use for other things).
  void recover() override {
    const CK_RV rv = end_begun();
    const bool over = rv == CKR_OK || rv == CKR_OPERATION_NOT_INITIALIZED || rv == CKR_SIGNATURE_INVALID ||
                      rv == CKR_SIGNATURE_LEN_RANGE;
    if (over) return;
    try {
      own_ = std::make_unique<Session>(module_, slot_, Session::Access::kReadWrite);
      session_ = own_->handle();
    } catch (const CallError&) {  // the next operation tells
    }
  }

 protected:
  enum class Begun { kNothing, kSign, kVerify, kEncrypt, kDecrypt, kDigest };

  explicit CryptoOperation(const OperationPlace& place)
      : module_(place.session.module()),
        slot_(place.session.slot()),
        session_(place.session.handle()),
        key_(place.key.key()),
        public_(place.key.public_key()),
        input_(place.test, place.data_size),
        parameters_(place.test.mechanism) {}

  CK_RV end_begun() {
    length_ = result_.size();
    CK_BYTE* const input = bytes(input_.text());
    const CK_ULONG size = input_.text().size();
    switch (std::exchange(begun_, Begun::kNothing)) {
      case Begun::kNothing: return CKR_OK;
      case Begun::kSign: return module_->C_Sign(session_, input, size, bytes(result_), &length_);
      case Begun::kVerify: return module_->C_Verify(session_, input, size, bytes(result_), kHash);
      case Begun::kEncrypt: return module_->C_Encrypt(session_, input, size, bytes(result_), &length_);
      case Begun::kDecrypt: return module_->C_Decrypt(session_, input, size, bytes(result_), &length_);
      case Begun::kDigest: return module_->C_Digest(session_, input, size, bytes(result_), &length_);
    }
    return CKR_OK;
  }

  std::string_view result() const { return std::string_view(result_).substr(0, length_); }
  void make_room(std::size_t size) { result_.resize(size); }

  CK_RV sign() {
    begun_ = Begun::kSign;
    const CK_RV rv = module_->C_SignInit(session_, parameters_.get(), key_);
    if (rv != CKR_OK) return rv;
    length_ = result_.size();
    return module_->C_Sign(session_, bytes(input_.text()), input_.text().size(), bytes(result_), &length_);
  }
  CK_RV verify(CK_OBJECT_HANDLE key, const std::string& signature) {
    begun_ = Begun::kVerify;
    const CK_RV rv = module_->C_VerifyInit(session_, parameters_.get(), key);
    if (rv != CKR_OK) return rv;
    return module_->C_Verify(session_, bytes(input_.text()), input_.text().size(), bytes(signature), signature.size());
  }
  CK_RV encrypt(CK_OBJECT_HANDLE key, const std::string& plaintext, std::string& into) {
    begun_ = Begun::kEncrypt;
    const CK_RV rv = module_->C_EncryptInit(session_, parameters_.get(), key);
    if (rv != CKR_OK) return rv;
    length_ = into.size();
    return module_->C_Encrypt(session_, bytes(plaintext), plaintext.size(), bytes(into), &length_);
  }
  CK_RV decrypt(const std::string& ciphertext, std::string& into) {
    begun_ = Begun::kDecrypt;
    const CK_RV rv = module_->C_DecryptInit(session_, parameters_.get(), key_);
    if (rv != CKR_OK) return rv;
    length_ = into.size();
    return module_->C_Decrypt(session_, bytes(ciphertext), ciphertext.size(), bytes(into), &length_);
  }
  CK_OBJECT_HANDLE encrypting() const { return public_ != CK_INVALID_HANDLE ? public_ : key_; }

  Module& module_;
  const CK_SLOT_ID slot_;
  std::unique_ptr<Session> own_;  // instead of the thread's
  CK_SESSION_HANDLE session_;
  const CK_OBJECT_HANDLE key_;
  const CK_OBJECT_HANDLE public_;
  Input input_;
  MechanismParameters parameters_;
  std::string result_;
  CK_ULONG length_ = 0;
  Begun begun_ = Begun::kNothing;  // last
};

class SignOperation : public CryptoOperation {
 public:
  explicit SignOperation(const OperationPlace& place) : CryptoOperation(place), mechanism_(place.test.mechanism) {
    make_room(kLargestResult);
    if (place.test.group == "sign") half_ = public_key_of(place.session, key_);
    secret_ = place.test.group == "mac";
  }

  CK_RV run() override {
    input_.next();
    return sign();
  }
  std::string check() override {
    if (secret_) {
      const std::string code(result());
      if (verify(key_, code) == CKR_OK) return "";
      recover();
      return "the token does not accept its own code";
    }
    if (!half_) return result().empty() ? "an empty signature" : "";
    return signature_is_right(half_.get(), mechanism_, input_.text(), result()) ? "" : "a wrong signature";
  }

 private:
  CK_MECHANISM_TYPE mechanism_;
  PublicKey half_;
  bool secret_ = false;
};

class VerifyOperation : public CryptoOperation {
 public:
  explicit VerifyOperation(const OperationPlace& place) : CryptoOperation(place) {
    make_room(kLargestResult);
    p11shim::check("C_Sign", sign());
    signature_ = std::string(result());
    forged_ = signature_;
    forged_[forged_.size() / 2] = static_cast<char>(forged_[forged_.size() / 2] ^ 1);
  }

  CK_RV run() override { return verify(public_, signature_); }
  std::string check() override {
    const CK_RV rv = verify(public_, forged_);
    if (rv != CKR_SIGNATURE_INVALID) recover();
    return rv == CKR_OK ? "a forged signature was accepted" : "";
  }

 private:
  std::string signature_;
  std::string forged_;
};

class EncryptOperation : public CryptoOperation {
 public:
  explicit EncryptOperation(const OperationPlace& place) : CryptoOperation(place) {
    make_room(input_.text().size() + kLargestResult);
    plaintext_.resize(result_.size());
  }

  CK_RV run() override {
    input_.next();
    parameters_.next_iv();
    return encrypt(encrypting(), input_.text(), result_);
  }
  std::string check() override {
    const std::string ciphertext(result());
    const bool same =
        decrypt(ciphertext, plaintext_) == CKR_OK && std::string_view(plaintext_).substr(0, length_) == input_.text();
    if (same) return "";
    recover();
    return "a ciphertext that does not decrypt to the plaintext";
  }

 private:
  std::string plaintext_;
};

class DecryptOperation : public CryptoOperation {
 public:
  explicit DecryptOperation(const OperationPlace& place) : CryptoOperation(place) {
    make_room(input_.text().size() + kLargestResult);
    p11shim::check("C_Encrypt", encrypt(encrypting(), input_.text(), result_));
    ciphertext_ = std::string(result());
  }

  CK_RV run() override { return decrypt(ciphertext_, result_); }
  std::string check() override { return result() == input_.text() ? "" : "a wrong plaintext"; }

 private:
  std::string ciphertext_;
};

class DigestOperation : public CryptoOperation {
 public:
  explicit DigestOperation(const OperationPlace& place) : CryptoOperation(place) {
    make_room(EVP_MAX_MD_SIZE);
    switch (place.test.mechanism) {
      case CKM_SHA384: hash_ = &parse_hash("sha384"); break;
      case CKM_SHA512: hash_ = &parse_hash("sha512"); break;
      case CKM_SHA3_256: hash_ = &parse_hash("sha3-256"); break;
      default: hash_ = &parse_hash("sha256");
    }
  }

  CK_RV run() override {
    input_.next();
    begun_ = Begun::kDigest;
    const CK_RV rv = module_->C_DigestInit(session_, parameters_.get());
    if (rv != CKR_OK) return rv;
    length_ = result_.size();
    return module_->C_Digest(session_, bytes(input_.text()), input_.text().size(), bytes(result_), &length_);
  }
  std::string check() override {
    LocalHash local(*hash_);
    local.update(input_.text());
    return result() == local.finish() ? "" : "a wrong hash";
  }

 private:
  const Hash* hash_;
};

}  // namespace

std::unique_ptr<Operation> make_sign_operation(const OperationPlace& place) {
  return std::make_unique<SignOperation>(place);
}
std::unique_ptr<Operation> make_verify_operation(const OperationPlace& place) {
  return std::make_unique<VerifyOperation>(place);
}
std::unique_ptr<Operation> make_encrypt_operation(const OperationPlace& place) {
  return std::make_unique<EncryptOperation>(place);
}
std::unique_ptr<Operation> make_decrypt_operation(const OperationPlace& place) {
  return std::make_unique<DecryptOperation>(place);
}
std::unique_ptr<Operation> make_digest_operation(const OperationPlace& place) {
  return std::make_unique<DigestOperation>(place);
}

}  // namespace p11shim

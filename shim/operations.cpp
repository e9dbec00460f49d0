#include "shim/operations.h"

#include <algorithm>
#include <utility>

namespace p11shim {
namespace {

constexpr std::size_t kMost = 4096;  // entries; whoever uses more begins anew

// The parameter is an IV and nothing else.
bool takes_iv_alone(CK_MECHANISM_TYPE type) {
  switch (type) {
    case CKM_AES_CBC:
    case CKM_AES_CBC_PAD:
    case CKM_AES_OFB:
    case CKM_AES_CFB8:
    case CKM_AES_CFB64:
    case CKM_AES_CFB128:
    case CKM_DES_CBC:
    case CKM_DES_CBC_PAD:
    case CKM_DES3_CBC:
    case CKM_DES3_CBC_PAD:
    case CKM_CAMELLIA_CBC:
    case CKM_CAMELLIA_CBC_PAD:
    case CKM_ARIA_CBC:
    case CKM_ARIA_CBC_PAD:
    case CKM_SEED_CBC:
    case CKM_SEED_CBC_PAD: return true;
    default: return false;
  }
}

// Nothing if it has another layout.
template <class Params>
const Params* parameter_as(const CK_MECHANISM& mechanism) {
  if (mechanism.pParameter == nullptr || mechanism.ulParameterLen != sizeof(Params)) return nullptr;
  return static_cast<const Params*>(mechanism.pParameter);
}

}  // namespace

bool WaitingInit::names_session_object() const {
  return std::any_of(objects.begin(), objects.end(), is_session_object);
}

void WaitingInit::swap(WaitingInit& other) noexcept {
  std::swap(call, other.call);
  std::swap(operation, other.operation);
  std::swap(mechanism, other.mechanism);
  objects.swap(other.objects);
  body.swap(other.body);
  std::swap(signature, other.signature);
  std::swap(generation, other.generation);
  std::swap(is_over, other.is_over);
  std::swap(ends, other.ends);
}

void WaitingInit::clear() {
  call = 0;
  mechanism = 0;
  signature = 0;
  generation = 0;
  is_over = ends = false;
  operation = Operation::none;
  objects.clear();
  body.clear();
}

bool defer(SessionOperations& operations, KnownInits& known, WaitingInit& init) {
  if (operations.waiting.call != 0 || (operations.active | operations.in_doubt) != Operation::none) return false;
  if (!known.contains(init.signature, init.generation)) return false;
  operations.lost = Operation::none;
  operations.waiting.swap(init);
  known.list(operations);
  return true;
}

bool take_waiting(SessionOperations& operations, KnownInits& known, Operation wanted, WaitingInit& init) {
  if (operations.waiting.call == 0 || (operations.waiting.operation & wanted) == Operation::none) return false;
  operations.waiting.swap(init);
  operations.waiting.clear();
  known.list(operations);
  return true;
}

void drop_waiting(SessionOperations& operations, KnownInits& known) {
  if (operations.waiting.call == 0) return;
  operations.waiting.clear();
  known.list(operations);
}

void drop_gathered(SessionOperations& operations, KnownInits& known) {
  if (operations.gathered.empty()) return;
  operations.gathered.clear();
  known.list(operations);
}

// It settles a doubt about this operation, and about no other: some modules have several at once.
void operation_began(SessionOperations& operations, Operation operation, CK_MECHANISM_TYPE mechanism,
                     std::uint64_t signature) {
  operations.began = operation;
  operations.mechanism = mechanism;
  operations.gathers = 0;
  operations.active = operations.active | operation;
  operations.in_doubt = operations.in_doubt & ~operation;
  operations.is_fresh = true;
  operations.signature = signature;
  operations.lost = Operation::none;
  operations.messages = 0;
}

void operation_went_on(SessionOperations& operations, Operation operation, Effect effect, CK_RV rv, bool is_query) {
  if (rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && is_query)) return;
  operations.is_fresh = false;
  if (effect == Effect::ends || rv != CKR_OK) operations.gathers = 0;
  if (effect == Effect::ends || rv != CKR_OK) operations.active = operations.active & ~operation;
  if (rv != CKR_OK && rv != CKR_SIGNATURE_INVALID) operations.in_doubt = operations.in_doubt | operation;
}

void message_is_over(SessionOperations& operations, KnownInits& known, WaitingInit& init) {
  operations.active = operations.active & ~init.operation;
  drop_waiting(operations, known);
  operations.waiting.swap(init);
  operations.waiting.is_over = true;
  known.list(operations);
}

bool end_messages(SessionOperations& operations, KnownInits& known, Operation operation) {
  if (operations.lost == operation && operations.lost_is_over) {
    operations.lost = Operation::none;
    return true;
  }
  if (operations.waiting.operation != operation || !operations.waiting.is_over) return false;
  drop_waiting(operations, known);
  return true;
}

bool hashes_all(CK_MECHANISM_TYPE mechanism) {
  switch (mechanism) {
    case CKM_MD5:
    case CKM_SHA_1:
    case CKM_SHA224:
    case CKM_SHA256:
    case CKM_SHA384:
    case CKM_SHA512:
    case CKM_SHA512_224:
    case CKM_SHA512_256:
    case CKM_SHA3_224:
    case CKM_SHA3_256:
    case CKM_SHA3_384:
    case CKM_SHA3_512:
    case CKM_MD5_HMAC:
    case CKM_SHA_1_HMAC:
    case CKM_SHA224_HMAC:
    case CKM_SHA256_HMAC:
    case CKM_SHA384_HMAC:
    case CKM_SHA512_HMAC:
    case CKM_AES_CMAC:
    case CKM_SHA1_RSA_PKCS:
    case CKM_SHA224_RSA_PKCS:
    case CKM_SHA256_RSA_PKCS:
    case CKM_SHA384_RSA_PKCS:
    case CKM_SHA512_RSA_PKCS:
    case CKM_SHA1_RSA_PKCS_PSS:
    case CKM_SHA224_RSA_PKCS_PSS:
    case CKM_SHA256_RSA_PKCS_PSS:
    case CKM_SHA384_RSA_PKCS_PSS:
    case CKM_SHA512_RSA_PKCS_PSS:
    case CKM_DSA_SHA1:
    case CKM_DSA_SHA224:
    case CKM_DSA_SHA256:
    case CKM_DSA_SHA384:
    case CKM_DSA_SHA512:
    case CKM_ECDSA_SHA1:
    case CKM_ECDSA_SHA224:
    case CKM_ECDSA_SHA256:
    case CKM_ECDSA_SHA384:
    case CKM_ECDSA_SHA512: return true;
    default: return false;
  }
}

void KnownInits::list(SessionOperations& operations) {
  if (operations.wait() == operations.is_listed) return;
  operations.is_listed = !operations.is_listed;
  SessionOperations*& to_it = operations.before != nullptr ? operations.before->behind : first_;
  if (!operations.is_listed) {
    to_it = operations.behind;
    if (operations.behind != nullptr) operations.behind->before = operations.before;
    operations.before = operations.behind = nullptr;
    return;
  }
  operations.behind = std::exchange(first_, &operations);
  if (operations.behind != nullptr) operations.behind->before = &operations;
}

CK_SESSION_HANDLE KnownInits::waiting(bool only_session_objects) const {
  for (const SessionOperations* each = first_; each != nullptr; each = each->behind)
    if (!only_session_objects || each->waiting.names_session_object()) return each->session;
  return CK_INVALID_HANDLE;
}

void KnownInits::add(std::uint64_t signature, std::uint64_t generation, bool names_session_object) {
  if (inits_.size() >= kMost) {
    inits_.clear();
    lengths_.clear();
  }
  Known& known = inits_[signature];
  known.generation = generation;
  known.names_session_object = names_session_object;
}

bool KnownInits::contains(std::uint64_t signature, std::uint64_t generation) const {
  const auto found = inits_.find(signature);
  return found != inits_.end() && found->second.generation == generation;
}

void KnownInits::note_one_message(std::uint64_t signature, bool was_one) {
  if (const auto found = inits_.find(signature); found != inits_.end()) found->second.is_one_message = was_one;
}

bool KnownInits::is_one_message(std::uint64_t signature) const {
  const auto found = inits_.find(signature);
  return found != inits_.end() && found->second.is_one_message;
}

void KnownInits::forget_session_objects() {
  ++session_objects_epoch_;
  if (std::erase_if(inits_, [](const auto& known) { return known.second.names_session_object; }) != 0)
    std::erase_if(lengths_, [this](const auto& known) { return !inits_.contains(known.second.init); });
}

void KnownInits::forget_all() {
  inits_.clear();
  lengths_.clear();
  ++epoch_;
}

void KnownInits::add_length(std::uint64_t query, std::uint64_t init, std::uint64_t generation, CK_ULONG length) {
  if (!inits_.contains(init)) return;
  if (lengths_.size() >= kMost) lengths_.clear();
  lengths_[query] = {init, generation, length};
}

std::optional<CK_ULONG> KnownInits::length(std::uint64_t query, std::uint64_t generation) const {
  const auto found = lengths_.find(query);
  if (found == lengths_.end() || found->second.generation != generation) return std::nullopt;
  return found->second.length;
}

Signature& Signature::add(const void* bytes, std::size_t size) {
  const auto* byte = static_cast<const std::uint8_t*>(bytes);
  for (const auto* const end = byte + size; byte != end; ++byte) hash_ = (hash_ ^ *byte) * 1099511628211ull;
  return *this;
}

bool stands_alone(Operation operation, CK_MECHANISM_TYPE mechanism, const void* parameter, CK_ULONG size) {
  if ((operation & (Operation::message_sign | Operation::message_verify)) != Operation::none)
    return parameter == nullptr && size == 0;
  if (parameter == nullptr) return false;
  switch (mechanism) {
    case CKM_AES_GCM:
      return size == sizeof(CK_GCM_MESSAGE_PARAMS) &&
             static_cast<const CK_GCM_MESSAGE_PARAMS*>(parameter)->ivGenerator == CKG_NO_GENERATE;
    case CKM_AES_CCM:
      return size == sizeof(CK_CCM_MESSAGE_PARAMS) &&
             static_cast<const CK_CCM_MESSAGE_PARAMS*>(parameter)->nonceGenerator == CKG_NO_GENERATE;
    case CKM_CHACHA20_POLY1305:
    case CKM_SALSA20_POLY1305: return size == sizeof(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS);
    default: return false;
  }
}

void sign_message_parameter(Signature& signature, CK_MECHANISM_TYPE mechanism, const void* parameter, CK_ULONG size) {
  signature.add(mechanism).add(parameter != nullptr).add(size);
  if (parameter == nullptr) return;
  if (mechanism == CKM_AES_GCM) {
    const auto& gcm = *static_cast<const CK_GCM_MESSAGE_PARAMS*>(parameter);
    signature.add(gcm.pIv != nullptr).add(gcm.ulIvLen).add(gcm.ulIvFixedBits);
    signature.add(gcm.pTag != nullptr).add(gcm.ulTagBits);
  } else if (mechanism == CKM_AES_CCM) {
    const auto& ccm = *static_cast<const CK_CCM_MESSAGE_PARAMS*>(parameter);
    signature.add(ccm.ulDataLen).add(ccm.pNonce != nullptr).add(ccm.ulNonceLen).add(ccm.ulNonceFixedBits);
    signature.add(ccm.pMAC != nullptr).add(ccm.ulMACLen);
  } else {
    const auto& poly = *static_cast<const CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS*>(parameter);
    signature.add(poly.pNonce != nullptr).add(poly.ulNonceLen).add(poly.pTag != nullptr);
  }
}

void sign_mechanism(Signature& signature, const CK_MECHANISM& mechanism, std::span<const std::uint8_t> encoded) {
  const bool given = mechanism.pParameter != nullptr;
  signature.add(mechanism.mechanism).add(given).add(mechanism.ulParameterLen);
  if (given && takes_iv_alone(mechanism.mechanism)) return;
  switch (mechanism.mechanism) {
    case CKM_AES_CTR:
      if (const auto* ctr = parameter_as<CK_AES_CTR_PARAMS>(mechanism)) {
        signature.add(ctr->ulCounterBits);
        return;
      }
      break;
    case CKM_AES_GCM:
      if (const auto* gcm = parameter_as<CK_GCM_PARAMS>(mechanism)) {
        signature.add_size(gcm->pIv, gcm->ulIvLen).add(gcm->ulIvBits);
        signature.add_size(gcm->pAAD, gcm->ulAADLen).add(gcm->ulTagBits);
        return;
      }
      if (const auto* gcm = parameter_as<CK_NSS_GCM_PARAMS>(mechanism)) {
        signature.add_size(gcm->pIv, gcm->ulIvLen).add_size(gcm->pAAD, gcm->ulAADLen).add(gcm->ulTagBits);
        return;
      }
      break;
    case CKM_AES_CCM:
      if (const auto* ccm = parameter_as<CK_CCM_PARAMS>(mechanism)) {
        signature.add(ccm->ulDataLen).add_size(ccm->pNonce, ccm->ulNonceLen);
        signature.add_size(ccm->pAAD, ccm->ulAADLen).add(ccm->ulMACLen);
        return;
      }
      break;
    case CKM_CHACHA20_POLY1305:
    case CKM_SALSA20_POLY1305:
      if (const auto* poly = parameter_as<CK_SALSA20_CHACHA20_POLY1305_PARAMS>(mechanism)) {
        signature.add_size(poly->pNonce, poly->ulNonceLen).add_size(poly->pAAD, poly->ulAADLen);
        return;
      }
      break;
    case CKM_NSS_CHACHA20_POLY1305:
      if (const auto* poly = parameter_as<CK_NSS_AEAD_PARAMS>(mechanism)) {
        signature.add_size(poly->pNonce, poly->ulNonceLen).add_size(poly->pAAD, poly->ulAADLen).add(poly->ulTagLen);
        return;
      }
      break;
    case CKM_RSA_PKCS_OAEP:
      if (const auto* oaep = parameter_as<CK_RSA_PKCS_OAEP_PARAMS>(mechanism)) {
        signature.add(oaep->hashAlg).add(oaep->mgf).add(oaep->source);
        signature.add_size(oaep->pSourceData, oaep->ulSourceDataLen);
        return;
      }
      break;
    default: break;
  }
  signature.add(encoded.data(), encoded.size());
}

}  // namespace p11shim

#include "proxyd/objects/key_check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

#include "proxyd/balance/faults.h"

namespace p11shim {
namespace {

constexpr std::size_t kLeastProof = 16;  // bytes

ByteString random_bytes(std::size_t size) {
  ByteString bytes(size);
  if (RAND_bytes(bytes.data(), static_cast<int>(size)) != 1) bytes.clear();
  return bytes;
}

ByteString hmac(std::span<const std::uint8_t> key, std::span<const std::uint8_t> input) {
  ByteString bytes(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), input.data(), input.size(), bytes.data(), &size);
  bytes.resize(size);
  return bytes;
}

// The same for every member and after every start, and known to nobody else.
ByteString challenge(const HandleKey& secret) {
  static constexpr unsigned char kWhat[] = "key check";
  return hmac(secret, kWhat);
}

ByteString first(const ByteString& bytes, std::size_t size) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

}  // namespace

UnprovenKey::UnprovenKey(const Description& description)
    : plain(description),
      id(description.id.begin(), description.id.end()),
      label(description.label.begin(), description.label.end()),
      content(description.content.begin(), description.content.end()),
      hints(description.hints.begin(), description.hints.end()) {}

Description UnprovenKey::described(const ByteString* proof) const {
  Description description = plain;
  description.id = id;
  description.label = label;
  description.hints = hints;
  description.content =
      proof != nullptr ? std::span<const std::uint8_t>(*proof) : std::span<const std::uint8_t>(content);
  description.proof = proof != nullptr;
  return description;
}

bool may_be_proven(const Description& description) {
  if (!description.has_key_type || description.counted || is_stateful_key(description.key_type)) return false;
  return description.object_class == CKO_PRIVATE_KEY || description.object_class == CKO_SECRET_KEY;
}

std::vector<KeyCheck> checks_for(const UnprovenKey& key, const HandleKey& secret) {
  if (key.plain.object_class == CKO_PRIVATE_KEY) {
    if (key.plain.key_type == CKK_EC) {
      std::vector<KeyCheck> checks{{true, CKM_ECDSA, {}, random_bytes(32), {}}};
      ByteString point = base_point(key.content);
      if (!point.empty()) checks.push_back({true, CKM_SHA256_HMAC, {}, challenge(secret), std::move(point)});
      return checks;
    }
    if (key.plain.key_type == CKK_EC_EDWARDS) return {{true, CKM_EDDSA, {}, random_bytes(32), {}}};
    return {};
  }
  const ByteString input = challenge(secret);
  switch (key.plain.key_type) {
    // One block by either of the first two is the same.
    case CKK_AES:
      return {{false, CKM_AES_ECB, {}, first(input, 16), {}},
              {false, CKM_AES_CBC, ByteString(16), first(input, 16), {}},
              {true, CKM_AES_CMAC, {}, input, {}}};
    case CKK_DES2:
    case CKK_DES3: return {{false, CKM_DES3_CBC, ByteString(8), first(input, 16), {}}};
    case CKK_GENERIC_SECRET:
    case CKK_SHA256_HMAC: return {{true, CKM_SHA256_HMAC, {}, input, {}}};
    case CKK_SHA_1_HMAC: return {{true, CKM_SHA_1_HMAC, {}, input, {}}};
    case CKK_SHA224_HMAC: return {{true, CKM_SHA224_HMAC, {}, input, {}}};
    case CKK_SHA384_HMAC: return {{true, CKM_SHA384_HMAC, {}, input, {}}};
    case CKK_SHA512_HMAC: return {{true, CKM_SHA512_HMAC, {}, input, {}}};
    default: return {};
  }
}

std::size_t agreed_size(const KeyCheck& check) { return (check.point.size() - 1) / 2; }

std::optional<ByteString> proof_of(const UnprovenKey& key, const KeyCheck& check, std::span<const std::uint8_t> result,
                                   std::span<const PublicKey> publics) {
  const bool agrees = !check.point.empty();
  for (const PublicKey& each : publics)
    if (agrees && std::ranges::equal(hmac(each.x(), check.input), result)) return each.normal_form();
  if (key.plain.object_class == CKO_PRIVATE_KEY && !agrees) {
    for (const PublicKey& each : publics)
      if (!check.input.empty() && each.verifies(check.input, result)) return each.normal_form();
    return std::nullopt;
  }
  if (result.size() < kLeastProof) return std::nullopt;
  ByteString proof{static_cast<std::uint8_t>(agrees ? 'a' : check.signs ? 's' : 'e')};
  proof.insert(proof.end(), result.begin(), result.end());
  return proof;
}

}  // namespace p11shim

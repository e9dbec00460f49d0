// What proves that two keys are the same: the public part, in one form whichever attributes and encodings a module shows
// it in; and a signature that only the private part can make.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "calls/lane_calls.h"

namespace p11shim {

using ByteString = std::vector<std::uint8_t>;

class PublicKey {
 public:
  // From a description's `content`. Nothing: it holds no public part that is understood.
  static std::optional<PublicKey> read(std::span<const std::uint8_t> content);

  // The same for equal keys.
  [[nodiscard]] const ByteString& normal_form() const { return normal_form_; }
  // Of a point that is shown whole: its first coordinate.
  [[nodiscard]] std::span<const std::uint8_t> x() const;
  // `signature` is what C_Sign gives: of CKM_ECDSA over `message` as the digest, or of CKM_EDDSA.
  [[nodiscard]] bool verifies(std::span<const std::uint8_t> message, std::span<const std::uint8_t> signature) const;

 private:
  ByteString normal_form_;
  ByteString curve_;  // CKA_EC_PARAMS; empty for other keys
  ByteString point_;
};

// Of the curve of a private key, as `content` shows it: the point that everybody begins with, uncompressed. Empty: unknown.
ByteString base_point(std::span<const std::uint8_t> content);

}  // namespace p11shim

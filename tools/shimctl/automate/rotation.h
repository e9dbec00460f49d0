// What a rotation of the keys that match a rule consists of, as steps of a job.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/automate/rotation_policy.h"

namespace p11shim {

struct RotatedKey {
  std::string label;
  std::string type;  // "ec:P-256"; empty: it cannot be made again, see `why`
  std::string why;
  unsigned former = 0;  // the highest version that there is under label@v
  std::vector<unsigned> versions;
  std::optional<std::int64_t> age_s;  // none: nobody knows
  std::string attributes;             // as words, so that the new key may do what the old one may
  std::string public_attributes;
};

// When keys were made, by id in hexadecimal; in seconds since 1970.
using KeyDates = std::map<std::string, std::int64_t>;

// The keys whose label matches, former versions aside. Ages are those that `dates` knows, or since
// CKA_START_DATE.
std::vector<RotatedKey> keys_to_rotate(const Session& session, const RotationRule& rule, const KeyDates& dates);
bool is_due(const RotatedKey& key, const RotationRule& rule);

// Each key is made under another name and tried there; then it changes places with the former one. Canaries first,
// which are tried once more; then the others, in stages with a check after each; then what is too old is deleted.
std::vector<nlohmann::json> rotation_steps(const std::vector<RotatedKey>& keys, const RotationRule& rule);

}  // namespace p11shim

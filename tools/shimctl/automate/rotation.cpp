#include "tools/shimctl/automate/rotation.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "pkcs11/names.h"
#include "tools/shimctl/automate/step.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array<CK_ATTRIBUTE_TYPE, 10> kUsages{CKA_SIGN,      CKA_DECRYPT,    CKA_UNWRAP, CKA_DERIVE,
                                                    CKA_ENCRYPT,   CKA_VERIFY,     CKA_WRAP,   CKA_PRIVATE,
                                                    CKA_SENSITIVE, CKA_EXTRACTABLE};

// "name@v3": 3; 0 if it is no version of it.
unsigned version_in(const std::string& label, const std::string& name) {
  const std::string head = name + "@v";
  if (!label.starts_with(head) || label.size() == head.size() || label.size() > head.size() + 6) return 0;
  const std::string digits = label.substr(head.size());
  if (digits.find_first_not_of("0123456789") != std::string::npos) return 0;
  return static_cast<unsigned>(std::stoul(digits));
}

bool is_former(const std::string& label) {
  const auto at = label.rfind("@v");
  return at != std::string::npos && version_in(label, label.substr(0, at)) != 0;
}

std::string type_text(const ObjectAttributes& attributes) {
  const std::string size = cell_text(key_size(attributes), CellStyle::kPrograms);
  switch (attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED)) {
    case CKK_RSA: return "rsa:" + size;
    case CKK_EC: return "ec:" + size;
    case CKK_EC_EDWARDS:
    case CKK_EC_MONTGOMERY: return size;
    case CKK_AES: return "aes:" + size;
    case CKK_GENERIC_SECRET: return "generic:" + size;
    case CKK_DES3: return "des3";
    default: return {};
  }
}

std::string words_of(const ObjectAttributes& attributes) {
  std::string words;
  for (const auto type : kUsages) {
    const auto value = attributes.truth(type);
    if (!value) continue;
    words += (words.empty() ? "" : " ") + std::string(*value ? "" : "!") + attribute_name(type);
  }
  return words;
}

std::optional<std::int64_t> age_of(const ObjectAttributes& attributes) {
  const std::string date = attributes.text(CKA_START_DATE);  // "20260131"
  if (date.size() != 8 || date.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  std::tm start{};
  start.tm_year = std::stoi(date.substr(0, 4)) - 1900;
  start.tm_mon = std::stoi(date.substr(4, 2)) - 1;
  start.tm_mday = std::stoi(date.substr(6, 2));
  return std::time(nullptr) - ::timegm(&start);
}

json canary_step(const RotatedKey& key, const RotationRule& rule, bool canary) {
  return {{"action", "canary"},
          {"label", key.label},
          {"attributes", ""},
          {"public_attributes", ""},
          {"command", canary ? rule.canary_command : ""}};
}

}  // namespace

std::vector<RotatedKey> keys_to_rotate(const Session& session, const RotationRule& rule, const KeyDates& dates) {
  std::vector<CK_ATTRIBUTE_TYPE> wanted(kUsages.begin(), kUsages.end());
  wanted.insert(wanted.end(),
                {CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_MODULUS, CKA_EC_PARAMS, CKA_VALUE_LEN, CKA_START_DATE});
  std::vector<ObjectAttributes> found;
  std::vector<RotatedKey> keys;
  for (const auto object_class : {CKO_PRIVATE_KEY, CKO_SECRET_KEY}) {
    for (const auto object : session.find(Template().set(CKA_CLASS, object_class).set(CKA_TOKEN, true))) {
      found.push_back(session.read(object, wanted));
      const ObjectAttributes& attributes = found.back();
      const std::string label = attributes.text(CKA_LABEL);
      if (is_former(label) || ::fnmatch(rule.pattern.c_str(), label.c_str(), 0) != 0) continue;
      RotatedKey key{.label = label, .type = rule.type.empty() ? type_text(attributes) : rule.type};
      const auto made = dates.find(hex(attributes.text(CKA_ID)));
      key.age_s = made != dates.end() ? std::time(nullptr) - made->second : age_of(attributes);
      key.attributes = words_of(attributes);
      if (object_class == CKO_PRIVATE_KEY) {
        const auto halves = session.find(
            Template().set(CKA_CLASS, CKO_PUBLIC_KEY).set(CKA_ID, attributes.text(CKA_ID)).set(CKA_LABEL, label));
        if (halves.size() == 1) key.public_attributes = words_of(session.read(halves.front(), wanted));
      }
      keys.push_back(std::move(key));
    }
  }
  for (auto& key : keys) {
    for (const auto& attributes : found) {
      const unsigned version = version_in(attributes.text(CKA_LABEL), key.label);
      if (version != 0) key.versions.push_back(version);
    }
    std::sort(key.versions.begin(), key.versions.end());
    key.former = key.versions.empty() ? 0 : key.versions.back();
  }
  std::sort(keys.begin(), keys.end(), [](const RotatedKey& a, const RotatedKey& b) { return a.label < b.label; });
  return keys;
}

bool is_due(const RotatedKey& key, const RotationRule& rule) {
  if (rule.max_age.count() == 0 || !key.age_s) return true;
  return std::chrono::seconds(*key.age_s) >= rule.max_age;
}

std::vector<json> rotation_steps(const std::vector<RotatedKey>& keys, const RotationRule& rule) {
  std::vector<json> steps;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const RotatedKey& key = keys[i];
    if (key.type.empty())
      throw Failure(ExitCode::kPkcs11, "a key like " + key.label + " cannot be made", "give its rule a type");
    const bool canary = i < static_cast<std::size_t>(rule.canary);
    steps.push_back(
        intent_of({.action = "rename", .label = key.label, .to = key.label + "@v" + std::to_string(key.former + 1)}));
    steps.push_back(intent_of({.action = "generate",
                               .label = key.label,
                               .type = key.type,
                               .attributes = key.attributes,
                               .public_attributes = key.public_attributes}));
    steps.push_back(canary_step(key, rule, canary));
  }
  for (const auto& key : keys) {
    if (rule.keep == 0) continue;
    const unsigned newest = key.former + 1;
    for (const unsigned version : key.versions) {
      if (newest - version >= static_cast<unsigned>(rule.keep))
        steps.push_back(intent_of({.action = "delete", .label = key.label + "@v" + std::to_string(version)}));
    }
  }
  return steps;
}

}  // namespace p11shim

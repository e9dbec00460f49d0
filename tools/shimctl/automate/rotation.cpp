#include "tools/shimctl/automate/rotation.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "config/problem.h"
#include "tools/shimctl/automate/step.h"
#include "tools/shimctl/automate/wrapped_size.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_restrictions.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array<CK_ATTRIBUTE_TYPE, 7> kUsages{CKA_SIGN,    CKA_DECRYPT, CKA_UNWRAP, CKA_DERIVE,
                                                   CKA_ENCRYPT, CKA_VERIFY,  CKA_WRAP};
// Told of the new key whatever they are: modules differ in what they take for granted.
constexpr std::array<CK_ATTRIBUTE_TYPE, 3> kAlwaysTold{CKA_PRIVATE, CKA_SENSITIVE, CKA_EXTRACTABLE};

// What a new key is called until it was tried.
constexpr std::string_view kNew = "@new";

// "name@v3": 3; 0 if it is no version of it.
unsigned version_in(const std::string& label, const std::string& name) {
  const std::string head = name + "@v";
  if (!label.starts_with(head) || label.size() == head.size() || label.size() > head.size() + 6) return 0;
  const std::string digits = label.substr(head.size());
  if (digits.find_first_not_of("0123456789") != std::string::npos) return 0;
  return static_cast<unsigned>(std::stoul(digits));
}

bool is_former(const std::string& label) {
  if (label.ends_with(kNew)) return true;  // a rotation that was given up left it
  const auto at = label.rfind("@v");
  return at != std::string::npos && version_in(label, label.substr(0, at)) != 0;
}

std::string type_text(const Session& session, CK_OBJECT_HANDLE object, const ObjectAttributes& attributes,
                      std::string& why) {
  const auto type = attributes.number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  std::string size = cell_text(key_size(attributes), CellStyle::kPrograms);
  if (size.empty() && (type == CKK_AES || type == CKK_GENERIC_SECRET)) {
    const auto bits = wrapped_size(session, object);
    if (bits) size = std::to_string(*bits);
  }
  if (size.empty() || size == "-") {
    why = "the token does not say how long it is";
    return {};
  }
  switch (type) {
    case CKK_RSA: return "rsa:" + size;
    case CKK_EC: return "ec:" + size;
    case CKK_EC_EDWARDS:
    case CKK_EC_MONTGOMERY: return size;
    case CKK_AES: return "aes:" + size;
    case CKK_GENERIC_SECRET: return "generic:" + size;
    case CKK_DES3: return "des3";
    default: why = "keys of its type are not made by shimctl"; return {};
  }
}

std::string words_of(const Session& session, CK_OBJECT_HANDLE object) {
  std::string words;
  const auto tell = [&](CK_ATTRIBUTE_TYPE type, bool value) {
    words += (words.empty() ? "" : " ") + std::string(value ? "" : "!") + attribute_name(type);
  };
  std::vector<CK_ATTRIBUTE_TYPE> wanted(kUsages.begin(), kUsages.end());
  for (const auto& restriction : kKeyRestrictions) wanted.push_back(restriction.type);
  wanted.push_back(CKA_ALLOWED_MECHANISMS);
  const auto attributes = session.read(object, wanted);
  for (const auto type : kUsages) {
    if (const auto value = attributes.truth(type)) tell(type, *value);
  }
  for (const auto& restriction : kKeyRestrictions) {
    const auto value = attributes.truth(restriction.type);
    const bool always = std::find(kAlwaysTold.begin(), kAlwaysTold.end(), restriction.type) != kAlwaysTold.end();
    if (value && (always || *value != restriction.without)) tell(restriction.type, *value);
  }
  const auto allowed = attributes.text(CKA_ALLOWED_MECHANISMS);
  if (!allowed.empty()) words += " " + attribute_name(CKA_ALLOWED_MECHANISMS) + "=" + hex(allowed);
  return words;
}

// Why a key that stays as it is has no successor that may do no more.
std::string no_successor(const Session& session, CK_OBJECT_HANDLE object) {
  const auto attributes = session.read(object, std::array{CKA_DESTROYABLE, CKA_MODIFIABLE, CKA_TRUSTED});
  if (!attributes.truth(CKA_DESTROYABLE).value_or(true))
    return "it cannot be destroyed: its successor could not be taken back";
  if (!attributes.truth(CKA_MODIFIABLE).value_or(true)) return "it cannot be renamed: it is not modifiable";
  return unrepeatable(session, object);
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

json trial_step(const std::string& label, const std::string& live, const std::string& command) {
  return {{"action", "canary"},      {"label", label}, {"attributes", ""},
          {"public_attributes", ""}, {"live", live},   {"command", command}};
}

json stage_step(std::size_t stage, const std::vector<std::string>& keys, const std::string& command) {
  return {{"action", "check"}, {"label", "stage " + std::to_string(stage)},
          {"attributes", ""},  {"public_attributes", ""},
          {"keys", keys},      {"command", command}};
}

void add_key_steps(std::vector<json>& steps, const RotatedKey& key, const RotationRule& rule) {
  const std::string fresh = key.label + std::string(kNew);
  steps.push_back(intent_of({.action = "generate",
                             .label = fresh,
                             .type = key.type,
                             .attributes = key.attributes,
                             .public_attributes = key.public_attributes}));
  steps.push_back(trial_step(fresh, key.label, rule.try_command));
  steps.push_back(
      intent_of({.action = "rename", .label = key.label, .to = key.label + "@v" + std::to_string(key.former + 1)}));
  steps.push_back(intent_of({.action = "rename", .label = fresh, .to = key.label}));
  steps.back()["at_once"] = true;  // nobody stops between the two
}

}  // namespace

std::vector<RotatedKey> keys_to_rotate(const Session& session, const RotationRule& rule, const KeyDates& dates) {
  const std::array wanted{CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_MODULUS, CKA_EC_PARAMS, CKA_VALUE_LEN, CKA_START_DATE};
  std::vector<ObjectAttributes> found;
  std::vector<RotatedKey> keys;
  for (const auto object_class : {CKO_PRIVATE_KEY, CKO_SECRET_KEY}) {
    for (const auto object : session.find(Template().set(CKA_CLASS, object_class).set(CKA_TOKEN, true))) {
      found.push_back(session.read(object, wanted));
      const ObjectAttributes& attributes = found.back();
      const std::string label = attributes.text(CKA_LABEL);
      if (is_former(label) || ::fnmatch(rule.pattern.c_str(), label.c_str(), 0) != 0) continue;
      RotatedKey key{.label = label, .type = rule.type};
      if (key.type.empty()) key.type = type_text(session, object, attributes, key.why);
      const auto made = dates.find(hex(attributes.text(CKA_ID)));
      key.age_s = made != dates.end() ? std::time(nullptr) - made->second : age_of(attributes);
      key.attributes = words_of(session, object);
      if (const auto why = no_successor(session, object); !why.empty()) {
        key.type.clear();
        key.why = why;
      }
      if (object_class == CKO_PRIVATE_KEY) {
        const auto halves = session.find(
            Template().set(CKA_CLASS, CKO_PUBLIC_KEY).set(CKA_ID, attributes.text(CKA_ID)).set(CKA_LABEL, label));
        if (halves.size() == 1) key.public_attributes = words_of(session, halves.front());
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
  for (const auto& key : keys) {
    if (key.type.empty())
      throw Failure(ExitCode::kPkcs11, {.what = "a successor of " + in_quotes(key.label) + " cannot be made",
                                        .why = key.why,
                                        .fix = "give its rule a type, or leave it out"});
  }
  const std::size_t canaries = std::min(keys.size(), static_cast<std::size_t>(rule.canary));
  for (std::size_t i = 0; i < canaries; ++i) {
    add_key_steps(steps, keys[i], rule);
    steps.push_back(trial_step(keys[i].label, keys[i].label, rule.canary_command));
  }
  const std::size_t size = stage_size(rule, keys.size());
  std::size_t stage = 0;
  for (std::size_t begin = canaries; begin < keys.size(); begin += size) {
    std::vector<std::string> labels;
    for (std::size_t i = begin; i < std::min(begin + size, keys.size()); ++i) {
      add_key_steps(steps, keys[i], rule);
      labels.push_back(keys[i].label);
    }
    const bool checked = !rule.stage.empty() || !rule.stage_command.empty();
    if (checked) steps.push_back(stage_step(++stage, labels, rule.stage_command));
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

#include "tools/shimctl/automate/key_halves.h"

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array<CK_OBJECT_CLASS, 3> kHalves{CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY};

struct Named {
  CK_OBJECT_CLASS object_class;
  std::string id;
  std::string label;
};

// The keys among what has this label or this id.
std::vector<Named> keys_with(const Session& session, CK_ATTRIBUTE_TYPE type, const std::string& value) {
  std::vector<Named> keys;
  for (const auto object : session.find(Template().set(CKA_TOKEN, true).set(type, std::string_view(value)))) {
    const auto attributes = session.read(object, std::array{CKA_CLASS, CKA_ID, CKA_LABEL});
    const auto object_class = attributes.number(CKA_CLASS).value_or(CKO_VENDOR_DEFINED);
    if (std::find(kHalves.begin(), kHalves.end(), object_class) == kHalves.end()) continue;
    keys.push_back({object_class, attributes.text(CKA_ID), attributes.text(CKA_LABEL)});
  }
  return keys;
}

[[noreturn]] void refuse_label(const std::string& label) {
  throw Failure(ExitCode::kNotFound, "there is a key " + in_quotes(label) + " already", "");
}

}  // namespace

KeyIsGone::KeyIsGone(const std::string& label)
    : Failure(ExitCode::kNotFound, "the key " + in_quotes(label) + " is not there any more", "") {}

std::string bytes_of(const json& hexadecimal) { return parse_hex(hexadecimal.get<std::string>()).value_or(""); }

std::vector<CK_OBJECT_HANDLE> find_object(const Session& session, CK_OBJECT_CLASS object_class, const std::string& id,
                                          const std::string& label) {
  return session.find(Template()
                          .set(CKA_CLASS, object_class)
                          .set(CKA_TOKEN, true)
                          .set(CKA_ID, std::string_view(id))
                          .set(CKA_LABEL, std::string_view(label)));
}

std::optional<CK_OBJECT_HANDLE> find_half(const Session& session, const json& half) {
  const auto found =
      find_object(session, half["class"].get<CK_OBJECT_CLASS>(), bytes_of(half["id"]), bytes_of(half["label"]));
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

json halves_of(const Session& session, const std::string& label) {
  const auto key = find_one(session, KeySelector::parse(label), {CKO_PRIVATE_KEY, CKO_SECRET_KEY});
  const auto attributes = session.read(key, std::array{CKA_CLASS, CKA_ID, CKA_LABEL});
  const std::string id = attributes.text(CKA_ID);
  const std::string name = attributes.text(CKA_LABEL);
  json halves = json::array();
  for (const auto object_class : kHalves) {
    const bool main = attributes.number(CKA_CLASS) == object_class;
    if (!main && object_class != CKO_PUBLIC_KEY) continue;
    const auto found = find_object(session, object_class, id, name);
    if (main && found.size() != 1) {
      throw Failure(ExitCode::kNotFound, in_quotes(label) + " has a twin with its id", "delete one of them first");
    }
    if (found.size() == 1) halves.push_back({{"class", object_class}, {"id", hex(id)}, {"label", hex(name)}});
  }
  return halves;
}

void refuse_taken_label(const Session& session, const std::string& label) {
  if (!keys_with(session, CKA_LABEL, label).empty()) refuse_label(label);
}

void refuse_taken_id(const Session& session, const std::string& id, const std::string& job, const json* half) {
  const std::string own = half == nullptr ? "" : bytes_of((*half)["label"]);
  for (const auto& key : keys_with(session, CKA_ID, id)) {
    if (key.label.starts_with(trash_label(job, ""))) continue;
    if (half != nullptr && key.label == own && key.object_class != (*half)["class"].get<CK_OBJECT_CLASS>()) continue;
    if (half != nullptr && key.label == own && id == bytes_of((*half)["id"])) continue;
    throw Failure(ExitCode::kNotFound, "the id " + hex(id) + " is that of " + in_quotes(key.label) + " already",
                  "choose another id, or none");
  }
}

void relabel(const Session& session, const json& half, const std::string& from, const std::string& to) {
  const auto object_class = half["class"].get<CK_OBJECT_CLASS>();
  const std::string id = bytes_of(half["id"]);
  const auto here = find_object(session, object_class, id, from);
  const auto there = find_object(session, object_class, id, to);
  if (here.empty() && there.empty()) throw KeyIsGone(from);
  if (here.empty()) return;
  // Two keys with one name could not be told apart any more.
  if (here.size() > 1)
    throw Failure(ExitCode::kNotFound, in_quotes(from) + " has a twin with its id", "delete one of them first");
  if (!there.empty()) refuse_label(to);
  for (const auto& key : keys_with(session, CKA_LABEL, to)) {
    if (key.id != id) refuse_label(to);
  }
  session.set(here.front(), Template().set(CKA_LABEL, std::string_view(to)));
  if (find_object(session, object_class, id, to).empty()) throw KeyIsGone(from);
}

std::string trash_label(const std::string& job, const std::string& label) { return "deleted by " + job + ": " + label; }

}  // namespace p11shim

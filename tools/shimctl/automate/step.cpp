#include "tools/shimctl/automate/step.h"

#include <array>
#include <optional>

#include "config/problem.h"
#include "tools/shimctl/automate/canary.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_maker.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/token/call_failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array<CK_OBJECT_CLASS, 3> kHalves{CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY};

std::string bytes_of(const json& hexadecimal) { return parse_hex(hexadecimal.get<std::string>()).value_or(""); }

std::vector<CK_OBJECT_HANDLE> find_object(const Session& session, CK_OBJECT_CLASS object_class, const std::string& id,
                                          const std::string& label) {
  return session.find(Template()
                          .set(CKA_CLASS, object_class)
                          .set(CKA_TOKEN, true)
                          .set(CKA_ID, std::string_view(id))
                          .set(CKA_LABEL, std::string_view(label)));
}

// The private or secret key and, of a pair, the public half: [{class, id, label}].
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

void refuse_taken(const Session& session, const std::string& label) {
  for (const auto object_class : kHalves) {
    if (session.find(Template().set(CKA_CLASS, object_class).set(CKA_LABEL, std::string_view(label))).empty()) continue;
    throw Failure(ExitCode::kNotFound, "there is a key " + in_quotes(label) + " already", "");
  }
}

void relabel(const Session& session, const json& half, const std::string& from, const std::string& to) {
  const auto object_class = half["class"].get<CK_OBJECT_CLASS>();
  const std::string id = bytes_of(half["id"]);
  for (const auto object : find_object(session, object_class, id, from)) {
    session.set(object, Template().set(CKA_LABEL, std::string_view(to)));
  }
  if (find_object(session, object_class, id, to).empty()) {
    throw Failure(ExitCode::kNotFound, "the key " + in_quotes(from) + " is not there any more", "");
  }
}

std::optional<CK_OBJECT_HANDLE> one(const Session& session, const json& half) {
  const auto found =
      find_object(session, half["class"].get<CK_OBJECT_CLASS>(), bytes_of(half["id"]), bytes_of(half["label"]));
  return found.size() == 1 ? std::optional(found.front()) : std::nullopt;
}

// What a delete calls a key until it is sure.
std::string trash_label(const std::string& job, const std::string& label) { return "deleted by " + job + ": " + label; }

KeyType type_of(const json& intent) { return parse_key_type(intent["type"].get<std::string>()); }

std::vector<CK_OBJECT_CLASS> classes_of(const json& intent) {
  if (type_of(intent).pair) return {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY};
  return {CKO_SECRET_KEY};
}

std::vector<CK_OBJECT_HANDLE> made_by(const Session& session, const json& intent) {
  std::vector<CK_OBJECT_HANDLE> made;
  for (const auto object_class : classes_of(intent)) {
    const auto found = find_object(session, object_class, bytes_of(intent["id"]), intent["label"].get<std::string>());
    made.insert(made.end(), found.begin(), found.end());
  }
  return made;
}

void generate(const Session& session, const json& intent) {
  const auto before = made_by(session, intent);
  if (before.size() == classes_of(intent).size()) return;
  for (const auto half : before) session.destroy(half);  // a crash left a part of it
  const KeyType type = type_of(intent);
  require_mechanism(session, type.generate, CKF_GENERATE | CKF_GENERATE_KEY_PAIR, "make a key " + in_quotes(type.text));
  const KeyNames names{.label = intent["label"].get<std::string>(), .id = bytes_of(intent["id"])};
  make_key(session, type, names, parse_attributes({intent["attributes"].get<std::string>()}),
           parse_attributes({intent["public_attributes"].get<std::string>()}));
  if (made_by(session, intent).size() != classes_of(intent).size()) {
    throw Failure(ExitCode::kPkcs11, "the token does not show the key " + in_quotes(names.label) + " that it made", "");
  }
}

Template changes_for(const json& intent, const json& half) {
  const bool is_public = half["class"].get<CK_OBJECT_CLASS>() == CKO_PUBLIC_KEY;
  return parse_attributes({intent[is_public ? "public_attributes" : "attributes"].get<std::string>()});
}

json former_values(const Session& session, const json& intent, json halves) {
  for (auto& half : halves) {
    const auto object = one(session, half);
    half["former"] = json::array();
    const Template changes = changes_for(intent, half);
    for (const auto& entry : changes.entries()) {
      std::string value;
      const CK_RV rv = session.read_one(*object, entry.type, value);
      if (rv != CKR_OK) {
        throw failure_of(CallError("C_GetAttributeValue", rv),
                         "the former value of " + attribute_name(entry.type) + " cannot be kept");
      }
      half["former"].push_back({{"type", entry.type}, {"value", hex(value)}});
    }
  }
  return halves;
}

void set_values(const Session& session, const json& intent, const json& half, bool former) {
  Template changes;
  if (former) {
    for (const auto& each : half["former"])
      changes.set(each["type"].get<CK_ATTRIBUTE_TYPE>(), std::string_view(bytes_of(each["value"])));
  } else {
    changes = changes_for(intent, half);
  }
  if (changes.empty()) return;
  // A change of the id may have happened already.
  auto object = one(session, half);
  const Template wanted = changes_for(intent, half);
  for (const auto& entry : wanted.entries()) {
    if (object || entry.type != CKA_ID) continue;
    json changed = half;
    changed["id"] = hex(entry.value);
    object = one(session, changed);
  }
  if (!object) throw Failure(ExitCode::kNotFound, "the key " + intent["label"].dump() + " is not there any more", "");
  // Nothing is written that is there already: an attribute may have become read-only by the change itself.
  for (const auto& entry : changes.entries()) {
    std::string value;
    if (session.read_one(*object, entry.type, value) == CKR_OK && value == entry.value) continue;
    session.set(*object, Template().set(entry.type, std::string_view(entry.value)));
  }
}

}  // namespace

json intent_of(const PlanStep& step) {
  json intent{{"action", step.action},
              {"label", step.label},
              {"attributes", step.attributes},
              {"public_attributes", step.public_attributes}};
  for (const auto& words : {step.attributes, step.public_attributes}) {
    const Template attributes = parse_attributes({words});
    const bool names = attributes.has(CKA_LABEL) || (step.action == "generate" && attributes.has(CKA_ID));
    if (names)
      throw Failure(ExitCode::kUsage, "labels and ids of new keys are not attributes: " + in_quotes(words),
                    "rename changes labels; generate has label and id");
  }
  if (step.action == "rename") intent["to"] = step.to;
  if (step.action != "generate") return intent;
  const std::string type = step.type.empty() ? "ec:P-256" : step.type;
  parse_key_type(type);
  intent["type"] = type;
  intent["id"] = hex(id_or_random(step.id));
  return intent;
}

json prepare_step(const Session& session, const json& intent, const std::string& job) {
  const auto action = intent["action"].get<std::string>();
  const auto label = intent["label"].get<std::string>();
  if (action == "canary") return json::object();
  if (action == "generate") {
    if (made_by(session, intent).empty()) refuse_taken(session, label);
    return json::object();
  }
  json halves = halves_of(session, label);
  if (action == "rename") {
    refuse_taken(session, intent["to"].get<std::string>());
    return {{"halves", halves}};
  }
  if (action == "set") return {{"halves", former_values(session, intent, halves)}};
  return {{"halves", halves}, {"trash", trash_label(job, label)}};
}

void do_step(const Session& session, const json& intent, const json& undo) {
  const auto action = intent["action"].get<std::string>();
  if (action == "canary") return check_canary(session, intent);
  if (action == "generate") return generate(session, intent);
  for (const auto& half : undo["halves"]) {
    if (action == "set") {
      set_values(session, intent, half, false);
    } else {
      const auto& to = action == "rename" ? intent["to"] : undo["trash"];
      relabel(session, half, bytes_of(half["label"]), to.get<std::string>());
    }
  }
}

void undo_step(const Session& session, const json& intent, const json& undo) {
  const auto action = intent["action"].get<std::string>();
  if (action == "canary") return;
  if (action == "generate") {
    for (const auto object : made_by(session, intent)) session.destroy(object);
    return;
  }
  for (const auto& half : undo["halves"]) {
    if (action == "set") {
      set_values(session, intent, half, true);
    } else {
      const auto& to = action == "rename" ? intent["to"] : undo["trash"];
      relabel(session, half, to.get<std::string>(), bytes_of(half["label"]));
    }
  }
}

void commit_step(const Session& session, const json& intent, const json& undo) {
  if (intent["action"] != "delete") return;
  for (const auto& half : undo["halves"]) {
    const auto object_class = half["class"].get<CK_OBJECT_CLASS>();
    for (const auto object :
         find_object(session, object_class, bytes_of(half["id"]), undo["trash"].get<std::string>())) {
      session.destroy(object);
    }
  }
}

std::string step_text(const json& intent) {
  const auto action = intent["action"].get<std::string>();
  std::string text = action + " " + intent["label"].get<std::string>();
  if (action == "generate") text += " (" + intent["type"].get<std::string>() + ")";
  if (action == "rename") text += " to " + intent["to"].get<std::string>();
  if (action == "set")
    text += ": " + intent["attributes"].get<std::string>() + intent["public_attributes"].get<std::string>();
  return text;
}

}  // namespace p11shim

#include "tools/shimctl/automate/step.h"

#include <algorithm>
#include <array>
#include <optional>

#include "config/problem.h"
#include "tools/shimctl/automate/canary.h"
#include "tools/shimctl/automate/key_halves.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_maker.h"
#include "tools/shimctl/token/call_failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

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
    const auto object = find_half(session, half);
    if (!object) throw KeyIsGone(intent["label"].get<std::string>());
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

// Values that a key never gives up again (PKCS#11 3.0, 4.4 to 4.10).
bool is_one_way(const Template::Entry& entry) {
  const auto becomes = [&](bool value) { return entry.value == std::string(1, value ? CK_TRUE : CK_FALSE); };
  switch (entry.type) {
    case CKA_SENSITIVE:
    case CKA_WRAP_WITH_TRUSTED: return becomes(true);
    case CKA_EXTRACTABLE:
    case CKA_COPYABLE:
    case CKA_MODIFIABLE:
    case CKA_DESTROYABLE: return becomes(false);
    default: return false;
  }
}

Template part_of(const Template& changes, bool one_way) {
  Template part;
  for (const auto& entry : changes.entries()) {
    if (is_one_way(entry) == one_way) part.set(entry.type, std::string_view(entry.value));
  }
  return part;
}

// Nothing is written that is there already: an attribute may have become read-only by the change itself.
void write_values(const Session& session, CK_OBJECT_HANDLE object, const Template& changes, bool* changed = nullptr) {
  for (const auto& entry : changes.entries()) {
    std::string value;
    if (session.read_one(object, entry.type, value) == CKR_OK && value == entry.value) continue;
    session.set(object, Template().set(entry.type, std::string_view(entry.value)));
    if (changed != nullptr) *changed = true;
  }
}

void set_values(const Session& session, const json& intent, const json& half, bool former) {
  const Template wanted = part_of(changes_for(intent, half), false);
  Template changes = wanted;
  for (const auto& each : half["former"]) {
    const auto type = each["type"].get<CK_ATTRIBUTE_TYPE>();
    if (former && wanted.has(type)) changes.set(type, std::string_view(bytes_of(each["value"])));
  }
  if (changes.empty()) return;
  // A change of the id may have happened already.
  auto object = find_half(session, half);
  for (const auto& entry : wanted.entries()) {
    if (object || entry.type != CKA_ID) continue;
    json changed = half;
    changed["id"] = hex(entry.value);
    object = find_half(session, changed);
  }
  if (!object) throw KeyIsGone(intent["label"].get<std::string>());
  write_values(session, *object, changes);
}

bool same_half(const json& a, const json& b) {
  return a["class"] == b["class"] && a["id"] == b["id"] && a["label"] == b["label"];
}

// What a half is called when this step is done.
void follow(json& half, const StepRecord& step) {
  if (!step.undo.is_object() || !step.undo.contains("halves")) return;
  for (const auto& own : step.undo["halves"]) {
    if (!same_half(own, half)) continue;
    const auto action = step.intent["action"].get<std::string>();
    if (action == "rename") half["label"] = hex(step.intent["to"].get<std::string>());
    if (action == "delete") half["label"] = hex(step.undo["trash"].get<std::string>());
    if (action != "set") return;
    const Template changes = changes_for(step.intent, half);
    for (const auto& entry : changes.entries()) {
      if (entry.type == CKA_ID) half["id"] = hex(entry.value);
    }
    return;
  }
}

// Both halves, also if the first is gone.
template <class Action>
void for_each_half(const json& undo, Action&& action) {
  std::optional<KeyIsGone> gone;
  for (const auto& half : undo["halves"]) {
    try {
      action(half);
    } catch (const KeyIsGone& failure) {
      gone = failure;
    }
  }
  if (gone) throw KeyIsGone(*gone);
}

void prepare_new_ids(const Session& session, const json& intent, const json& halves, const std::string& job) {
  for (const auto& half : halves) {
    const Template changes = changes_for(intent, half);
    for (const auto& entry : changes.entries()) {
      if (entry.type == CKA_ID) refuse_taken_id(session, entry.value, job, &half);
    }
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
    if (step.action == "generate" && part_of(attributes, true).has(CKA_DESTROYABLE))
      throw Failure(ExitCode::kUsage, "a new key that cannot be destroyed could not be taken back",
                    "set !destroyable in a step after it: that is done when all else is");
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
  if (action == "canary" || action == "check") return json::object();
  if (action == "generate") {
    // A step that has not begun has made nothing: whatever is called so is another's.
    refuse_taken_label(session, label);
    refuse_taken_id(session, bytes_of(intent["id"]), job);
    return json::object();
  }
  json halves = halves_of(session, label);
  if (action == "rename") {
    refuse_taken_label(session, intent["to"].get<std::string>());
    return {{"halves", halves}};
  }
  if (action == "set") {
    prepare_new_ids(session, intent, halves, job);
    return {{"halves", former_values(session, intent, halves)}};
  }
  return {{"halves", halves}, {"trash", trash_label(job, label)}};
}

void do_step(const Session& session, const json& intent, const json& undo) {
  const auto action = intent["action"].get<std::string>();
  if (action == "canary") return check_canary(session, intent);
  if (action == "check") return check_stage(session, intent);
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
  if (action == "canary" || action == "check") return;
  if (action == "generate") {
    for (const auto object : made_by(session, intent)) session.destroy(object);
    return;
  }
  for_each_half(undo, [&](const json& half) {
    if (action == "set") return set_values(session, intent, half, true);
    const auto& to = action == "rename" ? intent["to"] : undo["trash"];
    relabel(session, half, to.get<std::string>(), bytes_of(half["label"]));
  });
}

bool has_commit(const json& intent) { return intent["action"] == "delete" || intent["action"] == "set"; }

void commit_set(const Session& session, const std::vector<StepRecord>& steps, std::size_t step, bool& changed) {
  const json& intent = steps[step].intent;
  for (json half : steps[step].undo["halves"]) {
    const Template changes = part_of(changes_for(intent, half), true);
    if (changes.empty()) continue;
    for (std::size_t i = step; i < steps.size(); ++i) follow(half, steps[i]);
    const auto object = find_half(session, half);
    if (!object) throw KeyIsGone(intent["label"].get<std::string>());
    write_values(session, *object, changes, &changed);
  }
}

void commit_delete(const Session& session, const json& undo, bool& changed) {
  for (const auto& half : undo["halves"]) {
    const auto object_class = half["class"].get<CK_OBJECT_CLASS>();
    for (const auto object :
         find_object(session, object_class, bytes_of(half["id"]), undo["trash"].get<std::string>())) {
      session.destroy(object);
      changed = true;
    }
  }
}

std::string step_text(const json& intent) {
  const auto action = intent["action"].get<std::string>();
  std::string text = action + " " + intent["label"].get<std::string>();
  if (action == "generate") text += " (" + intent["type"].get<std::string>() + ")";
  if (action == "check") text += " (" + std::to_string(intent["keys"].size()) + " keys)";
  if (action == "rename") text += " to " + intent["to"].get<std::string>();
  if (action == "set")
    text += ": " + intent["attributes"].get<std::string>() + intent["public_attributes"].get<std::string>();
  return text;
}

}  // namespace p11shim

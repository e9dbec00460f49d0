#include "tools/shimctl/automate/bundle_match.h"

#include <array>
#include <map>
#include <set>
#include <utility>

#include "pkcs11/names.h"
#include "tools/shimctl/automate/bundle_object.h"
#include "tools/shimctl/automate/canary.h"
#include "tools/shimctl/keys/check_value.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/public_key.h"

namespace p11shim {

using nlohmann::json;

namespace {

using Handles = std::set<CK_OBJECT_HANDLE>;

constexpr std::size_t kShownDigits = 16;

std::vector<CK_OBJECT_HANDLE> called_so(const Session& session, const json& object, const Handles& claimed) {
  const Template all = template_of(object["attributes"], true);
  Template search;
  for (const auto& entry : all.entries()) {
    const bool names = entry.type == CKA_CLASS || entry.type == CKA_ID || entry.type == CKA_LABEL;
    if (names || entry.type == CKA_TOKEN) search.set(entry.type, std::string_view(entry.value));
  }
  std::vector<CK_OBJECT_HANDLE> found;
  for (const auto each : session.find(search)) {
    if (!claimed.contains(each)) found.push_back(each);
  }
  return found;
}

BundleMatch compared(const std::string& there, const std::string& wanted) {
  if (there.empty() || wanted.empty()) return {Presence::kUnproven, "it cannot be compared with what the token has"};
  if (there == wanted) return {Presence::kSame, ""};
  const auto shown = [](const std::string& text) {
    return text.size() > kShownDigits ? text.substr(0, kShownDigits) + "…" : text;
  };
  return {Presence::kOther, "the token has another of this name: " + shown(there) + " instead of " + shown(wanted)};
}

std::string open_content(const Session& session, CK_OBJECT_HANDLE object) {
  std::string value;
  return session.read_one(object, CKA_VALUE, value) == CKR_OK ? hex(sha256_of(value)) : "";
}

BundleMatch compare_open(const Session& session, CK_OBJECT_HANDLE there, const json& object) {
  const auto wanted = object["spki_sha256"].get<std::string>();
  if (class_of(object) == CKO_PUBLIC_KEY) return compared(fingerprint(session, there), wanted);
  const auto value = object["attributes"].find(hexadecimal(CKA_VALUE, 8));
  // An empty value is not written down.
  const auto bytes = value == object["attributes"].end() ? "" : parse_hex(value->get<std::string>()).value_or("");
  return compared(open_content(session, there), hex(sha256_of(bytes)));
}

// By what the key shows of itself; what it is called by its neighbours alone is tried, too.
BundleMatch compare_shown(const Session& session, CK_OBJECT_HANDLE there, const json& object) {
  if (class_of(object) == CKO_SECRET_KEY)
    return compared(check_value(session, there), object["check_value"].get<std::string>());
  auto match = compared(fingerprint(session, there), object["spki_sha256"].get<std::string>());
  if (match.presence != Presence::kSame) return match;
  const auto wrong = trial_of(session, there);
  if (!wrong.empty()) match = {Presence::kOther, "the key of the token does not fit its public half: " + wrong};
  return match;
}

// The same key is wrapped as the same bytes (RFC 5649), if its module encodes it the same way.
Presence compare_wrapped(const Session& session, const BackupKek& kek, CK_OBJECT_HANDLE there, const json& object) {
  try {
    const std::string wrapped = kek.wrap(there);
    if (hex(wrapped) == object["wrapped"]) return Presence::kSame;
    const auto copy = restore_object(session, kek, object, false);
    std::string again;
    try {
      again = kek.wrap(copy);
    } catch (const CallError&) {
      session.module()->C_DestroyObject(session.handle(), copy);
      throw;
    }
    session.module()->C_DestroyObject(session.handle(), copy);
    return wrapped == again ? Presence::kSame : Presence::kOther;
  } catch (const CallError&) {
    return Presence::kUnproven;  // it may not leave the token, or the KEK may only unwrap
  }
}

BundleMatch compare_secret(const Session& session, const BackupKek& kek, CK_OBJECT_HANDLE there, const json& object) {
  const Presence wrapped = compare_wrapped(session, kek, there, object);
  if (wrapped == Presence::kSame) return {wrapped, ""};
  BundleMatch shown;
  try {
    shown = compare_shown(session, there, object);
  } catch (const CallError& error) {
    shown = {Presence::kUnproven, error.what()};
  }
  if (wrapped == Presence::kUnproven || shown.presence == Presence::kOther) return shown;
  return {Presence::kOther, "the token has another of this name"};
}

BundleMatch compare(const Session& session, const BackupKek& kek, CK_OBJECT_HANDLE there, const json& object) {
  if (is_secret_class(class_of(object))) return compare_secret(session, kek, there, object);
  return compare_open(session, there, object);
}

bool is_half_of(const json& a, const json& b) { return a["id"] == b["id"] && a["label"] == b["label"]; }

}  // namespace

std::vector<BundleMatch> match_bundle(const Session& session, const BackupKek& kek, const json& objects) {
  std::vector<BundleMatch> matches(objects.size());
  Handles claimed;
  // To compare takes operations of the token: once for each pair.
  std::map<std::pair<std::size_t, CK_OBJECT_HANDLE>, BundleMatch> known;
  for (const auto wanted : {Presence::kSame, Presence::kUnproven, Presence::kOther}) {
    for (std::size_t i = 0; i < objects.size(); ++i) {
      if (matches[i].presence != Presence::kMissing) continue;
      for (const auto there : called_so(session, objects[i], claimed)) {
        const auto [pair, is_new] = known.try_emplace({i, there});
        if (is_new) pair->second = compare(session, kek, there, objects[i]);
        const BundleMatch& match = pair->second;
        if (match.presence != wanted) continue;
        if (wanted != Presence::kOther) claimed.insert(there);
        matches[i] = match;
        break;
      }
    }
  }
  // With another's public half it could not be proved.
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (class_of(objects[i]) != CKO_PRIVATE_KEY || matches[i].presence != Presence::kMissing) continue;
    for (std::size_t j = 0; j < objects.size(); ++j) {
      if (class_of(objects[j]) == CKO_PUBLIC_KEY && matches[j].presence == Presence::kOther &&
          is_half_of(objects[i], objects[j]))
        matches[i] = {Presence::kOther, "its public half on the token is another key's"};
    }
  }
  return matches;
}

}  // namespace p11shim

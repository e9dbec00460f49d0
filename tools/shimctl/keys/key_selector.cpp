#include "tools/shimctl/keys/key_selector.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "config/nearest.h"
#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"

namespace p11shim {

namespace {

struct ClassName {
  std::string_view name;
  CK_OBJECT_CLASS value;
};
constexpr std::array<ClassName, 7> kClasses{{{"private", CKO_PRIVATE_KEY},
                                             {"public", CKO_PUBLIC_KEY},
                                             {"secret", CKO_SECRET_KEY},
                                             {"cert", CKO_CERTIFICATE},
                                             {"data", CKO_DATA},
                                             {"certificate", CKO_CERTIFICATE},
                                             {"secret-key", CKO_SECRET_KEY}}};
constexpr std::size_t kMostCandidates = 10;
constexpr std::size_t kMostLabels = 2000;  // that are compared with a mistyped one

std::string id_text(const ObjectAttributes& attributes, CK_OBJECT_HANDLE object) {
  const auto id = attributes.text(CKA_ID);
  const auto kind = attributes.number(CKA_CLASS);
  return (kind ? class_name(*kind) + " " : "") + in_quotes(attributes.text(CKA_LABEL)) +
         (id.empty() ? " handle:" + std::to_string(object) : " id:" + hex(id));
}

[[noreturn]] void none_found(const Session& session, const KeySelector& selector,
                             const std::vector<CK_OBJECT_CLASS>& classes) {
  std::string hint;
  if (selector.label) {
    std::vector<std::string> labels;
    for (const auto object_class : classes) {
      const auto objects = session.find(Template().set(CKA_CLASS, object_class));
      for (std::size_t i = 0; i < objects.size() && labels.size() < kMostLabels; ++i) {
        labels.push_back(session.read(objects[i], std::array{CKA_LABEL}).text(CKA_LABEL));
      }
    }
    const std::vector<std::string_view> known(labels.begin(), labels.end());
    hint = did_you_mean(*selector.label, known);
  }
  std::string wanted;
  for (const auto object_class : classes) wanted += (wanted.empty() ? "" : " or ") + class_name(object_class);
  throw Failure(ExitCode::kNotFound,
                {.what = "there is no object " + in_quotes(selector.text) + " (" + wanted + ")" + hint,
                 .why = {},
                 .fix = "shimctl key list shows the keys; private ones need --pin-from"});
}

[[noreturn]] void several_found(const Session& session, const KeySelector& selector,
                                const std::vector<CK_OBJECT_HANDLE>& objects) {
  std::string candidates;
  for (std::size_t i = 0; i < std::min(objects.size(), kMostCandidates); ++i) {
    const auto attributes = session.read(objects[i], std::array{CKA_CLASS, CKA_LABEL, CKA_ID});
    candidates += (i == 0 ? "" : ", ") + id_text(attributes, objects[i]);
  }
  if (objects.size() > kMostCandidates) candidates += ", …";
  throw Failure(ExitCode::kNotFound,
                {.what = in_quotes(selector.text) + " names " + std::to_string(objects.size()) + " objects",
                 .why = candidates,
                 .fix = "name the one that is meant as id:… or handle:…"});
}

void check_token(const Session& session, const KeySelector& selector) {
  const auto info = session.module().token_info(session.slot());
  if (names_token(*selector.uri, session.slot(), info)) return;
  throw Failure(ExitCode::kNotFound,
                {.what = in_quotes(selector.text) + " names a key of another token",
                 .why = "this is " + in_quotes(padded_text(info.label)) + " in slot " + std::to_string(session.slot()) +
                        ", serial " + printable(padded_text(info.serialNumber)),
                 .fix = "leave --token, --slot and --uri out, or name its token with them"});
}

}  // namespace

std::optional<CK_OBJECT_CLASS> parse_class(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto* found =
      std::find_if(kClasses.begin(), kClasses.end(), [&](const ClassName& known) { return known.name == text; });
  if (found != kClasses.end()) return found->value;
  throw Failure(ExitCode::kUsage, "there is no class " + in_quotes(text),
                "classes are private, public, secret, cert and data");
}

std::string class_name(CK_OBJECT_CLASS object_class) {
  for (const auto& known : kClasses) {
    if (known.value == object_class) return std::string(known.name);
  }
  return display(NameKind::cko, object_class);
}

KeySelector KeySelector::parse(const std::string& text, const std::string& object_class) {
  KeySelector selector{.text = text};
  if (text.starts_with("id:")) {
    selector.id = parse_hex(std::string_view(text).substr(3));
    if (!selector.id) throw Failure(ExitCode::kUsage, in_quotes(text) + " is no id", "id:0a1b takes digits in pairs");
  } else if (text.starts_with("handle:")) {
    CK_OBJECT_HANDLE handle = 0;
    const auto parsed = std::from_chars(text.data() + 7, text.data() + text.size(), handle);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
      throw Failure(ExitCode::kUsage, in_quotes(text) + " is no handle", "handle:7 takes a number");
    }
    selector.handle = handle;
  } else if (text.starts_with("pkcs11:")) {
    const auto& uri = selector.uri.emplace(parse_token_uri(text));
    if (!uri.object.empty()) selector.label = uri.object;
    if (!uri.id.empty()) selector.id = uri.id;
    selector.object_class = parse_class(uri.type);
  } else {
    selector.label = text.starts_with("label:") ? text.substr(6) : text;
  }
  if (const auto chosen = parse_class(object_class)) selector.object_class = chosen;
  return selector;
}

std::vector<CK_OBJECT_HANDLE> find_all(const Session& session, const KeySelector& selector,
                                       const std::vector<CK_OBJECT_CLASS>& classes) {
  if (selector.uri) check_token(session, selector);
  if (selector.handle) {
    const auto attributes = session.read(*selector.handle, std::array{CKA_CLASS});
    const auto is = attributes.number(CKA_CLASS).value_or(CKO_VENDOR_DEFINED);
    if (std::find(classes.begin(), classes.end(), is) == classes.end()) return {};
    return {*selector.handle};
  }
  std::vector<CK_OBJECT_HANDLE> objects;
  for (const auto object_class : classes) {
    if (selector.object_class && *selector.object_class != object_class) continue;
    Template search;
    search.set(CKA_CLASS, object_class);
    if (selector.label) search.set(CKA_LABEL, *selector.label);
    if (selector.id) search.set(CKA_ID, *selector.id);
    const auto found = session.find(std::move(search));
    objects.insert(objects.end(), found.begin(), found.end());
  }
  return objects;
}

CK_OBJECT_HANDLE find_one(const Session& session, const KeySelector& selector,
                          const std::vector<CK_OBJECT_CLASS>& classes) {
  for (const auto object_class : classes) {
    const auto objects = find_all(session, selector, {object_class});
    if (objects.size() > 1) several_found(session, selector, objects);
    if (!objects.empty()) return objects.front();
  }
  none_found(session, selector, classes);
}

}  // namespace p11shim

#include "tools/shimctl/commands/key/list.h"

#include <algorithm>
#include <optional>

#include "config/nearest.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/progress.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

std::vector<CK_OBJECT_CLASS> classes_of(const std::string& text) {
  if (const auto chosen = parse_class(text)) return {*chosen};
  return {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY, CKO_SECRET_KEY};
}

std::vector<CK_OBJECT_HANDLE> objects_of(const Session& session, const std::vector<CK_OBJECT_CLASS>& classes) {
  std::vector<CK_OBJECT_HANDLE> objects;
  for (const auto object_class : classes) {
    const auto found = session.find(Template().set(CKA_CLASS, object_class));
    objects.insert(objects.end(), found.begin(), found.end());
  }
  return objects;
}

bool has_text(const Value& row, const char* key, const std::string& wanted) {
  const auto* value = row.find(key);
  return wanted.empty() || (value != nullptr && value->text() != nullptr && *value->text() == wanted);
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return text;
}

struct Match {
  const char* kind;
  std::size_t distance;
};

// How `label` resembles `wanted`; the better, the smaller its distance.
std::optional<Match> match(const std::string& wanted, const std::string& label) {
  if (label == wanted) return Match{"exact", 0};
  const std::string a = lower(wanted);
  const std::string b = lower(label);
  const std::size_t edits = edit_distance(a, b);
  if (a == b) return Match{"case", 0};
  if (b.starts_with(a)) return Match{"prefix", edits};
  if (b.find(a) != std::string::npos) return Match{"part", edits};
  if (edits <= std::max<std::size_t>(1, (a.size() + 1) / 3)) return Match{"edit", edits};
  return std::nullopt;
}

}  // namespace

ExitCode list_keys(const Invocation& invocation, const ListOptions& options) {
  TokenAccess access(invocation);
  const auto classes = classes_of(options.object_class);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto objects = objects_of(session, classes);
  Report report{.name = "key.list", .rows_key = "keys", .columns = key_columns(), .if_empty = "no keys"};
  const Page page =
      options.type.empty() ? page_of(invocation, objects.size()) : Page{.begin = 0, .end = objects.size(), .next = {}};
  Progress progress(invocation, "reading keys", page.end - page.begin, "objects");
  for (std::size_t i = page.begin; i < page.end; ++i) {
    Value row = key_row(objects[i], session.read(objects[i], key_row_attributes()));
    progress.advance(1);
    if (has_text(row, "type", options.type)) report.rows.push_back(std::move(row));
  }
  if (!page.next.empty()) report.data.set("next", page.next);
  if (!options.type.empty()) {
    const Page of_type = page_of(invocation, report.rows.size());
    report.rows = {report.rows.begin() + static_cast<std::ptrdiff_t>(of_type.begin),
                   report.rows.begin() + static_cast<std::ptrdiff_t>(of_type.end)};
    if (!of_type.next.empty()) report.data.set("next", of_type.next);
  }
  if (!access.has_pin_source() && report.rows.empty()) note(invocation, "private keys need a login: --pin-from");
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode find_keys(const Invocation& invocation, const FindOptions& options) {
  TokenAccess access(invocation);
  std::vector<CK_OBJECT_CLASS> classes = classes_of(options.object_class);
  if (options.object_class.empty()) classes.insert(classes.end(), {CKO_CERTIFICATE, CKO_DATA});
  const Session& session = access.session(Session::Access::kReadOnly);
  Report report{.name = "key.find", .rows_key = "keys", .columns = key_columns(), .if_empty = "nothing found"};
  if (options.similar) report.columns.insert(report.columns.begin(), {"MATCH", "match.kind"});
  const auto selector = KeySelector::parse(options.label);
  const bool exact = !options.similar || !selector.label;
  const auto objects = exact ? find_all(session, selector, classes) : objects_of(session, classes);
  Progress progress(invocation, "comparing labels", objects.size(), "objects");
  std::vector<std::pair<std::size_t, Value>> found;
  for (const auto object : objects) {
    const auto attributes = session.read(object, key_row_attributes());
    progress.advance(1);
    std::optional<Match> how = Match{"exact", 0};
    if (!exact) how = match(*selector.label, attributes.text(CKA_LABEL));
    if (!how) continue;
    Value row = key_row(object, attributes);
    row.set("match", Value(Value::Record{{"kind", how->kind}, {"distance", how->distance}}));
    found.emplace_back(how->distance, std::move(row));
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  const Page page = page_of(invocation, found.size());
  for (std::size_t i = page.begin; i < page.end; ++i) report.rows.push_back(std::move(found[i].second));
  if (!page.next.empty()) report.data.set("next", page.next);
  present(invocation, report);
  return found.empty() ? ExitCode::kNegative : ExitCode::kOk;
}

}  // namespace p11shim

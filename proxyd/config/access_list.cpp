#include "proxyd/config/access_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include "config/kinds.h"

namespace p11shim {
namespace {

struct Prefix {
  std::string_view text;
  Selector::Kind kind;
  bool is_number;
};
constexpr std::array<Prefix, 4> kPrefixes{{{"user:", Selector::Kind::user, false},
                                           {"group:", Selector::Kind::group, false},
                                           {"uid:", Selector::Kind::user, true},
                                           {"gid:", Selector::Kind::group, true}}};

std::optional<id_t> parse_id(std::string_view text) {
  id_t id = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), id);
  // The largest id means "no change" to the kernel: nobody has it.
  const bool whole = failure == std::errc{} && end == text.data() + text.size();
  return whole && id != std::numeric_limits<id_t>::max() ? std::optional(id) : std::nullopt;
}

struct SelectorKind {
  using From = std::string;
  static std::string expected() { return "\"user:NAME\", \"group:NAME\", \"uid:NUMBER\" or \"gid:NUMBER\""; }
  static std::optional<Selector> parse(const std::string& text) { return parse_selector(text); }
  static std::string show(const Selector& selector) { return in_quotes(to_string(selector)); }
};

constexpr ListKind<SelectorKind> kSelectors{{}, "selectors such as \"user:root\""};

}  // namespace

std::optional<Selector> parse_selector(std::string_view text) {
  for (const Prefix& prefix : kPrefixes) {
    if (!text.starts_with(prefix.text)) continue;
    const std::string_view rest = text.substr(prefix.text.size());
    Selector selector{prefix.kind, {}, {}};
    if (prefix.is_number) {
      selector.id = parse_id(rest);
      return selector.id ? std::optional(selector) : std::nullopt;
    }
    selector.name = rest;
    const bool valid = !rest.empty() && rest.size() <= 256 && !has_control_characters(rest);
    return valid ? std::optional(selector) : std::nullopt;
  }
  return std::nullopt;
}

std::string to_string(const Selector& selector) {
  for (const Prefix& prefix : kPrefixes) {
    if (prefix.kind != selector.kind || prefix.is_number != selector.name.empty()) continue;
    return std::string(prefix.text) + (prefix.is_number ? std::to_string(selector.id.value_or(0)) : selector.name);
  }
  return {};
}

bool AccessList::allows(std::optional<uid_t> uid, std::span<const gid_t> groups) const {
  if (everybody_) return true;
  return std::any_of(selectors_.begin(), selectors_.end(), [&](const Selector& selector) {
    if (!selector.id) return false;
    if (selector.kind == Selector::Kind::user) return uid == *selector.id;
    return std::find(groups.begin(), groups.end(), *selector.id) != groups.end();
  });
}

void AdminKind::read(const ConfigValue& value, const std::string& path, AccessList& list, ConfigReport& report) {
  if (const bool* flag = value.get<bool>()) {
    list = *flag ? AccessList::everybody() : AccessList::nobody();
    return;
  }
  if (!value.get<ConfigValue::List>()) return report.error(value.place, wrong_type(path, value, expected()));
  std::vector<Selector> selectors;
  kSelectors.read(value, path, selectors, report);
  list = AccessList::only(std::move(selectors));
}

std::string AdminKind::show(const AccessList& list) {
  if (list.is_everybody()) return "true";
  return list.selectors().empty() ? "false" : kSelectors.show(list.selectors());
}

void AllowKind::read(const ConfigValue& value, const std::string& path, AccessList& list, ConfigReport& report) {
  if (!value.get<ConfigValue::List>()) return report.error(value.place, wrong_type(path, value, expected()));
  const bool is_empty = value.get<ConfigValue::List>()->empty();
  std::vector<Selector> selectors;
  kSelectors.read(value, path, selectors, report);
  list = is_empty ? AccessList::everybody() : AccessList::only(std::move(selectors));
}

std::string AllowKind::show(const AccessList& list) { return kSelectors.show(list.selectors()); }

}  // namespace p11shim

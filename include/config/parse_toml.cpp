#include <algorithm>
#include <string_view>

#include "config/toml.h"
#include "config/value.h"

namespace p11shim {
namespace {

ConfigPlace place_of(const toml::source_region& region) { return {region.begin.line, region.begin.column}; }

ConfigValue convert(const toml::node& node);

ConfigValue::Table convert_table(const toml::table& table) {
  ConfigValue::Table entries;
  for (const auto& [key, node] : table) {
    entries.push_back({std::string(key.str()), place_of(key.source()), convert(node)});
  }
  return entries;
}

ConfigValue::List convert_list(const toml::array& array) {
  ConfigValue::List items;
  for (const toml::node& node : array) items.push_back(convert(node));
  return items;
}

// Recurses as deep as toml++ itself did, which stops at TOML_MAX_NESTED_VALUES.
ConfigValue convert(const toml::node& node) {
  ConfigValue value;
  value.place = place_of(node.source());
  if (const auto* table = node.as_table()) {
    value.data = convert_table(*table);
  } else if (const auto* array = node.as_array()) {
    value.data = convert_list(*array);
  } else if (const auto* text = node.as_string()) {
    value.data = text->get();
  } else if (const auto* number = node.as_integer()) {
    value.data = number->get();
  } else if (const auto* flag = node.as_boolean()) {
    value.data = flag->get();
  } else {
    value.data = ConfigOther{node.is_floating_point() ? "a float" : "a date or time"};
  }
  return value;
}

// toml++ repeats what it read in some of its messages, and the line could hold a PIN that somebody wrote
// there, with or without quotes: one character of it is the most that we pass on.
std::string describe_error(const toml::parse_error& error) {
  constexpr std::string_view kPrefix = "Error while parsing ", kSaw = ", saw '";
  std::string_view text = error.description();
  if (text.starts_with(kPrefix)) text.remove_prefix(kPrefix.size());
  if (text.find("representable") != text.npos || text.find("interpreted") != text.npos) {
    text = "a number is out of range";
  }
  const auto saw = text.find(kSaw);
  if (saw != text.npos && text.size() - saw > kSaw.size() + 3) text = text.substr(0, saw);
  return "syntax error: " + printable(text);
}

// Where the string that begins at `begin` ends; one that is never closed, or not in its line, ends there.
std::size_t end_of_string(std::string_view text, std::size_t begin) {
  const std::string quotes(3, text[begin]);
  const bool multi_line = text.substr(begin, 3) == quotes;
  const std::size_t length = multi_line ? 3 : 1;
  for (std::size_t at = begin + length; at < text.size(); ++at) {
    if (text[at] == '\\' && quotes[0] == '"') {
      ++at;
    } else if (text.substr(at, length) == std::string_view(quotes).substr(0, length)) {
      // Up to two more quotes may stand before the closing three.
      for (at += length; multi_line && at < text.size() && text[at] == quotes[0];) ++at;
      return at;
    } else if (!multi_line && text[at] == '\n') {
      return at;
    }
  }
  return text.size();
}

// The first character outside of strings and comments that is not ASCII, or the end. TOML has none there, and
// toml++ 3.3 runs into __builtin_unreachable() at some of them.
std::size_t find_stray_character(std::string_view text) {
  std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;  // byte order mark
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) >= 0x80) return at;
    if (text[at] == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (text[at] == '"' || text[at] == '\'') {
      at = end_of_string(text, at);
    } else {
      ++at;
    }
  }
  return text.size();
}

ConfigPlace place_of(std::string_view text, std::size_t at) {
  ConfigPlace place{1, 1};
  for (const char character : text.substr(0, at)) {
    if (character == '\n') {
      place = {place.line + 1, 1};
    } else if ((static_cast<unsigned char>(character) & 0xc0) != 0x80) {  // a character's first byte
      ++place.column;
    }
  }
  return place;
}

}  // namespace

std::string_view ConfigValue::type() const {
  struct Name {
    std::string_view operator()(const Table&) const { return "a table"; }
    std::string_view operator()(const List&) const { return "a list"; }
    std::string_view operator()(const std::string&) const { return "a string"; }
    std::string_view operator()(std::int64_t) const { return "an integer"; }
    std::string_view operator()(bool) const { return "a boolean"; }
    std::string_view operator()(const ConfigOther& other) const { return other.type; }
  };
  return std::visit(Name{}, data);
}

ConfigValue parse_toml(std::string_view text, ConfigReport& report) {
  if (const std::size_t stray = find_stray_character(text); stray != text.size()) {
    report.error(place_of(text, stray), "syntax error: only strings and comments may hold other than ASCII characters");
    return {};
  }
  const toml::parse_result result = toml::parse(text, std::string_view{});
  if (result) return convert(result.table());
  report.error(place_of(result.error().source()), describe_error(result.error()));
  return {};
}

}  // namespace p11shim

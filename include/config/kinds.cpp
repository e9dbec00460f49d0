#include "config/kinds.h"

#include <algorithm>

namespace p11shim {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// IEEE Std 1003.1, "Environment Variables".
bool is_variable_name(std::string_view name) {
  const auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '_'; };
  return !name.empty() && !is_digit(name.front()) && std::all_of(name.begin(), name.end(), allowed);
}

}  // namespace

std::string_view key_name(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(dot + 1);
}

std::string wrong_type(std::string_view path, const ConfigValue& value, std::string_view expected) {
  return in_quotes(key_name(path)) + " is " + std::string(value.type()) + " (expected " + std::string(expected) + ')';
}

std::string refused(std::string_view path, std::string_view shown, std::string_view expected) {
  return in_quotes(key_name(path)) + " is " + std::string(shown) + " (expected " + std::string(expected) + ')';
}

std::string TextKind::expected() const {
  return std::string(what) + " of at most " + std::to_string(longest) + " bytes";
}

std::optional<std::string> TextKind::parse(const std::string& text) const {
  if (text.size() > longest || has_control_characters(text)) return std::nullopt;
  return text;
}

std::optional<std::string> IdentifierKind::parse(const std::string& text) {
  const auto allowed = [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.'; };
  if (text.empty() || text.size() > 64 || !std::all_of(text.begin(), text.end(), allowed)) return std::nullopt;
  return text;
}

std::string PathKind::expected() const {
  return "an absolute path of at most " + std::to_string(longest) + " bytes" + (may_be_empty ? ", or \"\"" : "");
}

std::optional<std::string> PathKind::parse(const std::string& text) const {
  if (text.empty() && may_be_empty) return text;
  if (!text.starts_with('/') || text.size() > longest || has_control_characters(text)) return std::nullopt;
  return text;
}

std::string WholeNumberKind::expected() const {
  return "a whole number from " + std::to_string(smallest) + " to " + std::to_string(largest);
}

std::optional<std::int64_t> WholeNumberKind::parse(std::int64_t number) const {
  if (number < smallest || number > largest) return std::nullopt;
  return number;
}

std::string DurationKind::expected() const {
  return "a duration from \"" + format_duration(shortest) + "\" to \"" + format_duration(longest) +
         "\", in ms, s, m, h or d";
}

std::optional<std::chrono::milliseconds> DurationKind::parse(const std::string& text) const {
  const auto duration = parse_duration(text);
  if (!duration || *duration < shortest || *duration > longest) return std::nullopt;
  return duration;
}

std::string SizeKind::expected() const {
  return "a size from \"" + format_size(smallest) + "\" to \"" + format_size(largest) + "\", in B, KiB, MiB or GiB";
}

std::optional<std::uint64_t> SizeKind::parse(const std::string& text) const {
  const auto size = parse_size(text);
  if (!size || *size < smallest || *size > largest) return std::nullopt;
  return size;
}

std::optional<std::optional<TcpAddress>> LoopbackKind::parse(const std::string& text) {
  if (text.empty()) return std::optional<TcpAddress>();
  auto address = parse_tcp_address(text);
  if (!address || !address->is_loopback()) return std::nullopt;
  return address;
}

std::string LoopbackKind::show(const std::optional<TcpAddress>& address) {
  return address ? in_quotes(to_string(*address)) : "\"\"";
}

void EnvironmentKind::read(const ConfigValue& value, const std::string& path,
                           std::map<std::string, std::string>& variables, ConfigReport& report) const {
  const auto* entries = value.get<ConfigValue::Table>();
  if (!entries) return report.error(value.place, wrong_type(path, value, expected()));
  for (const ConfigEntry& entry : *entries) {
    const bool named = is_variable_name(entry.name);
    const auto* text = entry.value.get<std::string>();
    if (!named) {
      report.error(entry.place, in_quotes(entry.name) + " cannot name an environment variable");
    } else if (!text) {
      report.error(entry.value.place, wrong_type(entry.name, entry.value, "a string"));
    } else if (text->find('\0') != std::string::npos) {
      report.error(entry.value.place, "the value of " + in_quotes(entry.name) + " contains a NUL");
    } else {
      variables[entry.name] = *text;
    }
  }
}

std::string EnvironmentKind::show(const std::map<std::string, std::string>& variables) {
  std::string text = "{";
  for (const auto& [name, value] : variables) text += (text.size() == 1 ? "" : ", ") + name + " = …";
  return text + "}";
}

}  // namespace p11shim

#include "rules.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "pkcs11/names.h"

namespace p11shim {
namespace {

[[noreturn]] void refuse(std::string_view word) {
  std::fprintf(stderr, "mock control: cannot understand '%.*s'\n", static_cast<int>(word.size()), word.data());
  std::abort();
}

std::uint64_t number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  const std::string_view digits = hexadecimal ? text.substr(2) : text;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size()) refuse(text);
  return value;
}

std::uint64_t named_number(std::optional<CK_ULONG> named, std::string_view text) {
  return named ? *named : number(text);
}

double fraction(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != '\0') refuse(text);
  return value;
}

std::chrono::nanoseconds duration(const std::string& text) {
  const std::size_t unit = text.find_first_not_of("0123456789.");
  if (unit == std::string::npos || unit == 0) refuse(text);
  const double value = fraction(text.substr(0, unit));
  const std::string_view name = std::string_view(text).substr(unit);
  const double scale = name == "s" ? 1e9 : name == "ms" ? 1e6 : name == "us" ? 1e3 : name == "ns" ? 1 : 0;
  if (scale == 0) refuse(text);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(value * scale));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream{std::string(text)};
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

Latency latency(std::string_view text) {
  const auto parts = split(text, ':');
  if (parts.size() == 1) return {Latency::Shape::kFixed, duration(parts[0]), {}};
  if (parts.size() == 2 && parts[0] == "exponential") {
    return {Latency::Shape::kExponential, duration(parts[1]), {}};
  }
  if (parts.size() == 3 && parts[0] == "uniform") {
    return {Latency::Shape::kUniform, duration(parts[1]), duration(parts[2])};
  }
  if (parts.size() == 3 && parts[0] == "normal") {
    return {Latency::Shape::kNormal, duration(parts[1]), duration(parts[2])};
  }
  refuse(text);
}

Crash crash(std::string_view text) {
  if (text == "segv") return Crash::kSegv;
  if (text == "abort") return Crash::kAbort;
  if (text == "exit") return Crash::kExit;
  if (text == "kill") return Crash::kKill;
  refuse(text);
}

ReportedLength report(std::string_view text) {
  if (text.starts_with('+')) return {true, static_cast<std::int64_t>(number(text.substr(1)))};
  if (text.starts_with('-')) return {true, -static_cast<std::int64_t>(number(text.substr(1)))};
  return {false, static_cast<std::int64_t>(number(text))};
}

std::vector<CK_BYTE> bytes(std::string_view hex) {
  if (hex.size() % 2 != 0) refuse(hex);
  std::vector<CK_BYTE> value;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    value.push_back(static_cast<CK_BYTE>(number("0x" + std::string(hex.substr(i, 2)))));
  }
  return value;
}

FunctionSet functions(std::string_view names) {
  FunctionSet set;
  if (names == "*") return set.set();
  for (const std::string& name : split(names, '|')) {
    const auto function = function_named(name);
    if (!function) refuse(name);
    set.set(static_cast<std::size_t>(*function));
  }
  return set;
}

struct Word {
  std::string key;
  std::string value;  // after '=', empty without one
};

Word word(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return {text, {}};
  return {text.substr(0, equals), text.substr(equals + 1)};
}

void add_to_rule(Rule& rule, const std::string& text) {
  const auto [key, value] = word(text);
  if (key == "rv") rule.rv = named_number(ckr_value(value), value);
  else if (key == "after") rule.after = number(value);
  else if (key == "times") rule.times = number(value);
  else if (key == "probability") rule.probability = fraction(value);
  else if (key == "latency") rule.latency = latency(value);
  else if (key == "concurrency") rule.concurrency = static_cast<unsigned>(number(value));
  else if (key == "hang") rule.hang = value;
  else if (key == "run") rule.run = value;
  else if (key == "crash") rule.crash = crash(value);
  else if (key == "missing") rule.missing = true;
  else if (key == "fill") rule.fill = true;
  else if (key == "length") rule.length = number(value);
  else if (key == "report") rule.report = report(value);
  else refuse(text);
}

CK_VERSION version(const std::string& text) {
  const auto parts = split(text, '.');
  if (parts.size() != 2) refuse(text);
  return {static_cast<CK_BYTE>(number(parts[0])), static_cast<CK_BYTE>(number(parts[1]))};
}

void add_to_module(Rules& rules, const std::string& text) {
  const auto [key, value] = word(text);
  if (key == "version") rules.version = version(value);
  else if (key == "firmware") rules.firmware = version(value);
  else if (key == "serial") rules.serial = value;
  else if (key == "least_pin") rules.least_pin = number(value);
  else if (key == "sessions") rules.sessions = number(value);
  else if (key == "moved") rules.moved = number(value);
  else if (key == "keys") rules.keys = number(value);
  else if (key == "user") rules.user = number(value);
  else if (key == "record") rules.record = value;
  else if (text == "handles=wide") rules.wide_handles = true;
  else if (text == "slots=wide") rules.wide_slots = true;
  else if (text == "login=no") rules.login = false;
  else if (text == "protected") rules.protected_path = true;
  else if (text == "objects=lost") rules.objects_lost = true;
  else if (text == "objects=out-of-sight") rules.objects_out_of_sight = true;
  else refuse(text);
}

AttributeRule attribute(const std::string& text) {
  const auto [key, value] = word(text);
  if (key == "invalid") return {AttributeRule::Kind::kInvalid, {}};
  if (key == "sensitive") return {AttributeRule::Kind::kSensitive, {}};
  if (key == "unavailable") return {AttributeRule::Kind::kUnavailable, {}};
  if (key == "value") return {AttributeRule::Kind::kValue, bytes(value)};
  refuse(text);
}

void add_line(Rules& rules, const std::string& line) {
  std::istringstream words(line.substr(0, line.find('#')));
  std::string first;
  std::string next;
  if (!(words >> first)) return;
  if (first == "attribute") {
    std::string what;
    if (!(words >> next >> what)) refuse(line);
    rules.attributes[named_number(cka_value(next), next)] = attribute(what);
    return;
  }
  if (first == "module") {
    while (words >> next) add_to_module(rules, next);
    return;
  }
  Rule& rule = rules.calls.emplace_back();
  rule.functions = functions(first);
  while (words >> next) add_to_rule(rule, next);
}

}  // namespace

bool Rules::missing(Function function) const {
  for (const Rule& rule : calls) {
    if (rule.missing && rule.functions.test(static_cast<std::size_t>(function))) return true;
  }
  return false;
}

Rules parse_rules(std::string_view text) {
  Rules rules;
  for (const std::string& line : split(text, '\n')) add_line(rules, line);
  return rules;
}

}  // namespace p11shim

#include "header_constants.h"

#include <cctype>
#include <fstream>
#include <optional>
#include <regex>

namespace p11shim {
namespace {

using Constants = std::map<std::string, unsigned long>;

std::optional<unsigned long> operand(const std::string& token, const Constants& known) {
  if (std::isdigit(static_cast<unsigned char>(token[0])) != 0) return std::stoul(token, nullptr, 0);
  const auto found = known.find(token);
  if (found == known.end()) return std::nullopt;
  return found->second;
}

// Operators from left to right; parentheses only surround.
std::optional<unsigned long> evaluate(const std::string& expression, const Constants& known) {
  static const std::regex kToken(R"(\w+|<<|\||\+)");
  unsigned long total = 0;
  char pending = '|';
  for (std::sregex_iterator token(expression.begin(), expression.end(), kToken), end; token != end; ++token) {
    const std::string text = token->str();
    if (text == "|" || text == "+" || text == "<<") {
      pending = text[0];
      continue;
    }
    const auto value = operand(text, known);
    if (!value) return std::nullopt;
    if (pending == '|') total |= *value;
    if (pending == '+') total += *value;
    if (pending == '<') total <<= *value;
  }
  return total;
}

}  // namespace

Constants read_header_constants(const std::vector<std::string>& paths) {
  static const std::regex kDefine(R"(\s*#\s*define\s+((?:CK[A-Z]?|NSSCK)_\w+)\s+([^/]*[^/\s]).*)");
  Constants known;
  Constants constants;
  std::smatch parts;
  for (const std::string& path : paths) {
    std::ifstream header(path);
    for (std::string line; std::getline(header, line);) {
      if (!std::regex_match(line, parts, kDefine)) continue;
      const auto value = evaluate(parts[2], known);
      if (!value) continue;
      known.emplace(parts[1], *value);
      if (parts[1].str()[3] == '_') constants.emplace(parts[1], *value);
    }
  }
  return constants;
}

}  // namespace p11shim

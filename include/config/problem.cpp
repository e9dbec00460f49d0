#include "config/problem.h"

#include <algorithm>

#include "config/utf8.h"

namespace p11shim {
namespace {

bool is_control(char character) { return static_cast<unsigned char>(character) < 0x20 || character == 0x7f; }

void append_escaped(std::string& to, std::string_view bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char character : bytes) {
    const auto byte = static_cast<unsigned char>(character);
    to += {'\\', 'x', kHex[byte >> 4], kHex[byte & 0xf]};
  }
}

}  // namespace

std::string to_string(const ConfigProblem& problem) {
  std::string text = problem.file;
  if (problem.place.line != 0) {
    text += ':' + std::to_string(problem.place.line) + ':' + std::to_string(problem.place.column);
  }
  text += ": ";
  if (problem.severity == ConfigProblem::Severity::warning) text += "warning: ";
  return text + problem.message;
}

bool has_control_characters(std::string_view text) { return std::any_of(text.begin(), text.end(), is_control); }

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Utf8Character first = first_character(text);
    const std::string_view bytes = text.substr(0, std::max<std::size_t>(first.length, 1));
    const bool is_control_of_8_bits = first.value >= 0x80 && first.value < 0xa0;  // a terminal may obey these, too
    const bool is_safe = first.length != 0 && !is_control(text.front()) && !is_control_of_8_bits;
    is_safe ? void(result += bytes) : append_escaped(result, bytes);
    text.remove_prefix(bytes.size());
  }
  return result;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t kLongest = 80;
  if (text.size() <= kLongest) return '"' + printable(text) + '"';
  text = text.substr(0, kLongest);
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
  if (!text.empty() && static_cast<unsigned char>(text.back()) >= 0xc0) text.remove_suffix(1);
  return '"' + printable(text) + "…\"";
}

void ConfigReport::error(ConfigPlace place, std::string message) {
  has_errors_ = true;
  problems_.push_back({ConfigProblem::Severity::error, file_, place, std::move(message)});
}

void ConfigReport::warning(ConfigPlace place, std::string message) {
  problems_.push_back({ConfigProblem::Severity::warning, file_, place, std::move(message)});
}

void ConfigReport::note_place(std::string path, ConfigPlace place) { places_.insert_or_assign(std::move(path), place); }

ConfigPlace ConfigReport::place_of(std::string_view path) const {
  while (!path.empty()) {
    if (const auto found = places_.find(path); found != places_.end()) return found->second;
    path = path.substr(0, path.find_last_of(".[") == path.npos ? 0 : path.find_last_of(".["));
  }
  return {};
}

bool ConfigReport::has_error_at(std::string_view path) const {
  const auto found = places_.find(path);
  return found != places_.end() && std::any_of(problems_.begin(), problems_.end(), [&](const ConfigProblem& problem) {
           return problem.severity == ConfigProblem::Severity::error && problem.place == found->second;
         });
}

std::vector<ConfigProblem> ConfigReport::take_problems() {
  std::stable_sort(problems_.begin(), problems_.end(),
                   [](const ConfigProblem& a, const ConfigProblem& b) { return a.place < b.place; });
  return std::move(problems_);
}

}  // namespace p11shim

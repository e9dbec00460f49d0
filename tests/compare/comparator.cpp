#include "comparator.h"

#include <algorithm>
#include <map>

namespace p11shim::compare {
namespace {

constexpr const char* kNone = "(none)";

std::string shown(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::map<std::string, std::string> fields_of(const TranscriptLine& line) {
  std::map<std::string, std::string> fields{{"rv", line.rv}};
  for (const auto& [name, value] : line.out.items()) fields[name] = shown(value);
  return fields;
}

std::string line_text(const TranscriptLine& line) {
  std::string text = line.call + " " + shown(line.in) + " → " + line.rv;
  if (!line.out.empty()) text += " " + shown(line.out);
  return text;
}

}  // namespace

std::vector<Difference> compare(const std::string& test_case, const std::string& backend,
                                const std::vector<TranscriptLine>& direct, const std::vector<TranscriptLine>& proxied,
                                const AllowedDifferences& allowed) {
  std::vector<Difference> differences;
  auto add = [&](Difference difference) {
    if (!allowed.allows(difference, backend)) differences.push_back(std::move(difference));
  };

  const std::size_t common = std::min(direct.size(), proxied.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (direct[i].call != proxied[i].call) {
      differences.push_back({test_case, i + 1, direct[i].call, "call", direct[i].call, proxied[i].call});
      return differences;
    }
    std::map<std::string, std::string> ours = fields_of(direct[i]);
    std::map<std::string, std::string> theirs = fields_of(proxied[i]);
    for (const auto& [field, value] : ours) {
      auto other = theirs.find(field);
      const std::string answer = other == theirs.end() ? kNone : other->second;
      if (answer != value) add({test_case, i + 1, direct[i].call, field, value, answer});
    }
    for (const auto& [field, value] : theirs)
      if (!ours.contains(field)) add({test_case, i + 1, direct[i].call, field, kNone, value});
  }
  if (direct.size() > common)
    differences.push_back({test_case, common + 1, direct[common].call, "call", direct[common].call, kNone});
  if (proxied.size() > common)
    differences.push_back({test_case, common + 1, proxied[common].call, "call", kNone, proxied[common].call});
  return differences;
}

std::string explain(const Difference& difference, const std::vector<TranscriptLine>& direct) {
  std::string text = difference.test_case + ", call " + std::to_string(difference.line) + ", " + difference.function +
                     ": " + difference.field + " is " + difference.direct + " directly, " + difference.proxied +
                     " through the proxy\n";
  const std::size_t first = difference.line > 4 ? difference.line - 4 : 1;
  for (std::size_t line = first; line <= difference.line && line <= direct.size(); ++line)
    text += "    " + std::to_string(line) + "  " + line_text(direct[line - 1]).substr(0, 300) + "\n";
  return text;
}

}  // namespace p11shim::compare

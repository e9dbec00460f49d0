#include "tools/shimctl/automate/parse_yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>

namespace p11shim {

namespace {

constexpr int kDeepest = 16;
constexpr std::size_t kMostNodes = 100'000;  // aliases multiply

ConfigPlace place_of(const YAML::Mark& mark) {
  return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

class Converter {
 public:
  ConfigValue convert(const YAML::Node& node, int depth) {
    if (depth > kDeepest || ++nodes_ > kMostNodes) throw YAML::Exception(node.Mark(), "nested too deeply");
    ConfigValue value;
    value.place = place_of(node.Mark());
    if (node.IsMap()) {
      ConfigValue::Table table;
      for (const auto& entry : node) {
        table.push_back(
            {entry.first.as<std::string>(), place_of(entry.first.Mark()), convert(entry.second, depth + 1)});
      }
      value.data = std::move(table);
    } else if (node.IsSequence()) {
      ConfigValue::List list;
      for (const auto& item : node) list.push_back(convert(item, depth + 1));
      value.data = std::move(list);
    } else if (node.IsScalar()) {
      value.data = scalar(node);
    } else {
      value.data = ConfigOther{"nothing"};
    }
    return value;
  }

 private:
  // Quoted text stays text.
  static decltype(ConfigValue::data) scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text;
    if (text == "true" || text == "false") return text == "true";
    std::int64_t number = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return number;
    return text;
  }

  std::size_t nodes_ = 0;
};

}  // namespace

ConfigValue parse_yaml(const std::string& text, ConfigReport& report) {
  try {
    return Converter().convert(YAML::Load(text), 0);
  } catch (const YAML::Exception& error) {
    report.error(place_of(error.mark), "syntax error: " + printable(error.msg));
    return {};
  }
}

}  // namespace p11shim

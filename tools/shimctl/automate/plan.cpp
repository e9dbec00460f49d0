#include "tools/shimctl/automate/plan.h"

#include <openssl/sha.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "config/section.h"
#include "config/text_file.h"
#include "tools/shimctl/automate/parse_yaml.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

using Variables = std::map<std::string, std::string>;

constexpr std::array<std::string_view, 4> kActions{"generate", "rename", "set", "delete"};

struct WrittenStep {
  std::string action;
  std::string label;
  std::string type;
  std::string id;
  std::string attributes;
  std::string public_attributes;
  std::string to;
  std::int64_t count = 1;
  std::int64_t first = 1;
};

struct ActionKind {
  using From = std::string;
  static std::string expected() { return "\"generate\", \"rename\", \"set\" or \"delete\""; }
  static std::string near(const std::string& text) { return did_you_mean(text, kActions); }
  static std::optional<std::string> parse(const std::string& text) {
    if (std::find(kActions.begin(), kActions.end(), text) == kActions.end()) return std::nullopt;
    return text;
  }
  static std::string show(const std::string& text) { return in_quotes(text); }
};

constexpr TextKind kLabel{.longest = 512};
const auto kStepFields = std::make_tuple(
    config_field("action", &WrittenStep::action, ActionKind{}).required(),
    config_field("label", &WrittenStep::label, kLabel).required(), config_field("type", &WrittenStep::type, kLabel),
    config_field("id", &WrittenStep::id, kLabel), config_field("attributes", &WrittenStep::attributes, kLabel),
    config_field("public_attributes", &WrittenStep::public_attributes, kLabel),
    config_field("to", &WrittenStep::to, kLabel),
    config_field("count", &WrittenStep::count, WholeNumberKind{1, kMostPlanSteps}),
    config_field("first", &WrittenStep::first, WholeNumberKind{0, 1'000'000'000}));

// "{env}-{n:3}"
std::string filled(const std::string& text, const Variables& variables, std::int64_t n, std::string& why) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const auto open = text.find('{', at);
    result += text.substr(at, open - at);
    if (open == std::string::npos) break;
    const auto close = text.find('}', open);
    if (close == std::string::npos) {
      why = in_quotes(text) + " lacks a }";
      return {};
    }
    std::string name = text.substr(open + 1, close - open - 1);
    std::size_t width = 0;
    if (const auto colon = name.find(':'); colon != std::string::npos) {
      std::from_chars(name.data() + colon + 1, name.data() + name.size(), width);
      name.resize(colon);
    }
    std::string value;
    if (name == "n") {
      value = std::to_string(n);
    } else if (const auto found = variables.find(name); found != variables.end()) {
      value = found->second;
    } else {
      std::vector<std::string_view> known{"n"};
      for (const auto& [each, unused] : variables) known.push_back(each);
      why = "there is no variable " + in_quotes(name) + did_you_mean(name, known);
      return {};
    }
    if (value.size() < std::min<std::size_t>(width, 20)) value.insert(0, width - value.size(), '0');
    result += value;
    at = close + 1;
  }
  return result;
}

std::string lower(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  return text;
}

class PlanReader {
 public:
  PlanReader(ConfigReport& report, const std::vector<std::string>& variables) : report_(report) {
    for (const auto& each : variables) {
      const auto equals = each.find('=');
      if (equals == std::string::npos || equals == 0)
        throw Failure(ExitCode::kUsage, in_quotes(each) + " sets no variable", "--set env=test");
      given_[each.substr(0, equals)] = each.substr(equals + 1);
    }
  }

  Plan read(const ConfigValue& root) {
    Plan plan;
    ConfigSection top(root, "", "", report_);
    const ConfigEntry* name = top.take("name");
    read_variables(top.take("variables"));
    const ConfigEntry* list = top.take("step");
    if (const ConfigEntry* steps = top.take("steps"); list == nullptr) list = steps;  // as YAML reads better
    if (name != nullptr) {
      read_value(name->value, "name", kLabel, plan.name, report_);
      plan.name = fill(plan.name, 0, name->value.place);
    }
    const auto* items = list == nullptr ? nullptr : list->value.get<ConfigValue::List>();
    if (items == nullptr && !report_.has_errors()) report_.error({}, "the plan has no [[step]]");
    for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) read_step((*items)[i], i, plan);
    top.finish();
    return plan;
  }

 private:
  void read_variables(const ConfigEntry* entry) {
    if (entry != nullptr) {
      const auto* table = entry->value.get<ConfigValue::Table>();
      if (table == nullptr) return report_.error(entry->place, "\"variables\" is a table");
      for (const auto& each : *table) {
        const auto* text = each.value.get<std::string>();
        const auto* number = each.value.get<std::int64_t>();
        if (text == nullptr && number == nullptr) {
          report_.error(each.value.place, in_quotes(each.name) + " is neither a text nor a number");
          continue;
        }
        variables_[each.name] = text != nullptr ? *text : std::to_string(*number);
      }
    }
    for (const auto& [name, value] : given_) {
      std::vector<std::string_view> known;
      for (const auto& [each, unused] : variables_) known.push_back(each);
      if (!variables_.contains(name))
        throw Failure(ExitCode::kUsage, "the plan has no variable " + in_quotes(name) + did_you_mean(name, known), "");
      variables_[name] = value;
    }
  }

  std::string fill(const std::string& text, std::int64_t n, ConfigPlace place) {
    std::string why;
    std::string result = filled(text, variables_, n, why);
    if (!why.empty()) report_.error(place, why);
    return result;
  }

  void read_step(const ConfigValue& value, std::size_t number, Plan& plan) {
    const std::string path = "step[" + std::to_string(number) + "]";
    const auto before = report_.has_errors();
    WrittenStep step;
    ConfigSection section(value, "[[step]]", path, report_);
    section.read(step, kStepFields);
    if (step.action != "generate") {
      for (const char* key : {"type", "id"}) section.refuse_key(key, "belongs to \"generate\"");
    }
    if (step.action != "rename") section.refuse_key("to", "belongs to \"rename\"");
    section.finish();
    if (step.action == "rename" && step.to.empty()) report_.error(value.place, "a rename lacks \"to\"");
    if (step.action == "set" && step.attributes.empty() && step.public_attributes.empty())
      report_.error(value.place, "a set lacks \"attributes\"");
    if (!before && report_.has_errors()) return;
    if (plan.steps.size() + static_cast<std::size_t>(step.count) > kMostPlanSteps)
      return report_.error(value.place, "more than " + std::to_string(kMostPlanSteps) + " steps");
    for (std::int64_t n = step.first; n < step.first + step.count && !report_.has_errors(); ++n) {
      const auto place = [&](const char* key) { return report_.place_of(path + "." + key); };
      plan.steps.push_back({.action = step.action,
                            .label = fill(step.label, n, place("label")),
                            .type = fill(step.type, n, place("type")),
                            .id = fill(step.id, n, place("id")),
                            .attributes = fill(step.attributes, n, place("attributes")),
                            .public_attributes = fill(step.public_attributes, n, place("public_attributes")),
                            .to = fill(step.to, n, place("to"))});
      if (!report_.has_errors()) check_names(plan.steps.back(), value.place);
    }
  }

  // What this plan itself has named so before: the token is asked when each step begins.
  void check_names(const PlanStep& step, ConfigPlace place) {
    const auto take = [&](std::set<std::string>& taken, const std::string& name, const char* what) {
      if (!taken.insert(name).second)
        report_.error(place, "two steps give the same " + std::string(what) + " " + in_quotes(name) +
                                 (what == std::string_view("label") ? "; {n} in it counts" : ""));
    };
    if (step.action == "rename" || step.action == "delete") labels_.erase(step.label);
    if (step.action == "rename") take(labels_, step.to, "label");
    if (step.action != "generate") return;
    take(labels_, step.label, "label");
    if (!step.id.empty()) take(ids_, lower(step.id), "id");
  }

  ConfigReport& report_;
  Variables given_;
  Variables variables_;
  std::set<std::string> labels_;  // of keys that the plan made or renamed
  std::set<std::string> ids_;
};

std::string sha256_hex(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace

Plan read_plan(const std::string& path, const std::vector<std::string>& variables) {
  const TextFile file = read_text_file(path);
  if (file.error != 0) throw Failure(ExitCode::kNotFound, path + ": " + file.message, "");
  ConfigReport report(path);
  const bool yaml = path.ends_with(".yaml") || path.ends_with(".yml");
  const ConfigValue root = yaml ? parse_yaml(file.text, report) : parse_toml(file.text, report);
  Plan plan;
  if (!report.has_errors()) plan = PlanReader(report, variables).read(root);
  if (report.has_errors()) {
    std::string all;
    for (const auto& problem : report.take_problems()) all += (all.empty() ? "" : "; ") + to_string(problem);
    throw Failure(ExitCode::kConfiguration, all, "");
  }
  std::string identity = file.text;
  for (const auto& each : variables) identity += '\0' + each;
  plan.text_sha256 = sha256_hex(identity);
  return plan;
}

}  // namespace p11shim

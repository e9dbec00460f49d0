#include "tools/shimctl/automate/rotation_policy.h"

#include <algorithm>
#include <charconv>

#include "config/problem.h"
#include "config/section.h"
#include "config/text_file.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

constexpr TextKind kText{.longest = 4096};
const auto kFields = std::make_tuple(
    config_field("pattern", &RotationRule::pattern, kText).required(),
    config_field("max_age", &RotationRule::max_age,
                 DurationKind{.shortest = std::chrono::milliseconds(0), .longest = std::chrono::hours(24 * 36525)}),
    config_field("keep", &RotationRule::keep, WholeNumberKind{1, 1000}),
    config_field("canary", &RotationRule::canary, WholeNumberKind{0, 100'000}),
    config_field("canary_command", &RotationRule::canary_command, kText),
    config_field("try_command", &RotationRule::try_command, kText), config_field("stage", &RotationRule::stage, kText),
    config_field("stage_command", &RotationRule::stage_command, kText),
    config_field("type", &RotationRule::type, kText), config_field("backup", &RotationRule::backup, kText),
    config_field("kek", &RotationRule::kek, kText), config_field("sign_with", &RotationRule::sign_with, kText));

}  // namespace

std::size_t stage_size(const RotationRule& rule, std::size_t keys) {
  if (rule.stage.empty()) return std::max<std::size_t>(keys, 1);
  const bool percent = rule.stage.back() == '%';
  const char* end = rule.stage.data() + rule.stage.size() - (percent ? 1 : 0);
  std::size_t number = 0;
  const auto parsed = std::from_chars(rule.stage.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number == 0 || (percent && number > 100))
    throw Failure(ExitCode::kUsage, in_quotes(rule.stage) + " is no size of a stage", "a number of keys, or 25%");
  return percent ? std::max<std::size_t>(keys * number / 100, 1) : number;
}

std::vector<RotationRule> read_rotation_policy(const std::string& path) {
  const TextFile file = read_text_file(path);
  if (file.error != 0) throw Failure(ExitCode::kNotFound, path + ": " + file.message, "");
  ConfigReport report(path);
  const ConfigValue root = parse_toml(file.text, report);
  std::vector<RotationRule> rules;
  ConfigSection top(root, "", "", report);
  const ConfigEntry* list = top.take("rule");
  const auto* items = list == nullptr ? nullptr : list->value.get<ConfigValue::List>();
  if (items == nullptr && !report.has_errors()) report.error({}, "the policy has no [[rule]]");
  for (std::size_t i = 0; items != nullptr && i < items->size(); ++i) {
    RotationRule rule;
    ConfigSection section((*items)[i], "[[rule]]", "rule[" + std::to_string(i) + "]", report);
    section.read(rule, kFields);
    section.finish();
    if (!report.has_errors()) stage_size(rule, 1);
    rules.push_back(std::move(rule));
  }
  top.finish();
  if (!report.has_errors()) return rules;
  std::string all;
  for (const auto& problem : report.take_problems()) all += (all.empty() ? "" : "; ") + to_string(problem);
  throw Failure(ExitCode::kConfiguration, all, "");
}

}  // namespace p11shim

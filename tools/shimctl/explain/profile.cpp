#include "tools/shimctl/explain/profile.h"

#include <algorithm>

#include "tools/shimctl/explain/text_table.h"

namespace p11shim {

namespace {

constexpr std::int64_t kLargest = 0xffffffff;

void append(std::vector<std::string>& to, std::vector<std::string> more, const std::string& vendor) {
  for (std::string& text : more) to.push_back(vendor + ": " + text);
}

// What a vendor has to say about a code of the standard.
void add_to_standard(TextTable& table, ReturnCodeText& code, const std::string& vendor) {
  append(code.causes, table.list("causes"), vendor);
  append(code.fix, table.list("fix"), vendor);
}

ReturnCodeText read_code(TextTable& table, const std::string& vendor, ConfigReport& report) {
  ReturnCodeText code;
  code.name = table.name();
  code.vendor = vendor;
  const ConfigValue* value = table.number("value");
  const std::int64_t number = value == nullptr ? 0 : *value->get<std::int64_t>();
  if (number <= 0 || number > kLargest)
    report.error(table.place(), table.name() + ".value must be a number such as 0x80000001");
  code.value = static_cast<CK_RV>(number);
  read_return_code(table, code, report);
  return code;
}

}  // namespace

std::vector<ConfigProblem> add_profile(const std::string& file, std::string_view text,
                                       std::vector<ReturnCodeText>& codes) {
  ConfigReport report(file);
  const ConfigValue root = parse_toml(text, report);
  const auto* entries = root.get<ConfigValue::Table>();
  std::string vendor = "vendor";
  std::vector<ReturnCodeText> all = codes;
  if (entries != nullptr)
    for (const ConfigEntry& entry : *entries)
      if (entry.name == "vendor" && entry.value.get<std::string>() != nullptr) vendor = *entry.value.get<std::string>();
  if (entries != nullptr)
    for (const ConfigEntry& entry : *entries) {
      if (entry.name == "vendor") continue;
      if (!entry.name.starts_with("CKR_")) {
        report.error(entry.place, in_quotes(entry.name) + " does not begin with CKR_");
        continue;
      }
      TextTable table(entry, report);
      const auto known = std::find_if(all.begin(), all.end(), [&](const ReturnCodeText& code) {
        return code.name == entry.name && code.vendor.empty();
      });
      if (known != all.end()) add_to_standard(table, *known, vendor);
      else all.push_back(read_code(table, vendor, report));
      table.finish();
    }
  const bool failed = report.has_errors();
  auto problems = report.take_problems();
  if (failed) return problems;
  std::stable_sort(all.begin(), all.end(),
                   [](const ReturnCodeText& a, const ReturnCodeText& b) { return a.value < b.value; });
  codes = std::move(all);
  return problems;
}

}  // namespace p11shim

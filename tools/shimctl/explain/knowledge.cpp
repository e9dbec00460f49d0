#include "tools/shimctl/explain/knowledge.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>

#include "pkcs11/attributes.h"
#include "pkcs11/names.h"
#include "tools/shimctl/explain/embedded.h"
#include "tools/shimctl/explain/text_table.h"

namespace p11shim {

namespace {

// Calls read(entry, report) for each top-level entry of the files that begin with `prefix`.
template <class Read>
void read_files(std::string_view prefix, Read&& read) {
  for (const EmbeddedText& file : embedded_texts()) {
    if (!file.file.starts_with(prefix)) continue;
    ConfigReport report{std::string(file.file)};
    const ConfigValue root = parse_toml(file.text, report);
    if (const auto* entries = root.get<ConfigValue::Table>())
      for (const ConfigEntry& entry : *entries) read(entry, report);
    for (const ConfigProblem& problem : report.take_problems()) throw std::logic_error(to_string(problem));
  }
}

template <class Text>
void sort_by_value(std::vector<Text>& texts) {
  std::sort(texts.begin(), texts.end(), [](const Text& a, const Text& b) { return a.value < b.value; });
}

std::map<std::string, ClientTexts> client_texts() {
  std::map<std::string, ClientTexts> clients;
  read_files("clients.toml", [&](const ConfigEntry& entry, ConfigReport& report) {
    TextTable table(entry, report);
    clients[entry.name] = {table.text("openssl"), table.text("gnutls"), table.text("java"), table.text("python")};
    table.finish();
  });
  return clients;
}

std::string with_member(const std::string& pattern, const std::string& member) {
  if (member.starts_with('=')) return member.substr(1);
  const auto place = pattern.find("{}");
  return place == std::string::npos ? member : std::string(pattern).replace(place, 2, member);
}

// "ulong_array" as people say it.
constexpr std::string_view kind_text(std::string_view kind) {
  if (kind == "ulong") return "number (CK_ULONG)";
  if (kind == "boolean") return "boolean (CK_BBOOL, one byte)";
  if (kind == "utf8") return "text (UTF-8, no terminator)";
  if (kind == "bytes") return "bytes";
  if (kind == "big_integer") return "big integer (most significant byte first)";
  if (kind == "date") return "date (CK_DATE, eight characters)";
  if (kind == "ulong_array") return "array of numbers (CK_ULONG)";
  if (kind == "mechanism_list") return "array of mechanisms (CK_MECHANISM_TYPE)";
  return "array of attributes";
}

struct AttributeFacts {
  std::string_view name;
  std::string_view kind;
  std::string_view trait;
};

constexpr AttributeFacts kAttributeFacts[] = {
#define ALIAS(kind, name)
#define ATTRIBUTE(name, kind, trait) {#name, #kind, #trait},
#include "pkcs11/attributes.def"
#undef ATTRIBUTE
#undef ALIAS
};

}  // namespace

void read_return_code(TextTable& table, ReturnCodeText& text, ConfigReport& report) {
  text.means = table.required("means");
  text.fault = table.choice("fault", kFaults);
  text.causes = table.list("causes");
  text.fix = table.list("fix");
  text.retry = table.choice("retry", kRetries);
  text.retry_why = table.text("retry_why");
  text.proxy = table.list("proxy");
  text.shim = table.text("shim");
  text.section = table.text("section");
  const ConfigEntry* in = table.take("in");
  if (in == nullptr) return;
  TextTable contexts(*in, report);
  std::string_view rest = kContexts;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(' '), rest.size());
    const std::string_view context = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (auto causes = contexts.list(context); !causes.empty()) text.in.emplace_back(context, std::move(causes));
  }
  contexts.finish();
}

std::vector<ReturnCodeText> known_return_codes() {
  std::map<std::string, std::vector<std::string>> functions;
  for (const FunctionText& function : known_functions())
    for (const std::string& code : function.returns) functions[code].push_back(function.name);
  std::map<std::string, ClientTexts> clients = client_texts();
  std::vector<ReturnCodeText> texts;
  read_files("codes_", [&](const ConfigEntry& entry, ConfigReport& report) {
    TextTable table(entry, report);
    ReturnCodeText text;
    text.name = entry.name;
    const auto value = ckr_value(entry.name);
    if (!value) report.error(entry.place, entry.name + " is no return code");
    text.value = value.value_or(0);
    read_return_code(table, text, report);
    table.finish();
    text.functions = std::move(functions[text.name]);
    text.clients = std::move(clients[text.name]);
    texts.push_back(std::move(text));
  });
  sort_by_value(texts);
  return texts;
}

std::vector<FunctionText> known_functions() {
  std::map<std::string, std::vector<std::string>> groups;
  std::map<std::string, std::string> conventions;
  std::vector<FunctionText> texts;
  const auto read = [&](const ConfigEntry& entry, ConfigReport& report) {
    const auto* entries = entry.value.get<ConfigValue::Table>();
    if (entry.name == "groups" && entries != nullptr) {
      for (const ConfigEntry& group : *entries) groups[group.name] = texts_of(group.value, group.name, report);
      return;
    }
    if (entry.name == "conventions" && entries != nullptr) {
      for (const ConfigEntry& convention : *entries)
        if (const auto* text = convention.value.get<std::string>()) conventions[convention.name] = *text;
      return;
    }
    TextTable table(entry, report);
    FunctionText text;
    text.name = entry.name;
    text.does = table.required("does");
    text.arguments = table.list("arguments");
    text.conventions = table.list("conventions");  // names, so far
    text.returns = table.list("groups");           // names, so far
    const auto own = table.list("returns");
    text.pitfalls = table.list("pitfalls");
    text.section = table.required("section");
    table.finish();
    text.returns.insert(text.returns.end(), own.begin(), own.end());
    texts.push_back(std::move(text));
  };
  read_files("functions", read);
  for (FunctionText& text : texts) {
    for (std::string& convention : text.conventions) convention = conventions.at(convention);
    std::set<std::string> codes;
    for (const std::string& name : text.returns) {
      if (name.starts_with("CKR_")) codes.insert(name);
      else codes.insert(groups.at(name).begin(), groups.at(name).end());
    }
    text.returns.assign(codes.begin(), codes.end());
  }
  std::sort(texts.begin(), texts.end(), [](const FunctionText& a, const FunctionText& b) { return a.name < b.name; });
  return texts;
}

std::vector<MechanismText> known_mechanisms() {
  std::vector<MechanismText> texts;
  read_files("mechanisms_", [&](const ConfigEntry& entry, ConfigReport& report) {
    TextTable table(entry, report);
    MechanismText family;
    family.family = table.required("title");
    family.keys = table.list("keys");
    family.used_for = table.list("used_for");
    family.parameter = table.required("parameter");
    family.pitfalls = table.list("pitfalls");
    family.section = table.required("section");
    const std::string pattern = table.text("does");
    const ConfigEntry* members = table.take("members");
    table.finish();
    const auto* entries = members == nullptr ? nullptr : members->value.get<ConfigValue::Table>();
    if (entries == nullptr) return report.error(entry.place, entry.name + " has no members");
    for (const ConfigEntry& member : *entries) {
      const auto* words = member.value.get<std::string>();
      const auto value = ckm_value(member.name);
      if (words == nullptr || !value) return report.error(member.place, member.name + " is no mechanism with a text");
      MechanismText text = family;
      text.name = member.name;
      text.value = *value;
      text.does = with_member(pattern, *words);
      texts.push_back(std::move(text));
    }
  });
  sort_by_value(texts);
  return texts;
}

std::vector<CheckText> known_checks() {
  std::vector<CheckText> texts;
  for (const std::string of : {"doctor", "readiness", "audit"})
    read_files("checks_" + of, [&](const ConfigEntry& entry, ConfigReport& report) {
      TextTable table(entry, report);
      CheckText text;
      text.name = entry.name;
      text.of = of;
      const ConfigValue* number = table.number("number");
      const auto* value = number == nullptr ? nullptr : number->get<std::int64_t>();
      if (value == nullptr) return report.error(entry.place, entry.name + " has no number");
      text.number = static_cast<unsigned>(*value);
      text.area = table.required("area");
      text.looks_at = table.required("looks_at");
      text.why = table.required("why");
      text.fix = table.list("fix");
      if (of == "audit") text.severity = table.choice("severity", kSeverities);
      text.code = table.text("code");
      table.finish();
      texts.push_back(std::move(text));
    });
  std::sort(texts.begin(), texts.end(), [](const CheckText& a, const CheckText& b) { return a.number < b.number; });
  return texts;
}

std::vector<AttributeText> known_attributes() {
  std::vector<AttributeText> texts;
  read_files("attributes", [&](const ConfigEntry& entry, ConfigReport& report) {
    TextTable table(entry, report);
    AttributeText text;
    text.name = entry.name;
    const auto facts = std::find_if(std::begin(kAttributeFacts), std::end(kAttributeFacts),
                                    [&](const AttributeFacts& fact) { return fact.name == entry.name; });
    if (facts == std::end(kAttributeFacts)) return report.error(entry.place, entry.name + " is no attribute");
    text.value = cka_value(entry.name).value_or(0);
    text.kind = kind_text(facts->kind);
    text.sensitive = facts->trait == "secret" || facts->trait == "fixed_secret";
    text.on = table.required("on");
    text.means = table.required("means");
    text.set_by = table.required("set_by");
    text.by_default = table.required("default");
    text.pitfall = table.text("pitfall");
    table.finish();
    texts.push_back(std::move(text));
  });
  sort_by_value(texts);
  return texts;
}

}  // namespace p11shim

#include "tools/shimctl/commands/explain/explain_names.h"

#include <unistd.h>

#include "config/problem.h"
#include "pkcs11/names.h"
#include "tools/shimctl/commands/explain/prose.h"
#include "tools/shimctl/explain/knowledge.h"
#include "tools/shimctl/explain/spelling.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/terminal.h"

namespace p11shim {

namespace {

Value list_of(const std::vector<std::string>& items) {
  Value list = Value::List{};
  for (const std::string& item : items) list.push_back(item);
  return list;
}

Value or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

// The texts that `asked` names; all if it is empty.
template <class Text>
std::vector<Text> choose(const Invocation& invocation, std::vector<Text> texts, const std::string& asked,
                         const char* prefix, const char* what) {
  if (asked.empty()) return texts;
  std::vector<KnownName> names;
  for (const Text& text : texts) {
    if constexpr (requires { text.value; }) names.push_back({text.name, text.value, true});
    else names.push_back({text.name, 0, false});
  }
  std::vector<Text> chosen;
  for (const SpelledName& name : find_names(asked, names, prefix)) {
    if (name.how == Spelling::kTypo)
      note(invocation, "there is no " + in_quotes(asked) + "; this is " + texts[name.index].name);
    chosen.push_back(texts[name.index]);
  }
  if (chosen.empty())
    throw Failure(ExitCode::kNotFound, in_quotes(asked) + " is no " + what,
                  "without a name the command lists all" +
                      (*prefix == '\0' ? "" : "; a name may be written without " + std::string(prefix)));
  return chosen;
}

// `write(prose, text)` for people who asked for one; otherwise rows.
template <class Text, class Write, class Row>
void show(const Invocation& invocation, const std::vector<Text>& texts, bool all, Report report, Write&& write,
          Row&& row) {
  if (invocation.format == OutputFormat::kTable && !all) {
    Prose prose(invocation.out, terminal_columns(), wants_colour(STDOUT_FILENO));
    for (const Text& text : texts) write(prose, text);
    return;
  }
  for (const Text& text : texts) report.rows.push_back(row(text));
  present(invocation, report);
}

// Older names of the same number are understood.
template <class Lookup>
std::string canonical(const std::string& asked, NameKind kind, Lookup&& lookup) {
  const auto value = lookup(asked);
  const auto name = value ? name_of(kind, *value) : std::nullopt;
  return name ? std::string(*name) : asked;
}

}  // namespace

ExitCode explain_mechanism(const Invocation& invocation, const ExplainNameOptions& options) {
  const std::string asked =
      canonical(options.name, NameKind::ckm, [](const std::string& name) { return ckm_value(name); });
  const auto texts = choose(invocation, known_mechanisms(), asked, "CKM_", "mechanism");
  Report report{.name = "explain.mech",
                .rows_key = "mechanisms",
                .columns = {{"MECHANISM", "name"}, {"VALUE", "hex"}, {"USED FOR", "used_for"}, {"DOES", "does"}}};
  show(
      invocation, texts, asked.empty(), std::move(report),
      [](Prose& prose, const MechanismText& text) {
        prose.title(text.name, hexadecimal(text.value, 8));
        prose.paragraph(text.does);
        prose.field("Family", text.family);
        prose.words("Keys", text.keys);
        prose.words("Used for", text.used_for);
        prose.field("Parameter", text.parameter);
        prose.list("Pitfalls", text.pitfalls);
        prose.field("Standard", text.section.starts_with("NSS") ? "NSS's own" : "PKCS#11 3.2, " + text.section);
      },
      [](const MechanismText& text) {
        Value value;
        value.set("name", text.name).set("value", text.value).set("hex", hexadecimal(text.value, 8));
        value.set("does", text.does).set("family", text.family).set("keys", list_of(text.keys));
        value.set("used_for", list_of(text.used_for)).set("parameter", text.parameter);
        value.set("pitfalls", list_of(text.pitfalls)).set("section", text.section);
        return value;
      });
  return ExitCode::kOk;
}

ExitCode explain_attribute(const Invocation& invocation, const ExplainNameOptions& options) {
  const std::string asked =
      canonical(options.name, NameKind::cka, [](const std::string& name) { return cka_value(name); });
  const auto texts = choose(invocation, known_attributes(), asked, "CKA_", "attribute");
  Report report{.name = "explain.attr",
                .rows_key = "attributes",
                .columns = {{"ATTRIBUTE", "name"}, {"VALUE", "hex"}, {"ON", "on"}, {"MEANING", "means"}}};
  show(
      invocation, texts, asked.empty(), std::move(report),
      [](Prose& prose, const AttributeText& text) {
        prose.title(text.name, hexadecimal(text.value, 8));
        prose.paragraph(text.means);
        prose.field("On", text.on);
        prose.field("Type", text.kind);
        prose.field("Set by", text.set_by);
        prose.field("Default", text.by_default);
        prose.field("Secret", text.sensitive
                                  ? "yes: neither logged nor shown, and not readable if the object is sensitive"
                                  : "no");
        prose.field("Pitfall", text.pitfall);
      },
      [](const AttributeText& text) {
        Value value;
        value.set("name", text.name).set("value", text.value).set("hex", hexadecimal(text.value, 8));
        value.set("means", text.means).set("on", text.on).set("type", text.kind).set("set_by", text.set_by);
        value.set("default", text.by_default).set("sensitive", text.sensitive).set("pitfall", or_null(text.pitfall));
        return value;
      });
  return ExitCode::kOk;
}

ExitCode explain_function(const Invocation& invocation, const ExplainNameOptions& options) {
  const auto texts = choose(invocation, known_functions(), options.name, "C_", "function");
  Report report{.name = "explain.fn",
                .rows_key = "functions",
                .columns = {{"FUNCTION", "name"}, {"SECTION", "section"}, {"DOES", "does"}}};
  show(
      invocation, texts, options.name.empty(), std::move(report),
      [](Prose& prose, const FunctionText& text) {
        prose.title(text.name);
        prose.paragraph(text.does);
        prose.list("Arguments", text.arguments);
        prose.list("Conventions", text.conventions);
        prose.list("Pitfalls", text.pitfalls);
        prose.words("Returns", text.returns);
        prose.field("Standard", "PKCS#11 3.2, " + text.section);
      },
      [](const FunctionText& text) {
        Value value;
        value.set("name", text.name).set("does", text.does).set("arguments", list_of(text.arguments));
        value.set("conventions", list_of(text.conventions)).set("pitfalls", list_of(text.pitfalls));
        value.set("returns", list_of(text.returns)).set("section", text.section);
        return value;
      });
  return ExitCode::kOk;
}

ExitCode explain_check(const Invocation& invocation, const ExplainNameOptions& options) {
  struct Check : CheckText {
    unsigned value = number;  // by which it may be asked for
  };
  std::vector<Check> checks;
  for (CheckText& text : known_checks()) {
    const unsigned number = text.number;
    checks.push_back({std::move(text), number});
  }
  const auto texts = choose(invocation, std::move(checks), options.name, "", "check");
  Report report{
      .name = "explain.check",
      .rows_key = "checks",
      .columns = {{"NUMBER", "number", Align::kRight}, {"CHECK", "name"}, {"OF", "of"}, {"LOOKS AT", "looks_at"}}};
  show(
      invocation, texts, options.name.empty(), std::move(report),
      [](Prose& prose, const Check& text) {
        prose.title(text.name, std::to_string(text.number) + ", of " + (text.of == "audit" ? "audit keys" : "doctor"));
        prose.field("Looks at", text.looks_at);
        prose.field("Why", text.why);
        prose.list("What to do", text.fix);
        prose.field("Severity", text.severity);
        if (!text.code.empty()) prose.field("See also", "shimctl explain-error " + text.code);
      },
      [](const Check& text) {
        Value value;
        value.set("number", text.number).set("name", text.name).set("of", text.of).set("area", text.area);
        value.set("looks_at", text.looks_at).set("why", text.why).set("fix", list_of(text.fix));
        return value.set("severity", or_null(text.severity)).set("code", or_null(text.code));
      });
  return ExitCode::kOk;
}

}  // namespace p11shim

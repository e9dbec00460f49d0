#include "tools/shimctl/commands/explain/code_report.h"

#include <unistd.h>

#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "tools/shimctl/commands/explain/prose.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/terminal.h"

namespace p11shim {

namespace {

bool is_repeated(CK_RV rv) { return blame_of(rv) != Blame::nobody || misses_object(rv); }

std::string fault_text(const std::string& fault) {
  if (fault == "none") return "nobody: this is an answer, not a fault";
  if (fault == "caller") return "the caller's: the application or its configuration";
  if (fault == "state") return "nobody's in particular: the state of session, login or machine does not allow it now";
  if (fault == "authentication") return "a matter of PIN, login or permission";
  if (fault == "token") return "the token's: hardware, firmware or its connection";
  if (fault == "transport") return "of what is between application and token";
  return "the vendor's: the module or its installation";
}

std::string retry_text(const ReturnCodeText& code) {
  std::string text = "no: the same call gives the same answer.";
  if (code.retry == "backoff") text = "yes, later and more and more rarely.";
  if (code.retry == "after-change") text = "after something has been changed, not before.";
  if (code.retry == "after-login") text = "after a (new) login, and with handles that were found after it.";
  if (code.retry == "other-member") text = "on another member, if the pool has one.";
  return code.retry_why.empty() ? text : text + " " + code.retry_why;
}

// What a pool of several members makes of the answer: the rules are proxyd's own.
std::string breaker_text(CK_RV rv) {
  std::string text = "does not count: the member is not to blame.";
  if (blame_of(rv) == Blame::member)
    text = "a member that answers so is to blame: enough of them and it gets no calls for a while.";
  if (blame_of(rv) == Blame::suspect) text = "counts against the member if another does better with the same call.";
  if (misses_object(rv)) text += " The object is looked for there once more.";
  if (is_repeated(rv)) text += " proxyd makes the call on another member, as far as the function allows.";
  if (needs_new_worker(rv)) text += " The worker is started anew.";
  return text;
}

Value member_value(CK_RV rv) {
  const Blame blame = blame_of(rv);
  Value value;
  const bool depends = blame_of(rv, true) != blame;
  value.set("blame", depends                   ? "if its login is gone"
                     : blame == Blame::member  ? "yes"
                     : blame == Blame::suspect ? "if another does better"
                                               : "no");
  value.set("repeated_elsewhere", is_repeated(rv)).set("new_worker", needs_new_worker(rv));
  return value.set("looked_up_again", misses_object(rv));
}

std::string shim_text(const ReturnCodeText& code) { return code.shim.empty() ? "Passes it on unchanged." : code.shim; }

std::string openssl_text(const ReturnCodeText& code) {
  const std::string reason =
      code.clients.openssl.empty() ? "reason(" + std::to_string(code.value & 0xfff) + ")" : code.clients.openssl;
  return "\"error:…:PKCS#11 module:…:" + reason + "\" (libp11)";
}

std::string gnutls_text(const ReturnCodeText& code) {
  if (code.value == CKR_OK) return "0";
  return code.clients.gnutls.empty() ? "GNUTLS_E_PKCS11_ERROR" : code.clients.gnutls;
}

std::string java_text(const ReturnCodeText& code) {
  const std::string cause = "sun.security.pkcs11.wrapper.PKCS11Exception: " + code.name;
  return code.clients.java.empty() ? "ProviderException; cause " + cause : code.clients.java + "; cause " + cause;
}

std::string python_text(const ReturnCodeText& code) {
  if (code.value == CKR_OK) return "no exception";
  return "PyKCS11Error: " + code.name + " (" + hexadecimal(code.value, 8) + "); pkcs11.exceptions." +
         (code.clients.python.empty() ? "PKCS11Error" : code.clients.python);
}

Value texts(const std::vector<std::string>& items) {
  Value list = Value::List{};
  for (const std::string& item : items) list.push_back(item);
  return list;
}

Value live_value(const CodeCounts& counts) {
  Value places = Value::List{}, clients = Value::List{};
  for (const CodePlace& place : counts.places)
    places.push_back(
        Value(Value::Record{{"member", place.member}, {"function", place.function}, {"count", place.count}}));
  for (const CodeClient& client : counts.clients)
    clients.push_back(Value(Value::Record{{"client", client.client}, {"count", client.count}}));
  return Value::Record{{"total", counts.total}, {"places", places}, {"clients", clients}};
}

Value code_value(const ExplainedCode& code, const std::string& context) {
  const ReturnCodeText& text = code.text;
  const auto or_null = [](const std::string& some) { return some.empty() ? Value() : Value(some); };
  Value value;
  value.set("asked", or_null(code.asked)).set("name", text.name).set("value", text.value);
  value.set("hex", hexadecimal(text.value, 8)).set("vendor", or_null(text.vendor));
  value.set("means", text.means).set("fault", text.fault).set("causes", texts(text.causes));
  Value contexts = Value::Record{};
  for (const auto& [name, causes] : text.in)
    if (context.empty() || context == name) contexts.set(name, texts(causes));
  value.set("causes_in", contexts).set("fix", texts(text.fix));
  value.set("retry", text.retry)
      .set("retry_text", retry_text(text))
      .set("breaker", blame_of(text.value) != Blame::nobody);
  value.set("member", member_value(text.value));
  value.set("made_by_proxyd", texts(text.proxy)).set("shim", shim_text(text));
  value.set("functions", texts(text.functions)).set("section", or_null(text.section));
  value.set("clients", Value(Value::Record{{"openssl", openssl_text(text)},
                                           {"java", java_text(text)},
                                           {"gnutls", gnutls_text(text)},
                                           {"python", python_text(text)}}));
  value.set("live", code.live ? live_value(*code.live) : Value());
  return value;
}

// "pool/member C_Login: 3"
std::vector<std::string> live_lines(const CodeCounts& counts) {
  constexpr std::size_t kMost = 5;
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < counts.places.size() && i < kMost; ++i)
    lines.push_back(counts.places[i].member + " " + counts.places[i].function + ": " +
                    std::to_string(counts.places[i].count) + " times");
  for (std::size_t i = 0; i < counts.clients.size() && i < kMost; ++i)
    lines.push_back("to " + counts.clients[i].client + ": " + std::to_string(counts.clients[i].count) + " times");
  return lines;
}

void write_functions(Prose& prose, const ReturnCodeText& text) {
  constexpr std::size_t kAlmostAll = 60;
  if (text.functions.size() >= kAlmostAll)
    return prose.field("Returned by",
                       "nearly all functions (" + std::to_string(text.functions.size()) + "); -o json lists them");
  prose.words("Returned by", text.functions);
}

void write_code(Prose& prose, const ExplainedCode& code, const std::string& context) {
  const ReturnCodeText& text = code.text;
  prose.title(text.name, hexadecimal(text.value, 8) + ", " + std::to_string(text.value) +
                             (text.vendor.empty() ? "" : ", of " + text.vendor));
  prose.paragraph(text.means);
  prose.field("Fault", fault_text(text.fault));
  write_functions(prose, text);
  prose.list("Likely causes", text.causes);
  for (const auto& [name, causes] : text.in)
    if (context.empty() || context == name) prose.list("Likely causes in " + name, causes);
  prose.list("What to do", text.fix);
  prose.field("Retry", retry_text(text));
  prose.field("In a pool", breaker_text(text.value));
  prose.list("proxyd makes it itself when", text.proxy);
  prose.field("The shim", shim_text(text));
  prose.list("How it appears", {"OpenSSL: " + openssl_text(text), "Java: " + java_text(text),
                                "GnuTLS: " + gnutls_text(text), "Python: " + python_text(text)});
  if (!text.section.empty()) prose.field("Standard", "PKCS#11 3.2, " + text.section);
  if (!code.live) return;
  if (code.live->total == 0) return prose.field("Now", "has not come since this proxyd started.");
  prose.list("Since this proxyd started: " + std::to_string(code.live->total) + " times", live_lines(*code.live));
}

Report report_of(const std::vector<ExplainedCode>& codes, const std::string& context) {
  Report report{
      .name = "explain.error",
      .rows_key = "codes",
      .columns = {{"CODE", "name"}, {"VALUE", "hex"}, {"FAULT", "fault"}, {"RETRY", "retry"}, {"MEANING", "means"}}};
  for (const ExplainedCode& code : codes) report.rows.push_back(code_value(code, context));
  return report;
}

}  // namespace

void show_codes(const Invocation& invocation, const std::vector<ExplainedCode>& codes, const std::string& context) {
  if (invocation.format != OutputFormat::kTable) return present(invocation, report_of(codes, context));
  Prose prose(invocation.out, terminal_columns(), wants_colour(STDOUT_FILENO));
  for (const ExplainedCode& code : codes) {
    if (&code != &codes.front()) invocation.out << '\n';
    write_code(prose, code, context);
  }
}

void show_code_list(const Invocation& invocation, const std::vector<ExplainedCode>& codes) {
  present(invocation, report_of(codes, ""));
}

}  // namespace p11shim

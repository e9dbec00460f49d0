#include "tools/shimctl/token/member_token.h"

#include <vector>

#include "config/problem.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/member_text.h"

namespace p11shim {

using nlohmann::json;

namespace {

// As a URI has it: whatever is no letter or digit is escaped.
std::string escaped(const std::string& text) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  std::string safe;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) safe += c;
    else safe += {'%', kDigits[byte / 16], kDigits[byte % 16]};
  }
  return safe;
}

std::string text(const json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_string() ? entry->get<std::string>() : "";
}

TokenChoice choice_of(const Invocation& invocation, const json& member) {
  TokenChoice choice = invocation.token;
  choice.module = text(member, "module");
  choice.token.clear();
  choice.slot.reset();
  choice.uri = "pkcs11:serial=" + escaped(text(member, "serial"));
  if (const auto label = text(member, "token"); !label.empty()) choice.uri += ";token=" + escaped(label);
  return choice;
}

}  // namespace

TokenChoice member_token_behind(const Invocation& invocation, const std::string& label) {
  const json status = ControlClient(invocation.control_path).ask("status");
  std::vector<json> found;
  for (const json& member : status.value("members", json::array()))
    if (text(member, "token") == label || text(member, "pool") == label) found.push_back(member);
  if (found.size() == 1) return choice_of(invocation, found.front());
  throw Failure(ExitCode::kNotFound,
                (found.empty() ? "no member of proxyd" : "several members of proxyd") + std::string(" hold ") +
                    in_quotes(label) + " behind it",
                "name the module that is meant by its path");
}

TokenChoice member_token(const Invocation& invocation, const std::string& name) {
  const json status = ControlClient(invocation.control_path).ask("status");
  std::vector<json> found;
  std::string all;
  for (const json& member : status.value("members", json::array())) {
    const std::string whole = member_text(text(member, "pool"), text(member, "member"));
    all += (all.empty() ? "" : ", ") + whole;
    if (name == whole || name == text(member, "member") || name == text(member, "pool") + "/" + text(member, "member"))
      found.push_back(member);
  }
  if (found.size() != 1) {
    throw Failure(ExitCode::kNotFound,
                  {.what = (found.empty() ? "proxyd has no member " : "several members are called ") + in_quotes(name),
                   .why = "the members are " + all,
                   .fix = {}});
  }
  return choice_of(invocation, found.front());
}

}  // namespace p11shim

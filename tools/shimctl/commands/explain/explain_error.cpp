#include "tools/shimctl/commands/explain/explain_error.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "config/nearest.h"
#include "config/text_file.h"
#include "pkcs11/names.h"
#include "tools/shimctl/commands/explain/code_report.h"
#include "tools/shimctl/explain/profile.h"
#include "tools/shimctl/explain/spelling.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"

namespace p11shim {

namespace {

constexpr char kProfileFolder[] = "/etc/p11shim/explain.d";
constexpr std::size_t kLongestLog = 1 << 20, kMostCodes = 64;

void load_profile(const std::string& path, std::vector<ReturnCodeText>& codes) {
  const TextFile file = read_text_file(path);
  if (file.error != 0)
    throw Failure(ExitCode::kConfiguration, path + ": " + file.message, "docs/shimctl.md says what a profile is");
  const auto problems = add_profile(path, file.text, codes);
  if (!problems.empty())
    throw Failure(ExitCode::kConfiguration, to_string(problems.front()), "docs/shimctl.md says what a profile is");
}

std::vector<std::string> profiles_of(const std::vector<std::string>& named) {
  const char* chosen = std::getenv("P11SHIM_EXPLAIN_DIR");
  std::vector<std::string> paths;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(chosen == nullptr ? kProfileFolder : chosen, none))
    if (entry.path().extension() == ".toml") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  paths.insert(paths.end(), named.begin(), named.end());
  return paths;
}

// What a code is called elsewhere, longest first: "Read-only session exists" before "Session exists".
std::vector<OtherWords> other_words(const std::vector<ReturnCodeText>& codes) {
  std::vector<OtherWords> words;
  for (std::size_t i = 0; i < codes.size(); ++i)
    for (const std::string* text : {&codes[i].clients.openssl, &codes[i].clients.python})
      if (text->size() > 6) words.push_back({*text, i});
  std::stable_sort(words.begin(), words.end(),
                   [](const OtherWords& a, const OtherWords& b) { return a.words.size() > b.words.size(); });
  return words;
}

std::vector<KnownName> names_of(const std::vector<ReturnCodeText>& codes) {
  std::vector<KnownName> names;
  for (const ReturnCodeText& code : codes) names.push_back({code.name, code.value, true});
  return names;
}

// Whether standard input is a pipe or a file, not a terminal or nothing.
bool is_given_input() {
  struct stat status {};
  return ::fstat(STDIN_FILENO, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode));
}

std::string read_log() {
  std::string log;
  for (std::string line; log.size() < kLongestLog && std::getline(std::cin, line);) log += line + '\n';
  return log;
}

// A vendor's number that no profile knows is still worth what the standard says about all of them.
std::optional<ExplainedCode> unknown_vendor_code(const std::string& asked, const std::vector<ReturnCodeText>& codes) {
  const auto number = parse_number(asked);
  if (!number || *number < CKR_VENDOR_DEFINED || *number > 0xffffffff) return std::nullopt;
  const auto general = std::find_if(codes.begin(), codes.end(), [](const ReturnCodeText& code) {
    return code.value == CKR_VENDOR_DEFINED && code.vendor.empty();
  });
  if (general == codes.end()) return std::nullopt;
  ExplainedCode explained{.asked = asked, .text = *general};
  explained.text.name = hexadecimal(*number, 8);
  explained.text.value = *number;
  explained.text.means = "A code of the vendor's own: " + display(NameKind::ckr, *number) +
                         ". What it means only its documentation or a profile tells.";
  return explained;
}

class Resolver {
 public:
  Resolver(const Invocation& invocation, const std::vector<ReturnCodeText>& codes)
      : invocation_(invocation), codes_(codes), names_(names_of(codes)), others_(other_words(codes)) {}

  std::vector<ExplainedCode> resolve(const std::string& asked) const {
    std::vector<ExplainedCode> found;
    for (const SpelledName& name : find_names(asked, names_, "CKR_")) {
      if (name.how == Spelling::kTypo) {
        // "Device error", "C_Sign failed: rv = 0x30" are no typos.
        if (auto of_line = in_line(asked); !of_line.empty()) return of_line;
        note(invocation_, "there is no " + in_quotes(asked) + "; this is " + codes_[name.index].name);
      }
      found.push_back({.asked = asked, .text = codes_[name.index]});
    }
    if (found.empty()) found = in_line(asked);
    if (found.empty()) found = without_0x(asked);
    if (found.empty())
      if (auto vendor = unknown_vendor_code(asked, codes_)) found.push_back(std::move(*vendor));
    if (!found.empty()) return found;
    throw Failure(ExitCode::kNotFound, in_quotes(asked) + " is no return code and names none",
                  "shimctl explain-error --list shows all");
  }

  std::vector<ExplainedCode> resolve_log(const std::string& log) const {
    std::vector<ExplainedCode> found;
    for (std::size_t at = 0; at < log.size();) {
      const auto end = std::min(log.find('\n', at), log.size());
      for (ExplainedCode& code : in_line(log.substr(at, end - at))) {
        const bool known = std::any_of(found.begin(), found.end(),
                                       [&](const ExplainedCode& other) { return other.text.name == code.text.name; });
        if (!known && found.size() < kMostCodes && code.text.value != CKR_OK) found.push_back(std::move(code));
      }
      at = end + 1;
    }
    if (!found.empty()) return found;
    throw Failure(ExitCode::kNotFound, "standard input names no return code",
                  "a line such as \"rv = CKR_PIN_INCORRECT (0xa0)\" does");
  }

 private:
  // "150", which is no code in decimal, for 0x150.
  std::vector<ExplainedCode> without_0x(const std::string& asked) const {
    std::vector<ExplainedCode> found;
    const auto number = parse_number("0x" + asked);
    for (std::size_t i = 0; number && *number != 0 && i < codes_.size(); ++i) {
      if (codes_[i].value != *number) continue;
      note(invocation_, "there is no " + in_quotes(asked) + "; this is 0x" + asked + ", " + codes_[i].name);
      found.push_back({.asked = asked, .text = codes_[i]});
    }
    return found;
  }

  std::vector<ExplainedCode> in_line(const std::string& line) const {
    std::vector<ExplainedCode> found;
    for (const std::size_t index : find_in_line(line, names_, others_))
      found.push_back({.asked = {}, .text = codes_[index]});  // a log may hold what should not be repeated
    return found;
  }

  const Invocation& invocation_;
  const std::vector<ReturnCodeText>& codes_;
  std::vector<KnownName> names_;
  std::vector<OtherWords> others_;
};

std::string checked_context(const std::string& context) {
  if (context.empty() || context == "unwrap") return context.empty() ? "" : "wrap";
  std::vector<std::string_view> known;
  for (std::string_view rest = kContexts; !rest.empty();) {
    const auto end = std::min(rest.find(' '), rest.size());
    known.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (std::find(known.begin(), known.end(), context) != known.end()) return context;
  throw Failure(ExitCode::kUsage, "there is no context " + in_quotes(context) + did_you_mean(context, known),
                "one of: " + std::string(kContexts));
}

}  // namespace

ExitCode explain_error(const Invocation& invocation, const ExplainErrorOptions& options) {
  const std::string context = checked_context(options.context);
  std::vector<ReturnCodeText> codes = known_return_codes();
  for (const std::string& path : profiles_of(options.profiles)) load_profile(path, codes);
  const bool unnamed = options.codes.empty() && !options.list;
  const std::string log = unnamed && is_given_input() ? read_log() : "";
  if (unnamed && log.empty())
    throw Failure(ExitCode::kUsage, "which return code?", "shimctl explain-error 0xa0, or - to read a log");

  std::vector<ExplainedCode> found;
  const Resolver resolver(invocation, codes);
  if (unnamed) found = resolver.resolve_log(log);
  for (const std::string& asked : options.codes) {
    auto more = asked == "-" ? resolver.resolve_log(read_log()) : resolver.resolve(asked);
    for (ExplainedCode& code : more) found.push_back(std::move(code));
  }
  if (options.list) {
    for (const ReturnCodeText& code : codes) found.push_back({.asked = "", .text = code});
    show_code_list(invocation, found);
    return ExitCode::kOk;
  }
  if (const auto statistics = live_statistics(invocation, options.live))
    for (ExplainedCode& code : found) code.live = count_code(*statistics, code.text.name);
  show_codes(invocation, found, context);
  return ExitCode::kOk;
}

}  // namespace p11shim

#include "tools/shimctl/automate/canary.h"

#include <sys/wait.h>

#include <array>
#include <cstdlib>
#include <map>

#include "config/problem.h"
#include "tools/shimctl/bench/bench_key.h"
#include "tools/shimctl/bench/operation.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_selector.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr std::array kTrials{BenchAction::kSign, BenchAction::kDecrypt, BenchAction::kDerive, BenchAction::kWrap};

// "handle:7" is exact where labels are not.
std::string trial(const Session& session, const BenchTest& test, CK_OBJECT_HANDLE key, bool& tried) {
  try {
    Session own(session.module(), session.slot(), Session::Access::kReadWrite);
    const BenchKey chosen(own, test, {.key = "handle:" + std::to_string(key), .may_make = false});
    const auto operation = make_operation({.session = own, .test = test, .key = chosen, .data_size = 32});
    tried = true;
    const CK_RV rv = operation->run();
    if (rv != CKR_OK) return std::string(test.name) + ": " + display(NameKind::ckr, rv);
    const std::string wrong = operation->check();
    operation->tidy();
    return wrong.empty() ? "" : std::string(test.name) + ": " + wrong;
  } catch (const TestSkipped&) {
    return {};
  } catch (const CallError& error) {
    return std::string(test.name) + ": " + error.what();
  }
}

void try_key(const Session& session, const std::string& label) {
  const auto key = find_one(session, KeySelector::parse("label:" + label), {CKO_PRIVATE_KEY, CKO_SECRET_KEY});
  const std::string wrong = trial_of(session, key);
  if (!wrong.empty())
    throw Failure(ExitCode::kNegative, "the new key " + in_quotes(label) + " does not work: " + wrong, "");
}

void run_check(const std::string& what, const std::string& command,
               const std::map<std::string, std::string>& variables) {
  if (command.empty()) return;
  for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
  const int status = std::system(command.c_str());
  for (const auto& [name, value] : variables) ::unsetenv(name.c_str());
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  throw Failure(ExitCode::kNegative, "the check of the " + what + " failed: " + in_quotes(command), "");
}

}  // namespace

std::string trial_of(const Session& session, CK_OBJECT_HANDLE key) {
  const auto tests = tests_for_key(session, "handle:" + std::to_string(key));
  for (const auto action : kTrials) {
    for (const auto* test : tests) {
      if (test->action != action) continue;
      bool tried = false;
      auto wrong = trial(session, *test, key, tried);
      if (!wrong.empty()) return wrong;
      if (tried) break;  // one of each kind
    }
  }
  return {};
}

void check_canary(const Session& session, const json& intent) {
  const auto label = intent["label"].get<std::string>();
  try_key(session, label);
  const auto live = intent.value("live", label);
  run_check("new key " + in_quotes(live), intent.value("command", std::string()), {{"KEY", label}, {"LIVE_KEY", live}});
}

void check_stage(const Session& session, const json& intent) {
  std::string keys;
  for (const auto& key : intent["keys"]) {
    const auto label = key.get<std::string>();
    try_key(session, label);
    keys += label + "\n";
  }
  run_check(intent["label"].get<std::string>(), intent.value("command", std::string()), {{"KEYS", keys}});
}

}  // namespace p11shim

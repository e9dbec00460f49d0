// Two processes that use one proxy at once, in turns: every step of a test runs in one of them, the other waits.
// Each is a copy of the test's process made before the first step: what a step stores stays in its process, unless it
// is stored in memory that both map.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>

#include "application.h"

namespace p11shim::contract {

class TwoApplications {
 public:
  using Step = std::function<void(Application&)>;

  // The steps, in order. A step that throws fails the test with the exception's words.
  void a(const char* what, Step step) { steps_.push_back({0, what, std::move(step)}); }
  void b(const char* what, Step step) { steps_.push_back({1, what, std::move(step)}); }
  // The process of that application ends as if killed, without C_Finalize.
  void kill_a() { steps_.push_back({0, "dies", nullptr}); }

  // Runs them against a fresh token of that backend; empty if all went well, else what failed. `module_lines`: see ProxyPrograms.
  std::string run(const std::string& backend, const std::string& module_lines);

 private:
  struct Planned {
    int application;
    const char* what;
    Step step;
  };
  struct Process {
    pid_t pid = -1;
    int commands = -1;  // one byte: the number of the step
    int answers = -1;   // a line: empty, or what failed
  };
  Process launch(const Side::Stage& stage);
  std::string perform(Process& process, std::size_t number);
  static void end(Process& process, bool violently);

  std::vector<Planned> steps_;
};

// Words for a return code that is not the expected one.
void expect(CK_RV rv, CK_RV expected, const std::string& what);
void expect(bool condition, const std::string& what);

}  // namespace p11shim::contract

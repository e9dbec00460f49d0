// A child that we started and must account for: reaped, or killed, before this object goes.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace p11shim {

struct ChildOptions {
  std::vector<std::string> arguments;                           // the first is the program, looked up in PATH
  std::map<std::string, std::optional<std::string>> variables;  // on top of our environment; none: removed
  sigset_t blocked_signals{};                                   // in the child
  // A service: no input, output into this file, its own process group (so that ^C does not reach it), and it
  // is told to end when we die. Empty: the child shares our terminal, input and output.
  std::string service_log;
};

class ChildProcess {
 public:
  struct NotExecuted {
    int error;  // an errno
  };
  explicit ChildProcess(const ChildOptions& options);  // throws NotExecuted
  ~ChildProcess();                                     // SIGKILL if it still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  void signal(int number);

  // Reaps it if it has ended. Its exit code, or 128 + the signal that ended it.
  std::optional<int> exit_code();

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace p11shim

// A program started by a test: what it printed, how it ended. Bounded in time, killed with its object.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace p11shim {

using Variables = std::map<std::string, std::string>;

class Process {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  Process(const std::vector<std::string>& arguments, const Variables& variables = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void send(const std::string& input);  // a little
  void end_input();
  void close_errors();  // nobody reads its stderr any more
  void signal(int number) const;
  pid_t pid() const { return pid_; }

  bool wait_for_output(const std::string& text);  // on stdout
  // Its exit code, 128 + n if signal n ended it, -1 if it took too long.
  int wait();

  std::string out;
  std::string err;

 private:
  bool read(std::chrono::steady_clock::time_point deadline);  // false: both ended, or too late

  pid_t pid_ = -1;
  int code_ = 0;  // what wait() found
  int input_ = -1;
  int output_ = -1;
  int errors_ = -1;
};

}  // namespace p11shim

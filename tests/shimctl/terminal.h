// A program on a terminal of its own, and somebody who types.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "process.h"

namespace p11shim {

class Terminal {
 public:
  static constexpr std::chrono::seconds kPatience{60};

  Terminal(const std::vector<std::string>& arguments, const Variables& variables, unsigned short lines = 24,
           unsigned short columns = 100);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool wait_for(const std::string& text);
  void type(const std::string& text);
  bool echoes() const;  // what is typed is shown
  int wait();           // its exit code, as Process has it

  std::string shown;

 private:
  bool read(std::chrono::steady_clock::time_point deadline);  // false: it ended, or too late

  pid_t pid_ = -1;
  int master_ = -1;
};

}  // namespace p11shim

// A child process with a line-wise conversation over its standard input and output. Dies with us, and with
// this object.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace p11shim {

using Environment = std::map<std::string, std::string>;  // added to ours

class Process {
 public:
  Process(const std::vector<std::string>& command, const Environment& environment);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }

  // The next line of its output; throws when it ends or says nothing for too long.
  std::string read_line();

  void send(const std::string& line);
  // Expects "ok …" and returns what follows; throws what an "error …" says.
  std::string answer();
  std::string ask(const std::string& line) {
    send(line);
    return answer();
  }

  // Ends it with a signal; false: it did not end.
  bool stop(int signal);

 private:
  pid_t pid_ = -1;
  bool has_ended_ = false;
  int input_ = -1;
  int output_ = -1;
  std::string name_;
  std::string buffered_;
};

// The process and all its descendants, as of now.
std::vector<pid_t> process_tree(pid_t root);

std::string program_of(pid_t process);  // file name without folder; empty if it is gone

// Memory that nobody else shares and that would have to be written out: what the process really costs.
std::size_t private_bytes(pid_t process);

}  // namespace p11shim

#include "process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace p11shim {
namespace {

constexpr int kSilenceMilliseconds = 180'000;
constexpr int kEndMilliseconds = 5'000;

[[noreturn]] void become(const std::vector<std::string>& command, const Environment& environment) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  ::_exit(127);
}

bool ends_within(pid_t process, int milliseconds) {
  for (int waited = 0; waited < milliseconds; waited += 5) {
    if (::waitpid(process, nullptr, WNOHANG) != 0) return true;
    ::poll(nullptr, 0, 5);
  }
  return false;
}

pid_t parent_of(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(line.substr(name_end + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

}  // namespace

Process::Process(const std::vector<std::string>& command, const Environment& environment) : name_(command.front()) {
  std::array<int, 2> to_child{};
  std::array<int, 2> from_child{};
  if (::pipe2(to_child.data(), O_CLOEXEC) != 0 || ::pipe2(from_child.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("no pipes for " + name_);
  }
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("cannot fork " + name_);
  if (pid_ == 0) {
    ::dup2(to_child[0], STDIN_FILENO);
    ::dup2(from_child[1], STDOUT_FILENO);
    become(command, environment);
  }
  ::close(to_child[0]);
  ::close(from_child[1]);
  input_ = to_child[1];
  output_ = from_child[0];
}

// Programs end with their input; those that read none are told to.
Process::~Process() {
  ::close(input_);
  ::close(output_);
  if (has_ended_ || ends_within(pid_, 300)) return;
  ::kill(pid_, SIGTERM);
  if (ends_within(pid_, kEndMilliseconds)) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string Process::read_line() {
  while (true) {
    if (const std::size_t end = buffered_.find('\n'); end != std::string::npos) {
      std::string line = buffered_.substr(0, end);
      buffered_.erase(0, end + 1);
      return line;
    }
    pollfd ready{output_, POLLIN, 0};
    if (::poll(&ready, 1, kSilenceMilliseconds) != 1) throw std::runtime_error(name_ + " says nothing");
    std::array<char, 4096> chunk;
    const ssize_t size = ::read(output_, chunk.data(), chunk.size());
    if (size <= 0) throw std::runtime_error(name_ + " ended");
    buffered_.append(chunk.data(), static_cast<std::size_t>(size));
  }
}

bool Process::stop(int signal) {
  if (!has_ended_) ::kill(pid_, signal);
  has_ended_ = has_ended_ || ends_within(pid_, kEndMilliseconds);
  return has_ended_;
}

void Process::send(const std::string& line) {
  const std::string sent = line + '\n';
  if (::write(input_, sent.data(), sent.size()) != static_cast<ssize_t>(sent.size())) {
    throw std::runtime_error(name_ + " does not listen");
  }
}

std::string Process::answer() {
  const std::string reply = read_line();
  if (!reply.starts_with("ok")) throw std::runtime_error(name_ + ": " + reply);
  return reply.substr(2);
}

std::vector<pid_t> process_tree(pid_t root) {
  std::map<pid_t, std::vector<pid_t>> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const pid_t process = std::stoi(name);
    children[parent_of(process)].push_back(process);
  }
  std::vector<pid_t> tree{root};
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const auto found = children.find(tree[i]);
    if (found != children.end()) tree.insert(tree.end(), found->second.begin(), found->second.end());
  }
  return tree;
}

std::string program_of(pid_t process) {
  std::error_code gone;
  return std::filesystem::read_symlink("/proc/" + std::to_string(process) + "/exe", gone).filename();
}

std::size_t private_bytes(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/smaps_rollup");
  std::string word;
  while (file >> word) {
    std::size_t kilobytes = 0;
    if (word == "Private_Dirty:" && file >> kilobytes) return kilobytes * 1024;
  }
  throw std::runtime_error("no memory figures for process " + std::to_string(process));
}

}  // namespace p11shim

#include "proxy_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace p11shim::compare {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kStartDeadline = std::chrono::seconds(20);
constexpr int kStopDeadlineMs = 10'000;
constexpr auto kPoll = std::chrono::milliseconds(2);

// A TOML basic string.
std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

bool accepts_connections_at(const std::filesystem::path& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const bool accepted = connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return accepted;
}

// proxyd says so once it listens: the port is one that was free. Empty: it has not yet.
std::string tcp_endpoint_in(const std::string& log) {
  const std::string words = "applications connect to tcp:";
  const auto at = log.find(words);
  if (at == std::string::npos) return {};
  const auto end = log.find('\n', at);
  const auto begin = at + words.size() - std::strlen("tcp:");
  return end == std::string::npos ? std::string() : log.substr(begin, end - begin);
}

}  // namespace

ProxyProcess::ProxyProcess(const ProxyPrograms& programs, const Backend& backend, const std::string& module,
                           const std::filesystem::path& tokens, const std::filesystem::path& directory)
    : over_tcp_(programs.over_tcp),
      directory_(directory),
      endpoint_(over_tcp_ ? "" : "unix:" + (directory / "proxyd.sock").string()) {
  std::filesystem::create_directories(directory_ / "state");
  std::filesystem::permissions(directory_ / "state", std::filesystem::perms::owner_all);
  write_config(backend, module, tokens, programs);
  start(programs.proxyd);
  wait_until_it_listens();
}

ProxyProcess::~ProxyProcess() {
  if (pid_ <= 0) return;
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  kill(pid_, SIGTERM);
  pollfd ended{pidfd, POLLIN, 0};
  if (pidfd < 0 || poll(&ended, 1, kStopDeadlineMs) == 0) kill(pid_, SIGKILL);
  if (pidfd >= 0) close(pidfd);
  waitpid(pid_, nullptr, 0);
}

Environment ProxyProcess::environment() const {
  return {{"P11SHIM_ENDPOINT", endpoint_}, {"P11SHIM_CONF", (directory_ / "shim.toml").string()}};
}

std::string ProxyProcess::log() const {
  std::ifstream file(directory_ / "proxyd.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void ProxyProcess::write_config(const Backend& backend, const std::string& module, const std::filesystem::path& tokens,
                                const ProxyPrograms& programs) const {
  // P11TEST_SPIN: for how many microseconds everybody looks before it sleeps.
  const char* spin = std::getenv("P11TEST_SPIN");
  const std::string spins = spin == nullptr ? "" : "spin = " + std::string(spin) + "\n";
  std::ofstream(directory_ / "shim.toml") << spins;  // nothing of the user's
  std::ofstream config(directory_ / "proxyd.toml");
  config << "[listen]\n"
         << (over_tcp_ ? "unix = \"\"\ntcp = \"127.0.0.1:0\"\n" : "unix = " + quoted(directory_ / "proxyd.sock") + "\n")
         << "[control]\nunix = " << quoted((directory_ / "control.sock").string()) << "\n"
         << "[state]\ndirectory = " << quoted((directory_ / "state").string()) << "\n"
         << "[log]\nlevel = \"debug\"\n[limits]\n"
         << spins << "[[module]]\nname = \"tested\"\npath = " << quoted(module) << "\ntokens = \"*\"\n"
         << "admin = [" << quoted("uid:" + std::to_string(getuid())) << "]\n";
  // A walk leaves operations unfinished in many sessions, each of which holds a real one.
  config << "sessions_ro = 64\nsessions_rw = 64\n" << programs.module_lines;
  if (std::string parameters = backend.library_parameters(tokens); !parameters.empty())
    config << "library_parameters = " << quoted(parameters) << "\n";
  config << "[module.environment]\n";
  for (const auto& [name, value] : backend.environment(tokens)) config << name << " = " << quoted(value) << "\n";
  if (!config.flush()) throw std::runtime_error("cannot write proxyd.toml");
}

void ProxyProcess::start(const std::filesystem::path& proxyd) {
  const std::string log = (directory_ / "proxyd.log").string();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  std::string program = proxyd.string();
  std::string option = "--config";
  std::string config = (directory_ / "proxyd.toml").string();
  char* arguments[] = {program.data(), option.data(), config.data(), nullptr};
  const int error = posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return;
  pid_ = -1;
  throw std::runtime_error("cannot start " + program + ": " + std::strerror(error));
}

bool ProxyProcess::accepts_connections() {
  if (!over_tcp_) return accepts_connections_at(directory_ / "proxyd.sock");
  endpoint_ = tcp_endpoint_in(log());
  return !endpoint_.empty();
}

void ProxyProcess::wait_until_it_listens() {
  const auto until = Clock::now() + kStartDeadline;
  while (!accepts_connections()) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      throw std::runtime_error("proxyd ended:\n" + log());
    }
    if (Clock::now() > until) throw std::runtime_error("proxyd does not listen:\n" + log());
    std::this_thread::sleep_for(kPoll);  // between looks at a condition, bounded by the deadline
  }
}

}  // namespace p11shim::compare

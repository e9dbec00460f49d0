#include "private_proxyd.h"
#include "tests/places.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace p11shim {
namespace {

constexpr int kAnswerMs = 20'000;

std::string ask(const std::string& path, const std::string& line) {
  const int socket = connect_to(path);
  std::string answer;
  if (socket < 0 || ::send(socket, line.data(), line.size(), MSG_NOSIGNAL) < 0) return ::close(socket), answer;
  pollfd readable{socket, POLLIN, 0};
  while (!answer.ends_with('\n') && ::poll(&readable, 1, kAnswerMs) == 1) {
    char buffer[65536];
    const ssize_t count = ::recv(socket, buffer, sizeof buffer, 0);
    if (count <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(count));
  }
  ::close(socket);
  return answer;
}

}  // namespace

int connect_to(const std::string& path) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return socket;
  ::close(socket);
  return -1;
}

PrivateProxyd::PrivateProxyd(std::string config, Variables variables) : variables_(std::move(variables)) {
  write_config(config);
}

PrivateProxyd::~PrivateProxyd() {
  if (process_ == nullptr) return;
  stop();
  if (testing::Test::HasFailure()) std::fputs(log().c_str(), stderr);
}

void PrivateProxyd::write_config(const std::string& config) const {
  std::ofstream(config_file()) << "listen.unix = \"" << socket() << "\"\n"
                               << "control.unix = \"" << (path() / "control.sock").string() << "\"\n"
                               << "state.directory = \"" << (path() / "state").string() << "\"\n"
                               << "log.file = \"" << (path() / "proxyd.log").string() << "\"\n"
                               << config << '\n';
}

void PrivateProxyd::start() {
  process_ = std::make_unique<Process>(std::vector<std::string>{build_dir() + "/bin/proxyd", "--config", config_file()},
                                       variables_);
  const auto listens = [](const std::string& path) {
    const int socket = connect_to(path);
    if (socket >= 0) ::close(socket);
    return socket >= 0;
  };
  const bool serves =
      eventually([&] { return (listens(socket()) && listens((path() / "control.sock").string())) || !alive(); });
  ASSERT_TRUE(serves && alive()) << log();
}

bool PrivateProxyd::alive() const {
  siginfo_t ended{};
  return ::waitid(P_PID, static_cast<id_t>(process_->pid()), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid == 0;
}

int PrivateProxyd::stop() {
  if (process_ == nullptr) return 0;
  process_->signal(SIGTERM);
  const int code = process_->wait();
  EXPECT_EQ(code, 0) << process_->err;
  process_.reset();
  return code;
}

std::string PrivateProxyd::log() const {
  std::stringstream text;
  text << std::ifstream(path() / "proxyd.log").rdbuf();
  return text.str();
}

nlohmann::json PrivateProxyd::ask(const std::string& request) const {
  return nlohmann::json::parse(p11shim::ask((path() / "control.sock").string(), request + "\n"), nullptr, false);
}

nlohmann::json PrivateProxyd::status() const {
  const auto answer = ask("{\"command\":\"status\"}");
  return answer.is_object() && answer.contains("result") ? answer["result"] : nlohmann::json{};
}

nlohmann::json PrivateProxyd::worker(const std::string& domain) const {
  const auto report = status();
  if (!report.contains("members")) return {};
  for (const auto& worker : report["members"][0]["workers"])
    if (worker["domain"] == domain) return worker;
  return {};
}

void PrivateProxyd::kill_worker(const std::string& domain) const {
  const pid_t pid = worker_pid(domain);
  if (pid <= 0) throw std::runtime_error("there is no " + domain + " worker");  // signalling 0 reaches ourselves
  ::kill(pid, SIGKILL);
}

pid_t PrivateProxyd::worker_pid(const std::string& domain) const {
  const auto report = worker(domain);
  return report.is_object() ? report["pid"].get<pid_t>() : 0;
}

}  // namespace p11shim

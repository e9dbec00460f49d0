#include "proxyd/daemon/running.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

namespace p11shim {
namespace {

constexpr int kPatienceMs = 2000;
constexpr std::size_t kLongestAnswer = 64 << 20;

std::string ask(int socket, const std::string& path, std::string_view line) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return {};
  path.copy(address.sun_path, path.size());
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  if (::send(socket, line.data(), line.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(line.size())) return {};
  std::string answer;
  pollfd readable{socket, POLLIN, 0};
  while (!answer.ends_with('\n') && answer.size() < kLongestAnswer && ::poll(&readable, 1, kPatienceMs) == 1) {
    char chunk[65536];
    const ssize_t count = ::recv(socket, chunk, sizeof chunk, 0);
    if (count <= 0) return {};
    answer.append(chunk, static_cast<std::size_t>(count));
  }
  return answer;
}

}  // namespace

std::optional<std::vector<std::string>> problems_of_running(const std::string& control) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return std::nullopt;
  const auto answer = nlohmann::json::parse(ask(socket, control, "{\"command\":\"pools\"}\n"), nullptr, false);
  ::close(socket);
  if (!answer.is_object() || answer.value("ok", false) == false || !answer.contains("result")) return std::nullopt;
  std::vector<std::string> problems;
  for (const auto& pool : answer["result"].value("pools", nlohmann::json::array()))
    for (const auto& problem : pool.value("problems", nlohmann::json::array()))
      if (problem.is_string()) problems.push_back("pool " + pool.value("pool", "") + ": " + problem.get<std::string>());
  return problems;
}

}  // namespace p11shim

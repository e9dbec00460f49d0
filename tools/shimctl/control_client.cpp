#include "tools/shimctl/control_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/terminal_text.h"

namespace p11shim {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

namespace {

std::string reason(int error) { return std::generic_category().message(error); }

ExitCode exit_code_of(const std::string& error_code) {
  if (error_code == "not_permitted") return ExitCode::kPermission;
  for (const char* not_found : {"not_found", "unknown_member", "ambiguous_member", "not_configured"})
    if (error_code == not_found) return ExitCode::kNotFound;
  if (error_code == "deadline") return ExitCode::kDeadline;
  return ExitCode::kNegative;
}

std::string text_of(const json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_string() ? terminal_text(entry->get<std::string>()) : "";
}

}  // namespace

ControlClient::ControlClient(const std::string& path) : path_(path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw Failure(ExitCode::kUsage, "\"" + path + "\" cannot be the path of a control socket",
                  "give another one with --control or P11SHIM_CONTROL");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket_ < 0) fail(reason(errno));
  if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  const int error = errno;
  ::close(socket_);
  if (error == EACCES || error == EPERM) {
    throw Failure(ExitCode::kPermission, "you may not use the control socket " + path + ": " + reason(error),
                  "run as root, as proxyd's user, or as a member of the socket's group");
  }
  fail(reason(error));
}

ControlClient::~ControlClient() { ::close(socket_); }

void ControlClient::fail(const std::string& why) const {
  throw Failure(ExitCode::kUnreachable, "cannot reach proxyd at " + path_ + ": " + why,
                "is it running? try: systemctl status proxyd, or name its socket with --control PATH");
}

json ControlClient::ask(const std::string& command, const json& arguments, std::chrono::milliseconds patience) {
  send(json{{"command", command}, {"arguments", arguments}}.dump() + '\n');
  const json reply = json::parse(receive_line(Clock::now() + patience), nullptr, false);
  if (!reply.is_object() || !reply.contains("ok")) fail("what answers there is no proxyd");
  if (reply["ok"] == true && reply.contains("result")) return reply["result"];
  const json error = reply.value("error", json::object());
  throw Failure(exit_code_of(text_of(error, "code")), "proxyd cannot " + command + ": " + text_of(error, "message"),
                text_of(error, "fix"));
}

void ControlClient::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    // It may have refused us and closed: its last words wait to be read.
    if (sent < 0 && errno == EPIPE) return;
    if (sent < 0) fail(reason(errno));
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string ControlClient::receive_line(Clock::time_point deadline) {
  std::string chunk(65536, '\0');
  std::size_t end;
  while ((end = input_.find('\n')) == std::string::npos) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd waiting{.fd = socket_, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::max<long>(left, 0)));
    if (ready < 0 && errno != EINTR) fail(reason(errno));
    if (ready == 0) throw Failure(ExitCode::kDeadline, "proxyd at " + path_ + " does not answer", "see its log");
    if (ready < 0) continue;
    const ssize_t length = ::recv(socket_, chunk.data(), chunk.size(), 0);
    if (length < 0) fail(reason(errno));
    if (length == 0) fail("it closed the connection");
    if (input_.size() + static_cast<std::size_t>(length) > kMaxReply) fail("its answer has no end");
    input_.append(chunk, 0, static_cast<std::size_t>(length));
  }
  std::string line = input_.substr(0, end);
  input_.erase(0, end + 1);
  return line;
}

}  // namespace p11shim

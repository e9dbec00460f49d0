#include "private_logs.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

namespace p11shim {
namespace {

// Devices stay what they are.
bool replace_directories() {
  constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
  int devices[std::size(kDevices)];
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  for (std::size_t i = 0; i < std::size(kDevices); ++i) devices[i] = ::open(kDevices[i], O_PATH | O_CLOEXEC);
  bool done = ::mount("none", "/run", "tmpfs", 0, nullptr) == 0 && ::mount("none", "/dev", "tmpfs", 0, nullptr) == 0;
  for (std::size_t i = 0; i < std::size(kDevices); ++i) {
    const int place = ::open(kDevices[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    ::close(place);
    const std::string device = "/proc/self/fd/" + std::to_string(devices[i]);
    done &= ::mount(device.c_str(), kDevices[i], nullptr, MS_BIND, nullptr) == 0;
    ::close(devices[i]);
  }
  return done;
}

int bind_to(const char* path) {
  const int bound = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  return ::bind(bound, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 ? bound : -1;
}

void drain(int socket, std::string& text) {
  char buffer[65536];
  for (ssize_t size; (size = ::recv(socket, buffer, sizeof buffer, 0)) >= 0;)
    text.append(buffer, static_cast<std::size_t>(size)) += '\n';
}

}  // namespace

PrivateLogs::PrivateLogs() {
  if (!replace_directories()) return;
  ::mkdir("/run/systemd", 0755);
  ::mkdir("/run/systemd/journal", 0755);
  syslog_ = bind_to("/dev/log");
  journal_ = bind_to("/run/systemd/journal/socket");
  if (installed()) reader_ = std::thread([this] { receive(); });
}

void PrivateLogs::receive() {
  while (!stop_) {
    pollfd ready[] = {{syslog_, POLLIN, 0}, {journal_, POLLIN, 0}};
    ::poll(ready, std::size(ready), 20);
    drain(syslog_, syslog_text_);
    drain(journal_, journal_text_);
  }
}

void PrivateLogs::stop() {
  stop_ = true;
  if (reader_.joinable()) reader_.join();
  if (!installed()) return;
  drain(syslog_, syslog_text_);
  drain(journal_, journal_text_);
  ::close(syslog_);
  ::close(journal_);
  syslog_ = journal_ = -1;
}

}  // namespace p11shim

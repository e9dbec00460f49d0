#include "proxyd/control/listening_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace p11shim {

namespace {

[[noreturn]] void fail(const std::string& path, const std::string& why) {
  throw std::runtime_error("cannot listen on " + path + ": " + why);
}

[[noreturn]] void fail(const std::string& path, int error) { fail(path, std::generic_category().message(error)); }

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) fail("\"\"", "the path is empty");
  if (path.size() >= sizeof address.sun_path) {
    fail(path, "a socket's path may have " + std::to_string(sizeof address.sun_path - 1) + " bytes, this has " +
                   std::to_string(path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

Descriptor new_socket(const std::string& path) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) fail(path, errno);
  return Descriptor(descriptor);
}

// Nobody answers at a dead process's socket. Any other answer, EAGAIN of a full backlog included, is a sign
// of life.
void remove_if_dead(const std::string& path, const sockaddr_un& address) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (!S_ISSOCK(status.st_mode)) fail(path, "something that is no socket is there");
  const Descriptor probe = new_socket(path);
  const bool dead =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno == ECONNREFUSED;
  if (!dead) fail(path, "another process is listening there");
  if (::unlink(path.c_str()) != 0) fail(path, errno);
}

}  // namespace

int bind_unix_socket(const std::string& path, mode_t mode, std::optional<gid_t> group) {
  const sockaddr_un address = address_of(path);
  remove_if_dead(path, address);
  Descriptor listener = new_socket(path);
  // Linux gives the file the mode of the socket's inode, less the umask: closed to others from its first
  // moment.
  if (::fchmod(listener.get(), 0600) != 0) fail(path, errno);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail(path, errno);
  const bool ready =
      (!group || ::chown(path.c_str(), static_cast<uid_t>(-1), *group) == 0) && ::chmod(path.c_str(), mode) == 0;
  if (ready) return listener.release();
  const int error = errno;
  ::unlink(path.c_str());
  fail(path, error);
}

std::optional<gid_t> group_id(const std::string& name) {
  if (name.empty()) return std::nullopt;
  const group* entry = ::getgrnam(name.c_str());
  if (entry == nullptr) throw std::runtime_error("there is no group " + name);
  return entry->gr_gid;
}

}  // namespace p11shim

// Checks 5 to 7: the socket that applications connect to, as this user sees it.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "shim/config.h"
#include "tools/shimctl/doctor/patient.h"

namespace p11shim {

namespace {

constexpr const char* kChecks[] = {"endpoint-socket", "endpoint-permission", "endpoint-answers"};

void skip_all(Examination& found, const std::string& why) {
  for (const char* check : kChecks) found.skip(check, why);
}

void examine_socket(const std::string& path, Examination& found) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    found.fail("endpoint-socket", path + ": " + std::strerror(errno));
    found.skip("endpoint-permission", "there is no socket");
    return found.skip("endpoint-answers", "there is no socket");
  }
  if (!S_ISSOCK(status.st_mode)) {
    found.fail("endpoint-socket", path + " is no socket");
    found.skip("endpoint-permission", "there is no socket");
    return found.skip("endpoint-answers", "there is no socket");
  }
  found.pass("endpoint-socket", path);
  if (::access(path.c_str(), W_OK) != 0) {
    found.fail("endpoint-permission",
               path + ": this user (uid " + std::to_string(::geteuid()) + ") may not connect: " + std::strerror(errno));
    return found.skip("endpoint-answers", "this user may not connect");
  }
  if ((status.st_mode & S_IWOTH) != 0) found.warn("endpoint-permission", path + ": every user may connect");
  else found.pass("endpoint-permission", "uid " + std::to_string(::geteuid()) + " may connect");

  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return found.fail("endpoint-answers", path + " is too long");
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int rc = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::close(fd);
  if (rc == 0) found.pass("endpoint-answers", "connections are accepted");
  else found.fail("endpoint-answers", path + ": " + (error == EAGAIN ? "the backlog is full" : std::strerror(error)));
}

}  // namespace

void examine_endpoint(Patient& patient, Examination& found) {
  if (!patient.proxied) return skip_all(found, "the module is used without proxyd");
  for (const ShimEndpoint& endpoint : load_shim_config(shim_config_sources(&::secure_getenv)).endpoints) {
    if (endpoint.unix_path.empty()) skip_all(found, to_string(endpoint) + " is no socket with permissions");
    else examine_socket(endpoint.unix_path, found);
  }
}

}  // namespace p11shim

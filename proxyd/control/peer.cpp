#include "proxyd/control/peer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace p11shim {

namespace {

// NGROUPS_MAX is 65536; whoever is in more groups than this is judged by its primary group alone.
constexpr std::size_t kMaxGroups = 4096;

std::vector<gid_t> groups_of(int socket) {
  std::vector<gid_t> groups(kMaxGroups);
  socklen_t length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length) != 0) return {};
  groups.resize(length / sizeof(gid_t));
  return groups;
}

}  // namespace

bool Peer::in_group(gid_t group) const {
  return gid == group || std::find(groups.begin(), groups.end(), group) != groups.end();
}

std::optional<Peer> peer_of(int socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return std::nullopt;
  // Of a TCP connection the kernel says "nobody" instead of nothing.
  if (credentials.uid == static_cast<uid_t>(-1)) return std::nullopt;
  return Peer{credentials.uid, credentials.gid, credentials.pid, groups_of(socket)};
}

}  // namespace p11shim

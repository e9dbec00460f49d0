// Who is at the other end of a unix socket, as the kernel attests it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

namespace p11shim {

struct Peer {
  uid_t uid;
  gid_t gid;
  pid_t pid;
  std::vector<gid_t> groups;  // supplementary

  bool in_group(gid_t group) const;
};

// None if the kernel does not tell: treat such a peer as a stranger.
std::optional<Peer> peer_of(int socket);

}  // namespace p11shim

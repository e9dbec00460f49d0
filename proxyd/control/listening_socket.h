// A unix socket to listen on: made so that nobody else can connect before its mode and group are right, and
// so that a file left by a dead process does not stand in the way of a new one.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace p11shim {

// Returns a bound, non-blocking, close-on-exec descriptor, on which listen() is still to be called.
// Throws std::runtime_error with words for the operator: the path is too long, is no socket, belongs to a
// living process, or cannot be made.
int bind_unix_socket(const std::string& path, mode_t mode, std::optional<gid_t> group);

// The group's id; none for "". Throws std::runtime_error for one that does not exist.
std::optional<gid_t> group_id(const std::string& name);

}  // namespace p11shim

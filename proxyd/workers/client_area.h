// The shared memory of one connection, as proxyd has it: a descriptor to hand on.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace p11shim {

struct ClientArea {
  ClientArea(std::uint64_t number, int fd) : id(number), descriptor(fd) {}
  ClientArea(const ClientArea&) = delete;
  ClientArea& operator=(const ClientArea&) = delete;
  ~ClientArea() { ::close(descriptor); }

  const std::uint64_t id;  // never 0, and never that of another one
  const int descriptor;
};

}  // namespace p11shim

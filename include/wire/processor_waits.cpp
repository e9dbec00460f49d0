#include "wire/processor_waits.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace p11shim {

void ProcessorAccount::open() {
  close();
  file_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
}

void ProcessorAccount::close() {
  if (const int file = std::exchange(file_, -1); file >= 0) ::close(file);
}

// "RUNNING WAITING TIMES", the first two in nanoseconds.
std::optional<ProcessorWaits> ProcessorAccount::read() const {
  char text[96];
  const ssize_t size = file_ >= 0 ? ::pread(file_, text, sizeof text - 1, 0) : -1;
  if (size <= 0) return std::nullopt;
  text[size] = '\0';
  char* end = nullptr;
  std::strtoull(text, &end, 10);
  ProcessorWaits waits;
  waits.waited_ns = std::strtoull(end, &end, 10);
  waits.times = std::strtoull(end, &end, 10);
  return waits;
}

}  // namespace p11shim

// How long the thread that asks has been ready to run while others had the processor, as the kernel counts it
// (/proc/thread-self/schedstat).
#pragma once

#include <cstdint>
#include <optional>

namespace p11shim {

// Since the thread began.
struct ProcessorWaits {
  std::uint64_t times = 0;  // that it was given a processor
  std::uint64_t waited_ns = 0;
};

class ProcessorAccount {
 public:
  ProcessorAccount() = default;
  ProcessorAccount(const ProcessorAccount&) = delete;
  ProcessorAccount& operator=(const ProcessorAccount&) = delete;
  ~ProcessorAccount() { close(); }

  // Of the thread that calls this, which alone asks from then on.
  void open();
  void close();
  [[nodiscard]] bool is_open() const { return file_ >= 0; }
  // Nothing if the kernel does not say.
  [[nodiscard]] std::optional<ProcessorWaits> read() const;

 private:
  int file_ = -1;
};

}  // namespace p11shim

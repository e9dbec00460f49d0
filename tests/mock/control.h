// Applies the rules of a control file to calls. The file is named by an environment variable and read again
// whenever it changed, so a test steers modules that are already loaded, in any number of processes.
//
// Counters (after=, times=) and places (concurrency=) are shared by all processes through FILE.state: a
// worker that was killed by the third call does not start counting again, and the kernel gives back the place
// of one that died. Replacing the control file through ControlFile starts the counting anew.
#pragma once

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rules.h"

namespace p11shim {

// A place among the calls that may run at once; given back at the end of the call.
class Place {
 public:
  Place(const std::string& state, std::size_t rule, unsigned places);
  Place(Place&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Place& operator=(Place&&) = delete;
  ~Place();

 private:
  int fd_;
};

// What the rules ask of one call, after latency, hanging and crashing are done with.
struct Verdict {
  std::shared_ptr<const Rules> rules;
  bool is_older = false;  // this process is, than these rules
  std::optional<CK_RV> rv;
  bool fill = false;
  std::optional<CK_ULONG> length;
  std::optional<ReportedLength> report;
  std::vector<Place> places;
};

class Control {
 public:
  explicit Control(const char* variable);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  std::shared_ptr<const Rules> rules();

  // Blocks for latency, places and hangs; does not return from a crash.
  Verdict judge(Function function);

 private:
  static constexpr std::size_t kCounters = 512;
  using Counters = std::array<std::atomic<std::uint64_t>, kCounters>;

  void reload();
  bool hits(const Rule& rule, std::size_t index, Counters& counters) const;

  const std::string path_;

  std::mutex mutex_;  // guards what follows
  struct stat seen_ {};
  bool is_older_ = false;
  std::shared_ptr<const Rules> rules_;
  std::shared_ptr<Counters> counters_;
};

}  // namespace p11shim

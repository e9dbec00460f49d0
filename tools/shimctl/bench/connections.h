// The other processes of a measurement with --connections: each has loaded and initialised the module for itself, so
// to proxyd (and to a module that locks among its callers) each is an application with a connection of its own.
//
// They are forked before this process loads a module or starts a thread, and open the token after it has. For each test they are told what to
// measure, say that they are ready, warm up and begin with this process, and send what they have measured. They ignore
// signals: this process tells them to stop, and so does its end.
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <vector>

#include "tools/shimctl/bench/load_company.h"
#include "tools/shimctl/bench/load_result.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

// Messages between two processes, each a line of its length and as much JSON.
class Channel {
 public:
  explicit Channel(int descriptor) : descriptor_(descriptor) {}
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  bool send(const nlohmann::json& message);  // false: the other end is gone
  std::optional<nlohmann::json> receive();   // waits; nothing: the other end is gone
  // Whether receive() would not wait, or not any more after this time.
  bool readable(int milliseconds = 0) const;

 private:
  bool read_exactly(char* into, std::size_t size);

  int descriptor_;
};

class Connections : public LoadCompany {
 public:
  // What another process does with its end; `number` counts from 1.
  using Work = std::function<void(Channel& parent, unsigned number)>;

  Connections(unsigned others, const Work& work);
  ~Connections() override;

  // All of them prepare this, and this process must call load() next or forget it with stop(). Throws Failure (why
  // the first of them cannot). `stopped` also ends later waiting.
  void prepare(const nlohmann::json& what, std::function<bool()> stopped);
  // What they measured, once this process has.
  void merge_into(LoadResult& result);

  void warm_up() override;
  std::chrono::steady_clock::time_point begin() override;

 private:
  struct Process {
    pid_t pid = -1;
    std::unique_ptr<Channel> channel;
  };
  nlohmann::json answer_of(Process& process);  // null: stopped before it came

  std::vector<Process> processes_;
  bool opened_ = false;  // their tokens
  std::function<bool()> stopped_;
};

// The other side of prepare(), in the other process: everybody begins when the first process says so, and ends when it
// says "stop".
class FollowedLoad : public LoadCompany {
 public:
  FollowedLoad(Channel& parent, std::chrono::nanoseconds later) : parent_(parent), later_(later) {}

  bool stopped();
  void warm_up() override {}
  std::chrono::steady_clock::time_point begin() override;
  void finish();  // whoever gave up must not be waited for

 private:
  Channel& parent_;
  std::chrono::nanoseconds later_;  // so that not all intend the same moments
  bool stopped_ = false;
  bool begun_ = false;
};

}  // namespace p11shim

// proxyd's end of one lane: sends one job at a time and reads its reply. A lane whose call overran its deadline is *stuck*:
// its job was withdrawn, nothing more is sent to it until the late reply arrives.
#pragma once

#include <functional>
#include <optional>

#include "proxyd/loop/bell.h"
#include "proxyd/loop/ring_watch.h"
#include "proxyd/loop/socket_io.h"
#include "proxyd/workers/lane_job.h"

namespace p11shim {

class LaneLink final : public RingWaiter {
 public:
  struct Events {
    std::function<void(LaneLink&)> idle;  // replied; ready for the next job
    std::function<void(LaneLink&)> lost;  // closed by the worker, or it sent nonsense
  };
  // What small messages may travel through instead of the pipes.
  struct Shared {
    RingWatch& watch;
    RingPair rings;                 // of nothing: there are none
    std::shared_ptr<Rings> memory;  // that they are in; lives until the last link of its worker is gone
    std::shared_ptr<Bell> bell;     // that the worker rings; all its lanes do
  };
  // Takes the two pipes.
  LaneLink(uv_loop_t& loop, Stream stream, Shared shared, Events events);
  LaneLink(const LaneLink&) = delete;
  LaneLink& operator=(const LaneLink&) = delete;
  ~LaneLink() override;

  void send(LaneJob& job);
  // The job gets no answer any more; the lane is stuck until the worker answers. `late` is then called instead.
  void withdraw(LaneJob& job, std::function<void()> late);

  // The answer to what was sent for `from` is told to `to`.
  void hand_over(LaneJob& from, LaneJob& to);

  [[nodiscard]] bool idle() const { return job_ == nullptr && !stuck_; }
  [[nodiscard]] bool stuck() const { return stuck_; }
  [[nodiscard]] LaneJob* job() const { return job_; }
  // Of the job that was sent last.
  [[nodiscard]] const void* application() const { return application_; }
  [[nodiscard]] std::uint64_t since_sent_us() const { return (uv_hrtime() - sent_ns_) / 1000; }
  // For a worker that is being torn down: nothing is read, sent or told any more. Returns the job, which was not told either.
  LaneJob* disconnect();

 private:
  void read();
  void on_ring() override;
  void finish_reply();
  void flush();
  LaneJob* release_job();
  void fail();

  const Stream stream_;
  Shared shared_;
  Events events_;
  Poll readable_;
  Poll writable_;  // watched while something is unsent
  LaneJob* job_ = nullptr;
  const void* application_ = nullptr;
  std::uint64_t sent_ns_ = 0;
  bool stuck_ = false;
  bool failed_ = false;
  std::function<void()> late_;
  Buffer unsent_;  // what the pipe did not take at once
  Buffer input_;
  Reply reply_;
};

}  // namespace p11shim

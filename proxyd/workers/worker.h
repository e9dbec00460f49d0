// One worker process: starts on demand, loads its module, is prepared (sessions, login) by its owner, executes jobs on its
// lanes, and is started again with a growing, jittered pause when it dies.
//
//   stopped ──require()──► starting ──load, list slots, prepare──► ready
//      ▲                      │ fails                                │ dies
//      ├────── pausing ◄──────┴──────────────────────────────────────┘
//      └────── backoff ◄── the third failure in a row
//
// Calls wait while it starts or pauses, and fail while it is in backoff. When all lanes are busy jobs wait in line, where
// applications take turns. A call that overruns its deadline is withdrawn; its lane is set aside and a spare one takes its
// place; when too many are stuck, or all of them, the process is killed.
#pragma once

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "calls/lane_calls.h"
#include "proxyd/config/config.h"
#include "proxyd/loop/waiting.h"
#include "proxyd/workers/area_link.h"
#include "proxyd/workers/lane_link.h"
#include "proxyd/workers/runtime.h"
#include "proxyd/workers/start_gate.h"

namespace p11shim {

struct WorkerSpec {
  std::string name;  // for logs and status: "hsm1/user"
  ModuleConfig module;
  Environment environment;  // on top of proxyd's own
  MemberOptions options;
};

// Why a worker is not usable; `rv` is what calls are answered with.
struct WorkerFailure {
  CK_RV rv = CKR_DEVICE_ERROR;
  std::string reason;
  bool retry = true;  // false: starting it again would do harm (a PIN that was refused)
};

class Worker final : private Waiter {
 public:
  enum class State : std::uint8_t { stopped, starting, ready, pausing, backoff };
  using Prepared = std::function<void(std::optional<WorkerFailure>)>;
  struct Hooks {
    std::function<void(Worker&, Prepared)>
        prepare;                        // after load; must call back once, unless the worker is lost meanwhile
    std::function<void(Worker&)> lost;  // real sessions and objects in it are gone; state is no longer ready
  };

  Worker(Runtime& runtime, StartGate& gate, WorkerSpec spec, Hooks hooks);
  ~Worker() override;

  // Starts it if it is stopped. Ready at once, or `waiter` is resumed at the next change of state: before this returns, if it
  // cannot even be started.
  bool require(Waiter& waiter);
  void start();
  // Kills the process, or lets it finish first; jobs that run fail with worker_lost.
  void stop(const std::string& reason);

  // Stops it when the calls that run have returned; those that come meanwhile run in the process that is started then.
  void renew(const std::string& reason);

  void submit(LaneJob& job);
  // A job may lead there. False: this process cannot be told of it.
  bool share(const std::shared_ptr<const ClientArea>& area) { return areas_.share(area); }
  // Applications' calls end at their deadlines. Nobody ends proxyd's own, and what they were about cannot be known: a worker
  // in which one takes longer than this, or a slow one longer than that, is killed.
  void lose_if_hung(std::chrono::milliseconds longest, std::chrono::milliseconds longest_slow);
  // The job is forgotten: taken from the queue, or its lane is set aside until `late` is called.
  void withdraw(LaneJob& job, std::function<void()> late);

  // The answer to a job that is on a lane is told to another job.
  void hand_over(LaneJob& from, LaneJob& to);

  [[nodiscard]] State state() const { return state_; }
  // It cannot be had before a pause is over.
  [[nodiscard]] bool rests() const { return state_ == State::backoff || state_ == State::pausing; }
  [[nodiscard]] const WorkerFailure& failure() const { return failure_; }
  [[nodiscard]] std::uint64_t generation() const { return generation_; }  // differs for every process started
  [[nodiscard]] std::uint64_t started_ms() const { return started_ms_; }  // the process, before any of its code ran
  [[nodiscard]] const LoadedModule& module() const { return module_; }
  [[nodiscard]] const std::vector<SlotEntry>& slots() const { return slots_; }
  void set_slots(std::vector<SlotEntry> slots) { slots_ = std::move(slots); }
  [[nodiscard]] const WorkerSpec& spec() const { return spec_; }
  [[nodiscard]] Runtime& runtime() { return runtime_; }
  [[nodiscard]] bool idle() const { return queue_.empty() && busy_lanes() == 0; }
  [[nodiscard]] std::uint64_t last_used_ms() const { return last_used_ms_; }

  // For status.
  [[nodiscard]] int pid() const { return process_ != nullptr ? process_->pid : 0; }
  [[nodiscard]] std::uint32_t busy_lanes() const;
  [[nodiscard]] std::uint32_t stuck_lanes() const;
  [[nodiscard]] std::size_t queued() const { return queue_.size(); }
  [[nodiscard]] std::uint32_t restarts() const { return restarts_; }

 private:
  void resume() override;  // its turn to start
  bool spawn();
  void load(const std::string& path);
  void list_slots();
  void prepare();
  void became_ready();
  void start_failed(WorkerFailure failure);
  void process_exited(std::int64_t status, int signal);
  void lane_idle(LaneLink& lane);
  void lost(const std::string& reason);
  void tear_down();
  void dispatch();
  [[nodiscard]] LaneLink* free_lane() const;  // null: the next job waits
  std::chrono::milliseconds pause();
  void set_state(State state);

  Runtime& runtime_;
  StartGate& gate_;
  const WorkerSpec spec_;
  const Hooks hooks_;

  State state_ = State::stopped;
  WorkerFailure failure_;
  WaitList changes_;
  bool has_turn_ = false;
  std::uint64_t renewing_since_ms_ = 0;
  std::string renewing_;  // why; empty: it is not
  std::uint64_t generation_ = 0;
  std::uint32_t attempts_ = 0;  // failed starts in a row
  std::uint32_t deaths_ = 0;    // in a row, each soon after it got ready
  std::uint32_t restarts_ = 0;
  std::uint64_t started_ms_ = 0;
  std::uint64_t ready_since_ms_ = 0;
  std::uint64_t last_used_ms_ = 0;
  Timer pause_timer_;
  Timer start_timer_;   // a start that takes too long
  Timer burial_timer_;  // frees lanes outside of their own callbacks

  HandlePtr<uv_process_t> process_;
  AreaLink areas_;
  std::vector<std::unique_ptr<LaneLink>> lanes_;
  std::vector<std::unique_ptr<LaneLink>> buried_;
  FairLine queue_;
  LoadedModule module_;
  std::vector<SlotEntry> slots_;
};

}  // namespace p11shim

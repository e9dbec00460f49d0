#include "proxyd/workers/worker.h"

#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/config/module_file.h"
#include "proxyd/workers/spawn.h"

namespace p11shim {
namespace {
constexpr std::uint32_t kStartAttempts = 3;
constexpr std::chrono::milliseconds kStartDeadline{30'000};
constexpr std::uint64_t kShortLife = 10'000;  // ms
}  // namespace

Worker::Worker(Runtime& runtime, StartGate& gate, WorkerSpec spec, Hooks hooks)
    : runtime_(runtime),
      gate_(gate),
      spec_(std::move(spec)),
      hooks_(std::move(hooks)),
      pause_timer_(runtime.loop, [this] { set_state(State::stopped); }),  // whoever waits starts it again
      start_timer_(runtime.loop,
                   [this] {
                     start_failed({CKR_DEVICE_ERROR, "the module did not get ready in time", true});
                   }),
      burial_timer_(runtime.loop, [this] { buried_.clear(); }) {
  pause_timer_.unref();
}

Worker::~Worker() { tear_down(); }

bool Worker::require(Waiter& waiter) {
  if (state_ == State::ready) return true;
  changes_.add(waiter);  // first: a start may fail at once
  if (state_ == State::stopped) start();
  return false;
}

void Worker::start() {
  if (state_ != State::stopped) return;
  state_ = State::starting;
  resume();
}

void Worker::resume() {
  if (state_ != State::starting || !gate_.enter(spec_.module.path, *this)) return;
  has_turn_ = true;
  start_timer_.start(kStartDeadline);
  ++generation_;
  started_ms_ = runtime_.now_ms();
  // Before any of its code runs: whose file is it, and is it the expected one?
  const ModuleCheck check = check_module_file(spec_.module.path, rules_of(spec_.module));
  if (!check.ok()) return start_failed({CKR_DEVICE_ERROR, check.problem(), true});
  if (!spawn()) return;
  load(check.real_path());
}

bool Worker::spawn() {
  const std::size_t count = spec_.options.lanes + spec_.options.max_stuck_lanes;
  std::vector<Stream> streams;
  std::string error;
  int areas = -1;
  // Without it everything goes through the pipes.
  const auto memory = std::make_shared<Rings>();
  const int rings = runtime_.lane_rings ? Rings::create(count) : -1;
  const std::shared_ptr<Bell> bell = memory->map(rings, count) ? Bell::make(runtime_.loop, runtime_.rings) : nullptr;
  const SharedRings shared{rings, bell != nullptr ? bell->descriptor() : -1};
  process_ = spawn_worker(runtime_, spec_.environment, count, streams, shared, areas, error,
                          [this](std::int64_t status, int signal) { process_exited(status, signal); });
  if (rings >= 0) ::close(rings);
  if (process_ == nullptr) {
    start_failed({CKR_DEVICE_ERROR, error, true});
    return false;
  }
  areas_.open(areas);
  for (const Stream& stream : streams)
    lanes_.push_back(std::make_unique<LaneLink>(
        runtime_.loop, stream, LaneLink::Shared{runtime_.rings, memory->pair(lanes_.size()), memory, bell},
        LaneLink::Events{[this](LaneLink& lane) { lane_idle(lane); },
                         [this](LaneLink&) { lost("it closed a lane"); }}));
  return true;
}

void Worker::load(const std::string& path) {
  LoadOrder order{path, spec_.module.library_parameters, spec_.module.flags, !spec_.module.thread_safe,
                  spec_.module.counters};
  Buffer body;
  Out out(body);
  write_load_order(out, order);
  OwnCall::start(*this, static_cast<std::uint32_t>(LaneCall::load), {}, std::move(body),
                 [this, generation = generation_](Reply* reply) {
                   if (generation != generation_ || state_ != State::starting) return;
                   if (reply == nullptr) return;  // lost() says so
                   In in(reply->body);
                   if (!read_loaded_module(in, module_))
                     return start_failed({CKR_DEVICE_ERROR, "its answer to load is malformed", true});
                   if (reply->rv != CKR_OK) return start_failed({reply->rv, module_.failure, true});
                   list_slots();
                 });
}

void Worker::list_slots() {
  Buffer body;
  Out(body).boolean(true);
  OwnCall::start(*this, static_cast<std::uint32_t>(LaneCall::list_slots), {}, std::move(body),
                 [this, generation = generation_](Reply* reply) {
                   if (generation != generation_ || state_ != State::starting || reply == nullptr) return;
                   if (reply->rv != CKR_OK) return start_failed({reply->rv, "C_GetSlotList failed", true});
                   In in(reply->body);
                   if (!read_slots(in, slots_))
                     return start_failed({CKR_DEVICE_ERROR, "its list of slots is malformed", true});
                   prepare();
                 });
}

void Worker::prepare() {
  if (!hooks_.prepare) return became_ready();
  hooks_.prepare(*this, [this, generation = generation_](std::optional<WorkerFailure> failure) {
    if (generation != generation_ || state_ != State::starting) return;
    if (failure) return start_failed(std::move(*failure));
    became_ready();
  });
}

void Worker::became_ready() {
  attempts_ = 0;
  failure_ = {};
  start_timer_.stop();
  last_used_ms_ = ready_since_ms_ = runtime_.now_ms();
  runtime_.log.info("worker {} is ready (pid {})", spec_.name, pid());
  set_state(State::ready);
}

void Worker::start_failed(WorkerFailure failure) {
  runtime_.log.error("worker {} did not start: {} ({})", spec_.name, failure.reason,
                     display(NameKind::ckr, failure.rv));
  failure_ = std::move(failure);
  attempts_ = failure_.retry ? attempts_ + 1 : kStartAttempts;
  tear_down();
  pause_timer_.start(pause());
  const bool give_up = attempts_ >= kStartAttempts;
  if (give_up) attempts_ = 0;
  set_state(give_up ? State::backoff : State::pausing);
}

std::chrono::milliseconds Worker::pause() {
  const auto& backoff = spec_.options.restart_backoff;
  const auto doubled = backoff.min * (std::int64_t{1} << std::min<std::uint32_t>(std::max(attempts_, deaths_), 20));
  const auto longest = std::min(std::max(doubled, backoff.min), backoff.max);
  std::uniform_int_distribution<std::int64_t> jitter(longest.count() / 2, longest.count());
  return std::chrono::milliseconds(jitter(runtime_.random));
}

void Worker::stop(const std::string& reason) {
  if (process_ == nullptr && state_ == State::stopped) return;
  runtime_.log.info("worker {} is stopped: {}", spec_.name, reason);
  const bool was_ready = state_ == State::ready;
  pause_timer_.stop();
  attempts_ = 0;
  state_ = State::stopped;
  tear_down();
  if (was_ready && hooks_.lost) hooks_.lost(*this);
  changes_.resume_all();
}

void Worker::renew(const std::string& reason) {
  if (state_ != State::ready || busy_lanes() == 0) return stop(reason);
  if (renewing_.empty()) renewing_since_ms_ = runtime_.now_ms();
  renewing_ = reason;
}

void Worker::lost(const std::string& reason) {
  if (process_ == nullptr) return;
  ++restarts_;
  if (state_ == State::starting) return start_failed({CKR_DEVICE_ERROR, reason, true});
  runtime_.log.error("worker {} (pid {}) is lost: {}", spec_.name, pid(), reason);
  failure_ = {CKR_DEVICE_ERROR, reason, true};
  // One that lived long may come back soon; one that dies at every call must not take the machine with it.
  deaths_ = runtime_.now_ms() - ready_since_ms_ < kShortLife ? deaths_ + 1 : 0;
  state_ = State::pausing;
  if (hooks_.lost) hooks_.lost(*this);
  tear_down();
  pause_timer_.start(pause());
  set_state(State::pausing);
}

void Worker::lose_if_hung(std::chrono::milliseconds longest, std::chrono::milliseconds longest_slow) {
  if (state_ != State::ready) return;  // a start has its own limit
  areas_.sweep();
  const std::uint64_t now = uv_hrtime();
  const bool hung = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) {
    const LaneJob* job = lane->job();
    if (job == nullptr || !job->is_own()) return false;
    const auto limit = job->is_slow() ? longest_slow : longest;
    return now - job->sent_ns_ > static_cast<std::uint64_t>(limit.count()) * 1'000'000;
  });
  if (hung) return lost("a call that proxyd made itself does not return");
  // What it waits for may be behind what hangs.
  const bool is_late =
      !renewing_.empty() && runtime_.now_ms() - renewing_since_ms_ > static_cast<std::uint64_t>(longest.count());
  if (is_late) lost(std::string(renewing_));
}

void Worker::process_exited(std::int64_t status, int signal) {
  lost(signal != 0 ? "killed by signal " + std::to_string(signal) : "exited with " + std::to_string(status));
}

// Ends the process and every job. Pipes are closed first: a healthy worker then finalises its module and leaves.
void Worker::tear_down() {
  renewing_.clear();
  start_timer_.stop();
  stop_waiting();
  ++generation_;  // whatever still arrives is from a process that is no more
  const bool healthy = state_ == State::stopped && stuck_lanes() == 0;
  std::vector<LaneJob*> running;
  for (auto& lane : lanes_)
    if (LaneJob* job = lane->disconnect()) running.push_back(job);
  // A line of their own: one that is told may start the worker again, whose jobs wait in the other; or withdraw another.
  FairLine waiting;
  while (!queue_.empty()) waiting.add(queue_.take(), nullptr);
  for (auto& lane : lanes_) buried_.push_back(std::move(lane));
  lanes_.clear();
  areas_.close();
  if (!buried_.empty()) burial_timer_.start(std::chrono::milliseconds(0));
  if (process_ != nullptr) {
    leave_worker(std::move(process_), healthy && running.empty());
    process_ = nullptr;
  }
  // Before the jobs are told: one of them may start the worker again, with a turn of its own.
  if (std::exchange(has_turn_, false)) gate_.leave(spec_.module.path);
  for (LaneJob* job : running) job->on_failure(JobFailure::worker_lost);
  while (!waiting.empty()) static_cast<LaneJob&>(waiting.take()).on_failure(JobFailure::not_started);
}

void Worker::submit(LaneJob& job) {
  job.worker_ = this;
  if (lanes_.empty()) {
    job.on_failure(JobFailure::not_started);
    return;
  }
  if (LaneLink* lane = queue_.empty() ? free_lane() : nullptr) {
    last_used_ms_ = runtime_.now_ms();
    return lane->send(job);
  }
  queue_.add(job, job.application());
  dispatch();
}

void Worker::withdraw(LaneJob& job, std::function<void()> late) {
  if (job.lane_ == nullptr) {
    job.leave_line();
    if (late) late();
    return;
  }
  if (!queue_.empty()) queue_.took(job.application(), job.lane_->since_sent_us());
  job.lane_->withdraw(job, std::move(late));
  const std::uint32_t stuck = stuck_lanes();
  runtime_.log.warn("worker {}: a call overran its deadline, {} of {} lanes are stuck", spec_.name, stuck,
                    lanes_.size());
  if (stuck == lanes_.size()) return lost("all its lanes are stuck");
  if (stuck > spec_.options.max_stuck_lanes) return renew("too many lanes are stuck");  // what runs may end
  if (!renewing_.empty() && busy_lanes() == 0) return stop(std::exchange(renewing_, {}));
  dispatch();
}

void Worker::hand_over(LaneJob& from, LaneJob& to) {
  to.worker_ = this;
  from.lane_->hand_over(from, to);
}

void Worker::lane_idle(LaneLink& lane) {
  ++runtime_.events;
  if (!queue_.empty()) queue_.took(lane.application(), lane.since_sent_us());
  if (!renewing_.empty() && busy_lanes() == 0) return stop(std::exchange(renewing_, {}));
  dispatch();
}

void Worker::dispatch() {
  last_used_ms_ = runtime_.now_ms();
  while (!queue_.empty()) {
    LaneLink* lane = free_lane();
    if (lane == nullptr) return;
    lane->send(static_cast<LaneJob&>(queue_.take()));
  }
}

// As many lanes as configured work at a time; those beyond stand in for stuck ones.
LaneLink* Worker::free_lane() const {
  if (!renewing_.empty()) return nullptr;
  std::uint32_t busy = 0;
  LaneLink* idle = nullptr;
  for (const auto& lane : lanes_) {
    if (lane->idle() && idle == nullptr) idle = lane.get();
    if (!lane->idle() && !lane->stuck()) ++busy;
  }
  return busy < spec_.options.lanes ? idle : nullptr;
}

std::uint32_t Worker::busy_lanes() const {
  return static_cast<std::uint32_t>(
      std::count_if(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->job() != nullptr; }));
}

std::uint32_t Worker::stuck_lanes() const {
  return static_cast<std::uint32_t>(
      std::count_if(lanes_.begin(), lanes_.end(), [](const auto& lane) { return lane->stuck(); }));
}

void Worker::set_state(State state) {
  state_ = state;
  if (state == State::ready && std::exchange(has_turn_, false)) gate_.leave(spec_.module.path);
  changes_.resume_all();
}

}  // namespace p11shim

#include "tools/shimctl/bench/load_thread.h"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <cmath>

namespace p11shim {

namespace {

// Checks take at most this part of a thread's time, and so does looking how fast the machine is.
constexpr int kCheckShare = 100;
constexpr int kMachineShare = 100;
constexpr int kMachineTimes = 8;  // of a slice are enough
// Who has to wait for a processor waits for at least as long.
constexpr std::chrono::microseconds kShortestWait{200};

std::uint64_t nanoseconds(std::chrono::steady_clock::duration duration) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count()));
}

}  // namespace

LoadThread::LoadThread(const LoadPlan& plan, unsigned number, const std::vector<std::unique_ptr<Operation>>& operations,
                       LoadPhase& phase)
    : records(plan.slices, std::vector<LaneRecord>(operations.size())),
      machine_ns(plan.slices),
      errors(operations.size()),
      wrong(operations.size()),
      ran(operations.size()),
      plan_(plan),
      number_(number),
      operations_(operations),
      phase_(phase),
      random_(static_cast<std::minstd_rand::result_type>(plan.seed * 1000003 + number + 1)),
      quota_(plan.iterations / plan.threads + (number < plan.iterations % plan.threads ? 1 : 0)) {
  const double gap = plan.rate > 0 ? plan.threads / plan.rate : 0;
  next_turn_s_ = gap * number / plan.threads;
}

void LoadThread::run() {
  ::prctl(PR_SET_TIMERSLACK, 1UL);  // whoever keeps to a rate wakes up in time
  for (int phase = phase_.now.load(); phase < 0; phase = phase_.now.load()) {
    if (phase == LoadPhase::kWait || (phase == LoadPhase::kAlone && number_ != 0)) {
      phase_.now.wait(phase);
    } else {
      prepare(phase);
    }
  }
  measure();
  done = true;
}

void LoadThread::prepare(int phase) {
  std::size_t turn = 0;
  while (phase_.now.load(std::memory_order_relaxed) == phase) {
    const std::size_t lane = turn++ % operations_.size();
    auto& operation = *operations_[lane];
    const auto begin = Clock::now();
    const CK_RV rv = operation.run();
    const auto took = nanoseconds(Clock::now() - begin);
    rv == CKR_OK ? operation.tidy() : operation.recover();
    ran[lane].add(took);
    add(seen_ns, took);
    add(seen_count, 1);
    if (rv != CKR_OK) add(seen_errors, 1);
  }
}

std::size_t LoadThread::slice_of(int phase) const {
  if (plan_.duration) return static_cast<std::size_t>(phase);
  return std::min(plan_.slices - 1,
                  static_cast<std::size_t>(turns_ * plan_.slices / std::max<std::uint64_t>(quota_, 1)));
}

std::size_t LoadThread::choose(std::size_t slice) {
  if (!plan_.weights.empty()) {
    return std::discrete_distribution<std::size_t>(plan_.weights.begin(), plan_.weights.end())(random_);
  }
  return plan_.operation_of_slice.empty() ? 0 : plan_.operation_of_slice[slice];
}

void LoadThread::measure() {
  wait_.since_last();
  auto former = Clock::now();
  for (;;) {
    if (!plan_.duration && turns_ >= quota_) return;
    const auto machine = time_machine(former);
    if (machine) former = Clock::now();
    std::optional<Clock::time_point> intended;
    const bool due = plan_.rate == 0 || wait_for_turn(intended.emplace());
    const int phase = phase_.now.load(std::memory_order_acquire);
    if (!due || phase == LoadPhase::kStop) {
      if (intended) count_not_begun(*intended);
      return;
    }
    const std::size_t slice = slice_of(phase);
    if (machine) machine_ns[slice].push_back(*machine);
    const std::size_t lane = choose(slice);
    const auto end = once(slice, lane, intended);
    book(slice, lane, former, end.of_operation);
    summary.busy_ns += nanoseconds(end.of_operation - former);
    former = end.of_tidying;
    ++turns_;
    measured.store(true, std::memory_order_relaxed);
  }
}

std::optional<double> LoadThread::time_machine(Clock::time_point now) {
  if (!plan_.can_pause() || now < next_machine_) return std::nullopt;
  const double took = machine_.time();
  const std::chrono::nanoseconds pause(static_cast<std::int64_t>(kMachineShare * took));
  const auto slice = plan_.duration ? *plan_.duration / static_cast<std::int64_t>(plan_.slices) : Clock::duration{};
  next_machine_ = Clock::now() + std::max<Clock::duration>(pause, slice / kMachineTimes);
  return took;
}

// What an operation took of later slices is theirs, so that a stall is seen in each slice that it covers. (Of two
// sides in turns, the later slice is the other side's.)
void LoadThread::book(std::size_t slice, std::size_t lane, Clock::time_point from, Clock::time_point to) {
  double waiting = 0;
  if (to - from >= kShortestWait)
    waiting = std::min(1.0, static_cast<double>(wait_.since_last()) / static_cast<double>(nanoseconds(to - from)));
  const bool by_time = plan_.duration && plan_.operation_of_slice.empty();
  if (by_time && phase_.now.load(std::memory_order_relaxed) != static_cast<int>(slice)) {
    for (; slice + 1 < plan_.slices; ++slice) {
      const auto boundary = phase_.begin + *plan_.duration * static_cast<std::int64_t>(slice + 1) /
                                               static_cast<std::int64_t>(plan_.slices);
      if (to <= boundary) break;
      if (from >= boundary) continue;
      book_part(records[slice][lane], boundary - from, waiting);
      from = boundary;
    }
  }
  book_part(records[slice][lane], to - from, waiting);
}

// `waiting`: which share of the time.
void LoadThread::book_part(LaneRecord& record, Clock::duration part, double waiting) {
  const std::uint64_t ns = nanoseconds(part);
  record.busy_ns += ns;
  record.waited_ns += static_cast<std::uint64_t>(waiting * static_cast<double>(ns));
}

// Open loop, at the end: `intended`, and all that were due between it and the end.
void LoadThread::count_not_begun(Clock::time_point intended) {
  if (intended >= phase_.end) return;
  const double left =
      (std::chrono::duration<double>(phase_.end - phase_.begin).count() - next_turn_s_) * plan_.rate / plan_.threads;
  not_begun = 1;
  if (left > 0) {
    not_begun += plan_.poisson ? 1 + std::poisson_distribution<std::uint64_t>(left)(random_)
                               : static_cast<std::uint64_t>(std::ceil(left));
  }
  if (!plan_.duration) not_begun = std::min(not_begun, quota_ - turns_);
}

// False if the run ends before.
bool LoadThread::wait_for_turn(Clock::time_point& intended) {
  const double gap = plan_.threads / plan_.rate;
  intended = phase_.begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(next_turn_s_));
  const double step = plan_.poisson ? std::exponential_distribution<double>(1 / gap)(random_) : gap;
  next_turn_s_ += step;
  while (Clock::now() < intended) {
    if (phase_.now.load(std::memory_order_relaxed) == LoadPhase::kStop) return false;
    const auto until = std::min(intended, Clock::now() + std::chrono::milliseconds(20));
    const auto since = until.time_since_epoch();
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    const timespec time{.tv_sec = seconds.count(),
                        .tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since - seconds).count()};
    ::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nullptr);
  }
  return true;
}

// Nobody else writes it.
void LoadThread::add(std::atomic<std::uint64_t>& counter, std::uint64_t more) {
  counter.store(counter.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
}

LoadThread::Ends LoadThread::once(std::size_t slice, std::size_t lane, std::optional<Clock::time_point> intended) {
  Operation& operation = *operations_[lane];
  LaneRecord& record = records[slice][lane];
  const auto begin = Clock::now();
  const CK_RV rv = operation.run();
  const auto end = Clock::now();
  const std::uint64_t took = nanoseconds(end - begin);
  add(seen_count, 1);
  add(seen_ns, took);
  ran[lane].add(took);
  if (rv != CKR_OK) {
    ++errors[lane][rv];
    ++record.errors;
    ++summary.errors;
    add(seen_errors, 1);
    operation.recover();
    return {end, Clock::now()};
  }
  const std::uint64_t wrong_before = wrong[lane];
  if (end >= next_check_ || checked == 0) check(operation, lane);
  operation.tidy();
  if (wrong[lane] != wrong_before) {
    ++record.errors;
    return {end, Clock::now()};
  }
  record.service.record(took);
  if (intended) record.response.record(nanoseconds(end - *intended));
  ++summary.count;
  summary.sum_ns += took;
  return {end, Clock::now()};
}

void LoadThread::check(Operation& operation, std::size_t lane) {
  const auto begin = Clock::now();
  std::string reason;
  try {
    reason = operation.check();
  } catch (const CallError& error) {
    reason = std::string("the result cannot be checked: ") + error.what();
  }
  ++checked;
  if (!reason.empty()) {
    ++wrong[lane];
    ++summary.errors;
    if (first_wrong.empty()) first_wrong = reason;
  }
  const auto end = Clock::now();
  next_check_ = end + kCheckShare * (end - begin);
}

}  // namespace p11shim

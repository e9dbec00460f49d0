#include "tools/shimctl/bench/load.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "tools/shimctl/bench/load_thread.h"
#include "tools/shimctl/bench/statistics.h"

namespace p11shim {

namespace {

using Clock = LoadThread::Clock;
using std::chrono::nanoseconds;

constexpr std::chrono::milliseconds kStep{20};
constexpr std::size_t kSteadyWindows = 4;
constexpr double kSteadySpread = 0.1;     // of the windows' means
constexpr std::uint64_t kHopeless = 200;  // failures without a single success
constexpr int kProbes = 15;
constexpr std::chrono::milliseconds kRest{200};
constexpr int kMachineTimes = 60;  // some 3 ms

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

class Load {
 public:
  Load(const LoadPlan& plan, const std::vector<std::vector<std::unique_ptr<Operation>>>& operations,
       const std::function<bool()>& stopped, const std::function<void(std::size_t)>& tick)
      : plan_(plan), operations_(operations), stopped_(stopped), tick_(tick) {
    for (unsigned i = 0; i < plan.threads; ++i) {
      threads_.push_back(std::make_unique<LoadThread>(plan, i, operations[i], phase_));
    }
  }

  LoadResult run() {
    if (!plan_.can_pause()) machine_before_ = machine_ns();
    std::vector<std::thread> running;
    for (auto& thread : threads_) running.emplace_back(&LoadThread::run, thread.get());
    alone();
    warm_up();
    measure();
    phase_.end = plan_.duration ? std::min(end_, begin_ + *plan_.duration) : end_;
    enter(LoadPhase::kStop);
    for (auto& thread : running) thread.join();
    if (!plan_.can_pause()) machine_after_ = machine_ns();
    result_.interrupted = stopped_();
    collect();
    cool_down();
    return std::move(result_);
  }

 private:
  struct Seen {
    std::uint64_t count = 0;
    std::uint64_t ns = 0;
    std::uint64_t errors = 0;
  };
  Seen seen() const {
    Seen all;
    for (const auto& thread : threads_) {
      all.count += thread->seen_count;
      all.ns += thread->seen_ns;
      all.errors += thread->seen_errors;
    }
    return all;
  }

  void enter(int phase) {
    phase_.now = phase;
    phase_.now.notify_all();
  }

  // In steps, so that nobody waits long for ^C. False: it ends here.
  bool sleep_until(Clock::time_point time) {
    while (Clock::now() < time) {
      if (stopped_()) return false;
      std::this_thread::sleep_until(std::min(time, Clock::now() + kStep));
      if (hopeless()) return false;
    }
    return !stopped_();
  }

  bool hopeless() {
    const Seen now = seen();
    result_.gave_up = now.errors >= kHopeless && now.errors == now.count;
    return result_.gave_up;
  }

  // While nothing else runs. The first ones may have to wake the processor up.
  static double machine_ns() {
    MachineWork work;
    std::vector<double> times;
    for (int i = 0; i < kMachineTimes; ++i) times.push_back(work.time());
    return median_of({times.begin() + kMachineTimes / 3, times.end()});
  }

  void alone() {
    if (plan_.alone.count() == 0 || stopped_()) return;
    enter(LoadPhase::kAlone);
    sleep_until(Clock::now() + plan_.alone);
    const Seen now = seen();
    if (now.count > 0) result_.alone_ns = static_cast<double>(now.ns) / static_cast<double>(now.count);
  }

  // Until the mean latencies of the last windows are alike.
  void warm_up() {
    if (plan_.company != nullptr) plan_.company->warm_up();
    if (plan_.warmup.count() == 0) return;
    const auto begin = Clock::now();
    const auto end = begin + plan_.warmup;
    const nanoseconds window = std::max<nanoseconds>(plan_.warmup / 20, std::chrono::milliseconds(10));
    enter(LoadPhase::kWarmup);
    std::vector<double> means;
    Seen before = seen();
    while (!result_.steady && Clock::now() < end && sleep_until(std::min(end, Clock::now() + window))) {
      const Seen now = seen();
      if (now.count < before.count + 4 * plan_.threads) continue;  // slow operations: a longer window
      means.push_back(static_cast<double>(now.ns - before.ns) / static_cast<double>(now.count - before.count));
      before = now;
      if (means.size() < kSteadyWindows) continue;
      const auto [low, high] = std::minmax_element(means.end() - kSteadyWindows, means.end());
      result_.steady = *high - *low <= kSteadySpread * *low;
    }
    result_.warmup_s = seconds(Clock::now() - begin);
  }

  bool all_done() const {
    return std::all_of(threads_.begin(), threads_.end(), [](const auto& thread) { return thread->done.load(); });
  }

  bool any_measured() const {
    return std::any_of(threads_.begin(), threads_.end(), [](const auto& thread) { return thread->measured.load(); });
  }

  void measure() {
    if (stopped_() || result_.gave_up) return;
    const auto begin = plan_.company != nullptr ? plan_.company->begin() : Clock::now();
    if (!sleep_until(begin)) return;
    phase_.begin = begin_ = begin;
    if (!plan_.duration) {
      enter(0);
      while (!all_done() && sleep_until(Clock::now() + kStep)) {
        if (tick_) tick_(0);
      }
      end_ = Clock::now();
      return;
    }
    for (std::size_t slice = 0; slice < plan_.slices; ++slice) {
      enter(static_cast<int>(slice));
      begins_.push_back(Clock::now());
      const auto end =
          begin_ + *plan_.duration * static_cast<std::int64_t>(slice + 1) / static_cast<std::int64_t>(plan_.slices);
      if (tick_) tick_(slice);
      if (!sleep_until(end)) break;
    }
    // Operations that are longer than the run are waited for, as long as the caller does not mind.
    while (!any_measured() && sleep_until(Clock::now() + kStep)) {
    }
    end_ = Clock::now();
    if (tick_) tick_(begins_.size());
  }

  void collect() {
    const std::size_t lanes = operations_.front().size();
    const std::size_t slices = plan_.duration ? begins_.size() : (begin_ == Clock::time_point{} ? 0 : plan_.slices);
    result_.errors.resize(lanes);
    result_.wrong.resize(lanes);
    result_.ran.resize(lanes);
    for (std::size_t i = 0; i < slices; ++i) {
      LoadSlice slice{.lanes = std::vector<LaneRecord>(lanes)};
      place_in_time(slice, i, slices);
      for (const auto& thread : threads_) {
        for (std::size_t lane = 0; lane < lanes; ++lane) slice.lanes[lane].merge(thread->records[i][lane]);
        const auto& times = thread->machine_ns[i];
        slice.machine_ns.insert(slice.machine_ns.end(), times.begin(), times.end());
      }
      if (!plan_.can_pause()) {
        const double share = (static_cast<double>(i) + 0.5) / static_cast<double>(slices);
        slice.machine_ns.push_back(machine_before_ * std::pow(machine_after_ / machine_before_, share));
      }
      result_.slices.push_back(std::move(slice));
    }
    for (const auto& thread : threads_) {
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        for (const auto& [rv, count] : thread->errors[lane]) result_.errors[lane][rv] += count;
        result_.wrong[lane] += thread->wrong[lane];
        result_.ran[lane].count += thread->ran[lane].count;
        result_.ran[lane].ns += thread->ran[lane].ns;
      }
      result_.checked += thread->checked;
      result_.not_begun += thread->not_begun;
      if (result_.first_wrong.empty()) result_.first_wrong = thread->first_wrong;
      result_.threads.push_back(thread->summary);
    }
  }

  void place_in_time(LoadSlice& slice, std::size_t i, std::size_t count) const {
    if (plan_.duration) {
      slice.start_s = seconds(begins_[i] - begin_);
      slice.seconds = seconds((i + 1 < count ? begins_[i + 1] : end_) - begins_[i]);
      return;
    }
    slice.seconds = seconds(end_ - begin_) / static_cast<double>(count);
    slice.start_s = slice.seconds * static_cast<double>(i);
  }

  // After a rest: slower means that the load had kept something warm, faster that it had tired something.
  void cool_down() {
    if (!plan_.cooldown || stopped_() || result_.gave_up || plan_.warmup.count() == 0) return;
    if (!sleep_until(Clock::now() + std::min<nanoseconds>(kRest, plan_.warmup))) return;
    Operation& operation = *operations_.front().front();
    std::vector<double> times;
    const auto end = Clock::now() + plan_.warmup;
    for (int i = 0; i < kProbes && Clock::now() < end; ++i) {
      const auto begin = Clock::now();
      const CK_RV rv = operation.run();
      const auto took = Clock::now() - begin;
      result_.ran.front().add(static_cast<std::uint64_t>(nanoseconds(took).count()));
      rv == CKR_OK ? operation.tidy() : operation.recover();
      if (rv == CKR_OK) times.push_back(1e9 * seconds(took));
    }
    if (times.empty()) return;
    std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
    result_.cooldown_ns = times[times.size() / 2];
  }

  const LoadPlan& plan_;
  const std::vector<std::vector<std::unique_ptr<Operation>>>& operations_;
  const std::function<bool()>& stopped_;
  const std::function<void(std::size_t)>& tick_;
  LoadPhase phase_;
  std::vector<std::unique_ptr<LoadThread>> threads_;
  std::vector<Clock::time_point> begins_;
  Clock::time_point begin_{};
  Clock::time_point end_{};
  double machine_before_ = 0;
  double machine_after_ = 0;
  LoadResult result_;
};

}  // namespace

LoadResult run_load(const LoadPlan& plan, const std::vector<std::vector<std::unique_ptr<Operation>>>& operations,
                    const std::function<bool()>& stopped, const std::function<void(std::size_t)>& tick) {
  return Load(plan, operations, stopped, tick).run();
}

}  // namespace p11shim

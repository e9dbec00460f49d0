// One thread of a load. All that threads share is which slice runs.
#pragma once

#include <map>
#include <random>

#include "tools/shimctl/bench/load.h"
#include "tools/shimctl/bench/machine_work.h"

namespace p11shim {

// What the threads of a run look at before each operation.
struct LoadPhase {
  static constexpr int kWait = -3;
  static constexpr int kAlone = -2;  // the first thread only
  static constexpr int kWarmup = -1;
  static constexpr int kStop = 1 << 30;

  std::atomic<int> now{kWait};                    // or the slice that runs
  std::chrono::steady_clock::time_point begin{};  // of the first slice; set before it
  std::chrono::steady_clock::time_point end{};    // open loop: of what was due; set before kStop
};

class LoadThread {
 public:
  using Clock = std::chrono::steady_clock;

  LoadThread(const LoadPlan& plan, unsigned number, const std::vector<std::unique_ptr<Operation>>& operations,
             LoadPhase& phase);

  void run();  // until the phase is kStop, or the iterations are done

  // While it runs, for others to look at.
  std::atomic<std::uint64_t> seen_count{0};
  std::atomic<std::uint64_t> seen_ns{0};
  std::atomic<std::uint64_t> seen_errors{0};
  std::atomic<bool> measured{false};  // at least one operation
  std::atomic<bool> done{false};

  // When it is over.
  std::vector<std::vector<LaneRecord>> records;  // [slice][operation]
  std::vector<std::vector<double>> machine_ns;   // [slice]
  std::vector<std::map<CK_RV, std::uint64_t>> errors;
  std::vector<std::uint64_t> wrong;
  std::uint64_t checked = 0;
  std::string first_wrong;
  std::uint64_t not_begun = 0;
  ThreadSummary summary;
  std::vector<RunTotals> ran;  // per operation

 private:
  void prepare(int phase);
  void measure();
  std::size_t slice_of(int phase) const;
  std::size_t choose(std::size_t slice);
  bool wait_for_turn(Clock::time_point& intended);
  void count_not_begun(Clock::time_point intended);
  void book(std::size_t slice, std::size_t lane, Clock::time_point from, Clock::time_point to);
  void book_part(LaneRecord& record, Clock::duration part, double waiting);
  // What lies between the two is in no figure: the check, what is given back, our own books.
  struct Ends {
    Clock::time_point of_operation;
    Clock::time_point of_tidying;
  };
  Ends once(std::size_t slice, std::size_t lane, std::optional<Clock::time_point> intended);
  void check(Operation& operation, std::size_t lane);
  std::optional<double> time_machine(Clock::time_point now);  // if it is time for it
  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t more);

  const LoadPlan& plan_;
  const unsigned number_;
  const std::vector<std::unique_ptr<Operation>>& operations_;
  LoadPhase& phase_;
  std::minstd_rand random_;
  std::uint64_t quota_ = 0;  // iterations
  std::uint64_t turns_ = 0;
  double next_turn_s_ = 0;  // open loop, since phase_.begin
  Clock::time_point next_check_{};
  MachineWork machine_;
  Clock::time_point next_machine_{};
  ProcessorWait wait_;
};

}  // namespace p11shim

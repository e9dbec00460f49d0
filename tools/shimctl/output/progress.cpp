#include "tools/shimctl/output/progress.h"

#include <unistd.h>

#include <algorithm>

#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/report.h"
#include "tools/shimctl/output/terminal.h"

namespace p11shim {

namespace {

constexpr std::chrono::seconds kSilence{1};
constexpr std::chrono::milliseconds kInterval{200};
constexpr std::size_t kBar = 20;

ProgressMode mode_of(const Invocation& invocation) {
  if (invocation.progress != ProgressMode::kAuto) return invocation.progress;
  return is_terminal(STDERR_FILENO) ? ProgressMode::kAuto : ProgressMode::kNone;
}

}  // namespace

Progress::Progress(const Invocation& invocation, std::string what, std::uint64_t total, std::string unit, Now now)
    : err_(invocation.err),
      mode_(mode_of(invocation)),
      what_(std::move(what)),
      total_(total),
      unit_(std::move(unit)),
      now_(now),
      start_(now()),
      next_(start_ + kSilence) {}

Progress::~Progress() {
  if (shown_ && mode_ == ProgressMode::kAuto) err_ << "\r\x1b[K" << std::flush;
}

void Progress::advance(std::uint64_t by) {
  done_ += by;
  if (mode_ == ProgressMode::kNone) return;
  const auto time = now_();
  if (time < next_) return;
  next_ = time + kInterval;
  shown_ = true;
  show(time);
}

void Progress::show(Clock::time_point time) {
  const double seconds = std::chrono::duration<double>(time - start_).count();
  const double rate = static_cast<double>(done_) / seconds;
  const bool bounded = total_ > 0 && done_ <= total_ && rate > 0;
  const double left = bounded ? static_cast<double>(total_ - done_) / rate : 0;
  if (mode_ == ProgressMode::kJson) {
    Value data;
    data.set("what", what_).set("done", done_).set("total", total_ > 0 ? Value(total_) : Value());
    data.set("unit", unit_).set("seconds", seconds).set("seconds_left", bounded ? Value(left) : Value());
    err_ << json_text(envelope("progress", 1, std::move(data))) << std::endl;
    return;
  }
  err_ << "\r\x1b[K" << what_ << ' ';
  if (bounded) {
    const auto filled = static_cast<std::size_t>(kBar * done_ / total_);
    err_ << '[' << std::string(filled, '#') << std::string(kBar - filled, '.') << "] " << 100 * done_ / total_ << " %, "
         << age_text(left) << " left";
  } else {
    err_ << done_ << ' ' << unit_;
  }
  err_ << std::flush;
}

}  // namespace p11shim

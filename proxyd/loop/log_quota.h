// Lines of the log that any peer can cause, as often as it likes. Of one kind and by one user a few are written at once and then
// a few a second; how many more there were is told when they end.
#pragma once

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace p11shim {

class LogQuota {
 public:
  static constexpr std::uint64_t kAtOnce = 20;
  static constexpr std::uint64_t kEachMs = 200;  // then one is written
  static constexpr std::size_t kMost = 1024;     // kinds and users that are told apart

  explicit LogQuota(spdlog::logger& log) : log_(log) {}
  [[nodiscard]] spdlog::logger& log() { return log_; }

  // Whether such a line may be written. `kind` says what it tells, in words; `uid`: -1 if nobody knows, or there are
  // too many.
  [[nodiscard]] bool allows(std::string_view kind, long uid, std::uint64_t now_ms) {
    auto found = lines_.find(Key{kind, uid});
    if (found == lines_.end()) {
      if (lines_.size() >= kMost) uid = kUnknown;
      found = lines_.try_emplace({std::string(kind), uid}, Line{kAtOnce * kEachMs, now_ms, 0}).first;
    }
    Line& line = found->second;
    line.refill(now_ms);
    if (line.credit_ms < kEachMs) return ++line.unwritten, false;
    line.credit_ms -= kEachMs;
    return true;
  }

  // From time to time: tells of lines that were not written, and forgets who has been quiet since.
  void tell(std::uint64_t now_ms) {
    for (auto at = lines_.begin(); at != lines_.end();) {
      Line& line = at->second;
      line.refill(now_ms);
      if (line.unwritten != 0 && line.credit_ms >= kEachMs)
        log_.warn("{} more like this were not logged (uid {}): {}", std::exchange(line.unwritten, 0), at->first.second,
                  at->first.first);
      if (line.unwritten == 0 && line.credit_ms == kAtOnce * kEachMs) at = lines_.erase(at);
      else ++at;
    }
  }

 private:
  static constexpr long kUnknown = -1;
  using Key = std::pair<std::string_view, long>;
  struct Line {
    std::uint64_t credit_ms;
    std::uint64_t counted_ms;
    std::uint64_t unwritten;
    void refill(std::uint64_t now_ms) {
      credit_ms = std::min(kAtOnce * kEachMs, credit_ms + (now_ms - std::exchange(counted_ms, now_ms)));
    }
  };
  struct Order {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return Key(a.first, a.second) < Key(b.first, b.second);
    }
  };

  spdlog::logger& log_;
  std::map<std::pair<std::string, long>, Line, Order> lines_;
};

}  // namespace p11shim

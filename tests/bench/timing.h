// Runs one operation on several threads for a while and tells how often it was done; on one thread also how
// long each took.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <thread>
#include <vector>

namespace p11shim {

struct Timing {
  std::uint64_t operations = 0;
  std::chrono::nanoseconds elapsed{};
  std::chrono::nanoseconds median{};  // of single operations; 0 with several threads
  std::chrono::nanoseconds p99{};

  // Of one operation, on one thread, on average.
  [[nodiscard]] double mean_ns() const {
    return static_cast<double>(elapsed.count()) / static_cast<double>(std::max<std::uint64_t>(operations, 1));
  }
};

inline std::chrono::nanoseconds quantile(std::vector<std::chrono::nanoseconds>& sorted_out, double q) {
  if (sorted_out.empty()) return {};
  const auto index = static_cast<std::ptrdiff_t>(static_cast<double>(sorted_out.size() - 1) * q);
  std::nth_element(sorted_out.begin(), sorted_out.begin() + index, sorted_out.end());
  return sorted_out[static_cast<std::size_t>(index)];
}

template <class Operation>  // void(): throws if it failed
Timing time_one_thread(std::chrono::nanoseconds duration, Operation&& operation) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::chrono::nanoseconds> samples;
  samples.reserve(1 << 16);
  const auto begin = Clock::now();
  auto last = begin;
  while (last - begin < duration) {
    operation();
    const auto now = Clock::now();
    samples.push_back(now - last);
    last = now;
  }
  return {samples.size(), last - begin, quantile(samples, 0.5), quantile(samples, 0.99)};
}

// `operation(thread)` is called by that thread only.
template <class Operation>
Timing time_threads(unsigned threads, std::chrono::nanoseconds duration, Operation&& operation) {
  if (threads == 1) {
    return time_one_thread(duration, [&] { operation(0U); });
  }
  using Clock = std::chrono::steady_clock;
  std::atomic<bool> go = false;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> operations = 0;
  std::vector<std::exception_ptr> failures(threads);
  std::vector<std::thread> running;
  for (unsigned thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      go.wait(false);
      std::uint64_t done = 0;
      try {
        for (; !stop.load(std::memory_order_relaxed); ++done) operation(thread);
      } catch (...) {
        failures[thread] = std::current_exception();
      }
      operations += done;
    });
  }
  const auto begin = Clock::now();
  go = true;
  go.notify_all();
  std::this_thread::sleep_for(duration);
  stop = true;
  for (std::thread& thread : running) thread.join();
  const auto elapsed = Clock::now() - begin;
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return {operations, elapsed, {}, {}};
}

}  // namespace p11shim

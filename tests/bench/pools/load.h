// Threads that sign with one key, as fast as they are answered, and what became of every signature.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "integration/application.h"

namespace p11shim {

class Load {
 public:
  using Clock = std::chrono::steady_clock;
  struct Result {
    std::uint64_t good = 0;
    std::uint64_t failed = 0;
    std::uint64_t wrong = 0;  // signatures that do not verify
    CK_RV first_error = CKR_OK;
    CK_RV last_error = CKR_OK;
    double seconds = 0;
    std::vector<double> ms;  // of each good one, sorted
    [[nodiscard]] double rate() const { return static_cast<double>(good) / seconds; }
    [[nodiscard]] double percentile(double share) const {
      return ms.empty() ? 0
                        : ms[std::min(ms.size() - 1, static_cast<std::size_t>(share * static_cast<double>(ms.size())))];
    }
  };

  enum class Key : std::uint8_t { ec, rsa };

  // Logs in and finds the P-256 key "ec", or the RSA key "rsa". One signature of `verify_each` is verified; 0: none.
  Load(TestApplication& application, std::size_t threads, unsigned verify_each, Key key = Key::ec);
  ~Load() { stop(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Of the time from now on.
  Result measure(std::chrono::milliseconds duration);
  // What was counted since the last measure or take.
  Result take();
  void stop();
  [[nodiscard]] std::uint64_t done() const { return done_; }

 private:
  void run(CK_SESSION_HANDLE session);

  TestApplication& application_;
  const unsigned verify_each_;
  const Key kind_;
  CK_OBJECT_HANDLE key_ = 0;
  std::function<bool(std::span<const std::uint8_t> message, std::span<const std::uint8_t> signature)> verifies_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> done_ = 0;
  std::mutex mutex_;
  Result result_;
  Clock::time_point since_ = Clock::now();
  std::vector<std::thread> threads_;
};

}  // namespace p11shim

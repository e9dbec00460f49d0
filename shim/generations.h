// The application's view of proxyd's page of generations (wire/generations.h). Read by all threads without a lock.
#pragma once

#include <atomic>
#include <mutex>
#include <vector>

#include "wire/generations.h"

namespace p11shim {

class GenerationView {
 public:
  GenerationView() = default;
  GenerationView(const GenerationView&) = delete;
  GenerationView& operator=(const GenerationView&) = delete;
  ~GenerationView();

  // 0: nobody tells.
  [[nodiscard]] std::uint64_t of(std::uint64_t slot) const {
    const GenerationPage* page = page_.load(std::memory_order_acquire);
    return page == nullptr || page->is_alive == 0 ? 0 : page->of(slot).load(std::memory_order_acquire);
  }
  // True once for each proxyd: whoever gets it asks for the page.
  bool claim() { return !asked_.exchange(true, std::memory_order_acq_rel); }
  [[nodiscard]] bool is_claimed() const { return asked_.load(std::memory_order_acquire); }
  // The question was lost; some may be.
  void unclaim() {
    if (lost_.fetch_add(1, std::memory_order_relaxed) < kMostLost) asked_.store(false, std::memory_order_release);
  }
  // Maps the page and closes the descriptor.
  void take(int descriptor);
  // Another proxyd is in charge.
  void drop();

 private:
  static constexpr unsigned kMostLost = 3;
  std::atomic<const GenerationPage*> page_{nullptr};
  std::atomic<bool> asked_{false};
  std::atomic<unsigned> lost_{0};  // questions, by this proxyd
  std::mutex mutex_;
  std::vector<void*> mapped_;  // guarded by mutex_; other threads may still read a page that was dropped
};

}  // namespace p11shim

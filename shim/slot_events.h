// Which tokens came and went, for C_WaitForSlotEvent: each is told once.
#pragma once

#include <algorithm>
#include <deque>
#include <iterator>
#include <mutex>
#include <optional>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class SlotEvents {
 public:
  // `present`: the slots that have a token now. The first look has nothing to compare with.
  void look(std::vector<CK_SLOT_ID> present) {
    const std::lock_guard lock(mutex_);
    std::ranges::sort(present);
    if (known_) std::ranges::set_symmetric_difference(*known_, present, std::back_inserter(untold_));
    known_ = std::move(present);
  }
  std::optional<CK_SLOT_ID> next() {
    const std::lock_guard lock(mutex_);
    if (untold_.empty()) return std::nullopt;
    const CK_SLOT_ID slot = untold_.front();
    untold_.pop_front();
    return slot;
  }

 private:
  std::mutex mutex_;
  std::optional<std::vector<CK_SLOT_ID>> known_;
  std::deque<CK_SLOT_ID> untold_;
};

}  // namespace p11shim

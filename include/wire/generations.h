// A page of memory that proxyd shares with the applications on its machine, which can only read it. Before proxyd answers a
// call that has changed or destroyed an object that others see, or something else that applications may remember of a slot, the slot's
// number moves: what was remembered under another number is asked for again.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace p11shim {

struct GenerationPage {
  static constexpr std::size_t kNumbers = 511;  // slots share them: a move too many does no harm

  std::atomic<std::uint64_t> is_alive;  // 0: this proxyd is stopping, or has stopped, and moves nothing any more
  std::atomic<std::uint64_t> numbers[kNumbers];

  // Beside each slot's own: its token's state (logins, PIN flags), and which slots there are.
  static constexpr std::uint64_t token_of(std::uint64_t slot) { return slot + 257; }
  static constexpr std::uint64_t kSlots = 509;

  [[nodiscard]] std::atomic<std::uint64_t>& of(std::uint64_t slot) { return numbers[slot % kNumbers]; }
  [[nodiscard]] const std::atomic<std::uint64_t>& of(std::uint64_t slot) const { return numbers[slot % kNumbers]; }
};
static_assert(sizeof(GenerationPage) == 4096 && std::atomic<std::uint64_t>::is_always_lock_free);

}  // namespace p11shim

#include "tools/shimctl/bench/machine_work.h"

#include <time.h>

#include <algorithm>
#include <utility>

namespace p11shim {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::size_t kLimbs = 16;    // of the factors: 1024 bits
constexpr std::size_t kRounds = 120;  // of a piece
constexpr std::size_t kSteps = 40;    // of a round, which take a third as long as its multiplication
constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;

// Multiplies, and then adds and shifts: a neighbour on the same core slows the first more than it slows signatures, the
// second less. At the start of a cache line, because the same code elsewhere can be some per cent faster.
[[gnu::noinline, gnu::aligned(64)]] void work(std::uint64_t* words) {
  std::uint64_t a = words[0];
  std::uint64_t b = words[1];
  std::uint64_t c = words[2];
  std::uint64_t d = words[3] | 1;
  std::uint64_t e = words[4];
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::uint64_t* product = words + 2 * kLimbs;
    for (std::size_t i = 0; i < kLimbs; ++i) {
      std::uint64_t carry = 0;
      for (std::size_t j = 0; j < kLimbs; ++j) {
        const Wide sum = static_cast<Wide>(words[i]) * words[kLimbs + j] + product[i + j] + carry;
        product[i + j] = static_cast<std::uint64_t>(sum);
        carry = static_cast<std::uint64_t>(sum >> 64);
      }
      product[i + kLimbs] ^= carry;
    }
    for (std::size_t i = 0; i < kSteps; ++i) {
      a = a * kOdd + 1;
      b = (b ^ a) + (b >> 3);
      c += words[kSteps + i] ^ (c << 5);
      d ^= d << 13;
      e += words[2 * kSteps + i] ^ d;
      d ^= d >> 7;
    }
    words[round % kLimbs] ^= a ^ b ^ c ^ e;
  }
}

double processor_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
}

}  // namespace

MachineWork::MachineWork() {
  std::uint64_t state = 1;
  for (auto& word : words_) {
    state = state * 6364136223846793005 + 1442695040888963407;
    word = state ^ (state >> 33);
  }
}

double MachineWork::time() {
  const double begin = processor_ns();
  work(words_.data());
  return std::max(1.0, processor_ns() - begin);
}

std::uint64_t MachineWork::result() const {
  std::uint64_t all = 0;
  for (const std::uint64_t word : words_) all = (all ^ word) * kOdd;
  return all;
}

std::string MachineWork::name() {
#ifdef __clang__
  return "1, " __VERSION__;
#else
  return "1, GCC " __VERSION__;
#endif
}

std::uint64_t ProcessorWait::since_last() {
  const bool is_first = !std::exchange(asked_, true);
  if (is_first) account_.open();
  const auto waits = account_.read();
  if (!waits) return 0;
  const std::uint64_t since = waits->waited_ns - std::exchange(last_, waits->waited_ns);
  return is_first ? 0 : since;
}

}  // namespace p11shim

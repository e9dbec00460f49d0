#include "wire/ring.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

#include "wire/message.h"

namespace p11shim {
namespace {

constexpr std::size_t kWord = sizeof(std::uint64_t);

// Between processes, so not a private one.
long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value, const timespec* limit) {
  return ::syscall(SYS_futex, &word, operation, value, limit, nullptr, 0);
}

// It is wiped at once: it may be part of a PIN.
inline void take_word(std::uint64_t& from, std::uint8_t* to, std::size_t size) {
  const std::uint64_t word = __atomic_load_n(&from, __ATOMIC_RELAXED);
  __atomic_store_n(&from, std::uint64_t{0}, __ATOMIC_RELAXED);
  std::memcpy(to, &word, size);
}

}  // namespace

void Ring::open() { change(kClosed, kOpen); }

Ring::Look Ring::look() const {
  switch (memory_->state.load(std::memory_order_acquire)) {
    case kAsleep:
    case kOpen: return Look::nothing;
    case kFull: return Look::message;
    default: return Look::elsewhere;
  }
}

void Ring::doze(std::chrono::milliseconds longest) {
  if (!change(kOpen, kAsleep)) return;
  timespec limit{};
  limit.tv_sec = static_cast<std::time_t>(longest.count() / 1000);
  limit.tv_nsec = static_cast<long>(longest.count() % 1000) * 1'000'000;
  futex(memory_->state, FUTEX_WAIT, kAsleep, longest.count() != 0 ? &limit : nullptr);
  wake_up();
}

bool Ring::close() {
  if (change(kOpen, kClosed) || change(kAsleep, kClosed)) return true;
  return look() != Look::message;
}

bool Ring::take(Buffer& to) {
  const std::size_t size = memory_->size.load(std::memory_order_relaxed);
  const bool fits = size > kLengthPrefix && size <= kRoom;
  if (fits) {
    std::uint8_t* place = to.extend(size);
    const std::size_t whole = size / kWord;
    for (std::size_t i = 0; i < whole; ++i) take_word(memory_->words[i], place + i * kWord, kWord);
    if (size % kWord != 0) take_word(memory_->words[whole], place + whole * kWord, size % kWord);
  }
  memory_->state.store(kClosed, std::memory_order_release);
  return fits && kLengthPrefix + std::size_t{load_length(to.data())} == size;
}

bool Ring::put(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body) {
  const std::uint32_t state = memory_->state.load(std::memory_order_acquire);
  if (state != kOpen && state != kAsleep) return false;
  const std::size_t size = head.size() + body.size();
  if (size > kRoom) {
    change_and_wake(kClosed);
    return false;
  }
  auto* place = reinterpret_cast<std::uint8_t*>(memory_->words);
  std::memcpy(place, head.data(), head.size());
  if (!body.empty()) std::memcpy(place + head.size(), body.data(), body.size());
  memory_->size.store(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
  if (change_and_wake(kFull)) return true;
  wipe_message(size);
  return false;
}

// Whoever is awake may fall asleep between two looks at it, and the other way round; one who keeps doing so gets the stream.
bool Ring::change_and_wake(State to) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    if (change(kOpen, to)) return true;
    if (!change(kAsleep, to)) continue;
    constexpr std::uint64_t kOne = 1;
    // Neither fails in a way that matters: a bell that cannot be rung is ringing.
    [[maybe_unused]] const long woken =
        bell_ < 0 ? futex(memory_->state, FUTEX_WAKE, 1, nullptr) : ::write(bell_, &kOne, sizeof kOne);
    return true;
  }
  return false;
}

void Ring::give_up() { change_and_wake(kClosed); }

bool Ring::take_back() {
  if (!change(kFull, kClosed)) return false;
  wipe_message(std::min<std::size_t>(memory_->size.load(std::memory_order_relaxed), kRoom));
  return true;
}

// It may have been a PIN.
void Ring::wipe_message(std::size_t size) {
  for (std::size_t i = 0; i < (size + kWord - 1) / kWord; ++i)
    __atomic_store_n(&memory_->words[i], std::uint64_t{0}, __ATOMIC_RELAXED);
}

void Ring::tell_cores(std::uint32_t core, std::uint32_t beyond) {
  // Unchanged as a rule, and then the memory stays in the reader's cache.
  if (this->core() != core) memory_->core.store(core, std::memory_order_relaxed);
  if (core_beyond() != beyond) memory_->beyond.store(beyond, std::memory_order_relaxed);
}

int Rings::create(std::size_t pairs) {
  const int descriptor = ::memfd_create("p11shim-rings", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor < 0) return -1;
  if (::ftruncate(descriptor, static_cast<off_t>(size_of(pairs))) == 0 &&
      ::fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
    return descriptor;
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return -1;
}

bool Rings::map(int descriptor, std::size_t pairs) {
  unmap();
  struct stat status {};
  if (descriptor < 0 || ::fstat(descriptor, &status) != 0 || status.st_size != static_cast<off_t>(size_of(pairs)))
    return false;
  void* memory = ::mmap(nullptr, size_of(pairs), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) return false;
  memory_ = static_cast<RingMemory*>(memory);
  pairs_ = pairs;
  ::madvise(memory, size_of(pairs), MADV_DONTFORK);
  ::madvise(memory, size_of(pairs), MADV_DONTDUMP);
  return true;
}

void Rings::unmap() {
  if (memory_ != nullptr) ::munmap(memory_, size_of(pairs_));
  memory_ = nullptr;
  close_bells();
}

void Rings::close_bells() {
  for (int* bell : {&request_bell_, &reply_bell_})
    if (const int descriptor = std::exchange(*bell, -1); descriptor >= 0) ::close(descriptor);
}

std::uint32_t this_core() {
  const int core = ::sched_getcpu();
  return core < 0 ? 0 : static_cast<std::uint32_t>(core) + 1;
}

}  // namespace p11shim

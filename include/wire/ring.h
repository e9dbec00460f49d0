// A place in memory that two processes share, for small messages in one direction. It holds one message, since only one can be
// under way between the two ends of a connection or lane. The receiver opens it while it is awake and looks for a message, and may
// leave it open when it falls asleep: then it waits on a futex, or sleeps elsewhere and has a bell (an eventfd). The sender finds
// out, in one step that nothing can come between, whether the message is taken from there, whether somebody has to be woken,
// or whether it has to travel over the stream. So no message is lost and none overtakes another.
//
//   receiver: closed → open, open → closed (only the stream wakes it), open ↔ asleep, full → closed (it took the message)
//   sender:   open, asleep → full (a message), open, asleep → closed (one that comes over the stream)
//
// The other side may write anything anywhere at any time: a message is copied before it is looked at, its size is read once and
// bounded, and a state that makes no sense costs the connection its messages and nobody else anything.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "wire/buffer.h"

namespace p11shim {

struct RingMemory {
  static constexpr std::size_t kSize = 4096;
  static constexpr std::size_t kRoom = kSize - 64;

  std::atomic<std::uint32_t> state;
  std::atomic<std::uint32_t> size;
  std::atomic<std::uint32_t> core;    // on which the sender ran last, from 1 on; 0: unknown
  std::atomic<std::uint32_t> beyond;  // the same of the one whom the sender asks, or who asked it
  std::uint32_t unused[12];
  std::uint64_t words[kRoom / sizeof(std::uint64_t)];
};
static_assert(sizeof(RingMemory) == RingMemory::kSize && std::atomic<std::uint32_t>::is_always_lock_free);

class Ring {
 public:
  static constexpr std::size_t kRoom = RingMemory::kRoom;  // bytes: the longest frame, with its length prefix

  Ring() = default;  // of nothing
  // `bell`: the receiver's, for its sender; -1: it waits on a futex.
  explicit Ring(RingMemory& memory, int bell = -1) : memory_(&memory), bell_(bell) {}
  explicit operator bool() const { return memory_ != nullptr; }

  // For the receiver. While the ring is open, it looks.
  enum class Look : std::uint8_t {
    nothing,
    message,    // take() it
    elsewhere,  // closed: what comes does so over the stream
  };
  void open();
  [[nodiscard]] Look look() const;
  // False: it is not closed, since it holds a message.
  bool close();
  // Sleeps until the ring holds a message, is closed by the sender, or `longest` is over (0: until then), or less. It stays open.
  void doze(std::chrono::milliseconds longest);
  // The two ends of a sleep elsewhere; the bell ends it. False: there is a message, or one comes over the stream.
  bool fall_asleep() { return change(kOpen, kAsleep); }
  // False: it was not asleep.
  bool wake_up() { return change(kAsleep, kOpen); }
  // Moves the message to `to`, which is empty. False: it is no frame.
  bool take(Buffer& to);

  // For the sender.
  // False: the frame has to travel over the stream.
  bool put(std::span<const std::uint8_t> head, std::span<const std::uint8_t> body);
  // Of a receiver that is gone. True: the message was still there, so it never took it.
  bool take_back();
  // The stream is about to end: whoever waits here should look there.
  void give_up();

  // Who is where: the sender tells, the receiver asks.
  void tell_cores(std::uint32_t core, std::uint32_t beyond);
  [[nodiscard]] std::uint32_t core() const { return memory_->core.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t core_beyond() const { return memory_->beyond.load(std::memory_order_relaxed); }

 private:
  enum State : std::uint32_t { kClosed, kOpen, kFull, kAsleep };
  bool change(State from, State to) {
    std::uint32_t expected = from;
    return memory_->state.compare_exchange_strong(expected, to, std::memory_order_acq_rel, std::memory_order_acquire);
  }
  bool change_and_wake(State to);
  void wipe_message(std::size_t size);

  RingMemory* memory_ = nullptr;
  int bell_ = -1;
};

// Both directions.
struct RingPair {
  Ring requests;
  Ring replies;
  explicit operator bool() const { return static_cast<bool>(requests); }
};

// Memory for some pairs. proxyd makes it; both sides map it.
class Rings {
 public:
  // A descriptor of new memory, which nobody can make shorter: touching it never faults. -1 and errno.
  static int create(std::size_t pairs);
  static constexpr std::size_t size_of(std::size_t pairs) { return 2 * RingMemory::kSize * pairs; }

  Rings() = default;
  Rings(const Rings&) = delete;
  Rings& operator=(const Rings&) = delete;
  ~Rings() { unmap(); }

  // Maps what create() made; the descriptor may be closed then. False: it is not of that size, or there is no memory. A forked
  // child does not have the mapping, nor does a dump.
  bool map(int descriptor, std::size_t pairs);
  void unmap();
  // The bell of whoever receives requests, or replies: an eventfd, taken over. Also in a forked child.
  void ring_for_requests(int bell) { request_bell_ = bell; }
  void ring_for_replies(int bell) { reply_bell_ = bell; }
  void close_bells();
  [[nodiscard]] bool is_mapped() const { return memory_ != nullptr; }
  // All of it, requests and replies in turn: what the other side can write to.
  [[nodiscard]] std::span<RingMemory> memory() const { return {memory_, is_mapped() ? 2 * pairs_ : 0}; }
  [[nodiscard]] RingPair pair(std::size_t index) const {
    if (!is_mapped()) return {};
    return {Ring(memory_[2 * index], request_bell_), Ring(memory_[2 * index + 1], reply_bell_)};
  }

 private:
  RingMemory* memory_ = nullptr;
  std::size_t pairs_ = 0;
  int request_bell_ = -1;
  int reply_bell_ = -1;
};

// The core that this thread runs on, from 1 on; 0: unknown.
std::uint32_t this_core();

// Whoever shares our core cannot answer while we look for the answer.
inline bool share_core(std::uint32_t own, std::uint32_t other) { return own != 0 && own == other; }

}  // namespace p11shim

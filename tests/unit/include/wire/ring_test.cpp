// One message in shared memory: it is there or goes over the stream, never both nor neither, and whatever the other side
// writes there, what is taken was copied whole and is of a bounded size.
#include "wire/ring.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

#include "wire/message.h"

namespace p11shim {
namespace {

using Bytes = std::vector<std::uint8_t>;

// A frame of `size` bytes, its length prefix included.
Bytes frame(std::size_t size, std::uint8_t value = 7) {
  Bytes bytes(size, value);
  for (std::size_t i = 0; i < kLengthPrefix; ++i)
    bytes[i] = static_cast<std::uint8_t>((size - kLengthPrefix) >> (8 * i));
  return bytes;
}

class RingTest : public testing::Test {
 protected:
  void SetUp() override {
    const int memory = Rings::create(2);
    ASSERT_GE(memory, 0);
    ASSERT_TRUE(ours_.map(memory, 2));
    ASSERT_TRUE(theirs_.map(memory, 2));
    ::close(memory);
    receiver_ = ours_.pair(1).requests;
    sender_ = theirs_.pair(1).requests;
  }
  RingMemory& raw() { return theirs_.memory()[2]; }
  Bytes taken() {
    Buffer to;
    EXPECT_TRUE(receiver_.take(to));
    return {to.data(), to.data() + to.size()};
  }
  Rings ours_, theirs_;
  Ring receiver_, sender_;
};

TEST_F(RingTest, TakesAMessageOnlyWhileItIsOpen) {
  const Bytes message = frame(100);
  EXPECT_FALSE(sender_.put(message, {}));
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
  receiver_.open();
  EXPECT_EQ(receiver_.look(), Ring::Look::nothing);
  EXPECT_TRUE(sender_.put(std::span(message).first(33), std::span(message).subspan(33)));
  EXPECT_FALSE(sender_.put(message, {})) << "one at a time";
  EXPECT_EQ(receiver_.look(), Ring::Look::message);
  EXPECT_FALSE(receiver_.close());
  EXPECT_EQ(taken(), message);
  EXPECT_TRUE(receiver_.close());
  receiver_.open();
  EXPECT_TRUE(receiver_.close());
  EXPECT_FALSE(sender_.put(message, {}));
  EXPECT_EQ(theirs_.pair(0).requests.look(), Ring::Look::elsewhere) << "pairs are apart";
}

TEST_F(RingTest, WakesAReceiverThatDozes) {
  const Bytes message = frame(100);
  std::thread sender([&] {
    for (int i = 0; i < 1000; ++i)
      while (!sender_.put(message, {})) std::this_thread::yield();
  });
  for (int i = 0; i < 1000; ++i) {
    receiver_.open();
    while (receiver_.look() == Ring::Look::nothing) receiver_.doze(std::chrono::milliseconds(0));
    ASSERT_EQ(receiver_.look(), Ring::Look::message);
    ASSERT_EQ(taken(), message);
  }
  sender.join();
}

TEST_F(RingTest, SomebodyWhoDozesIsToldToLookAtTheStream) {
  receiver_.open();
  std::thread sender([&] { EXPECT_FALSE(sender_.put(frame(Ring::kRoom + 1), {})); });
  while (receiver_.look() == Ring::Look::nothing) receiver_.doze(std::chrono::milliseconds(0));
  sender.join();
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
  receiver_.open();
  std::thread leaving([&] { sender_.give_up(); });
  while (receiver_.look() == Ring::Look::nothing) receiver_.doze(std::chrono::milliseconds(0));
  leaving.join();
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
}

TEST_F(RingTest, ADozeEnds) {
  receiver_.open();
  receiver_.doze(std::chrono::milliseconds(1));
  EXPECT_EQ(receiver_.look(), Ring::Look::nothing);
  EXPECT_TRUE(sender_.put(frame(9), {})) << "it is open as before";
  receiver_.doze(std::chrono::milliseconds(0));
  EXPECT_EQ(taken(), frame(9));
  receiver_.doze(std::chrono::milliseconds(0));
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere) << "closed, so there is nothing to wait for";
}

TEST_F(RingTest, RingsTheBellOfAReceiverThatSleepsElsewhere) {
  const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  theirs_.ring_for_requests(bell);
  sender_ = theirs_.pair(1).requests;
  std::uint64_t rings = 0;
  receiver_.open();
  EXPECT_TRUE(sender_.put(frame(9), {}));
  EXPECT_LT(::read(bell, &rings, sizeof rings), 0) << "it was awake";
  EXPECT_FALSE(receiver_.fall_asleep());
  taken();
  receiver_.open();
  EXPECT_TRUE(receiver_.fall_asleep());
  EXPECT_TRUE(sender_.put(frame(9), {}));
  EXPECT_EQ(::read(bell, &rings, sizeof rings), 8);
  EXPECT_EQ(taken(), frame(9));
  receiver_.open();
  EXPECT_TRUE(receiver_.fall_asleep());
  receiver_.wake_up();
  EXPECT_TRUE(sender_.put(frame(9), {}));
  EXPECT_LT(::read(bell, &rings, sizeof rings), 0);
}

TEST_F(RingTest, TakesMessagesOfEachSizeThatFits) {
  for (std::size_t size = kLengthPrefix + 1; size <= Ring::kRoom; ++size) {
    receiver_.open();
    const Bytes message = frame(size, static_cast<std::uint8_t>(size));
    ASSERT_TRUE(sender_.put(message, {})) << size;
    ASSERT_EQ(taken(), message) << size;
  }
}

TEST_F(RingTest, SaysSoWhenAMessageComesElsewhere) {
  receiver_.open();
  EXPECT_FALSE(sender_.put(frame(Ring::kRoom + 1), {}));
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
  EXPECT_TRUE(receiver_.close());
}

TEST_F(RingTest, GivesBackWhatWasNeverTaken) {
  receiver_.open();
  EXPECT_FALSE(sender_.take_back());
  ASSERT_TRUE(sender_.put(frame(50), {}));
  EXPECT_TRUE(sender_.take_back());
  EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
  receiver_.open();
  ASSERT_TRUE(sender_.put(frame(50), {}));
  taken();
  EXPECT_FALSE(sender_.take_back());
}

TEST_F(RingTest, KeepsNothingOfAMessage) {
  for (const bool is_taken : {true, false}) {
    receiver_.open();
    ASSERT_TRUE(sender_.put(frame(333, 0x5a), {}));
    if (is_taken) taken();
    else EXPECT_TRUE(sender_.take_back());
    for (const std::uint64_t word : raw().words) ASSERT_EQ(word, 0u);
  }
}

TEST_F(RingTest, SizesThatMakeNoSenseAreNoMessage) {
  for (const std::uint32_t size :
       {0u, 1u, 4u, 5u, 49u, 51u, std::uint32_t{Ring::kRoom}, std::uint32_t{Ring::kRoom} + 1, UINT32_MAX}) {
    receiver_.open();
    ASSERT_TRUE(sender_.put(frame(50), {}));
    raw().size = size;
    Buffer to;
    EXPECT_FALSE(receiver_.take(to)) << size;
    EXPECT_LE(to.size(), Ring::kRoom);
    EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
    receiver_.open();
    ASSERT_TRUE(sender_.put(frame(Ring::kRoom), {})) << "the next one passes";
    taken();
  }
}

TEST_F(RingTest, StatesThatMakeNoSenseAreClosed) {
  for (const std::uint32_t state : {4u, 77u, UINT32_MAX}) {
    receiver_.open();
    raw().state = state;
    EXPECT_EQ(receiver_.look(), Ring::Look::elsewhere);
    EXPECT_FALSE(sender_.put(frame(50), {}));
    EXPECT_TRUE(receiver_.close());
    raw().state = 0;
  }
}

TEST_F(RingTest, TellsWhoIsWhere) {
  EXPECT_EQ(receiver_.core(), 0u);
  sender_.tell_cores(3, 9);
  EXPECT_EQ(receiver_.core(), 3u);
  EXPECT_EQ(receiver_.core_beyond(), 9u);
  EXPECT_TRUE(share_core(3, 3));
  EXPECT_FALSE(share_core(0, 0)) << "nobody knows";
  EXPECT_NE(this_core(), 0u);
}

// Two sides that do not wait for each other: each message arrives once, in the ring or over the stream.
TEST_F(RingTest, EachMessageTakesOneWay) {
  constexpr std::uint32_t kMessages = 1'000;
  std::atomic<std::uint32_t> in_stream{0}, received{0};
  std::thread sender([&] {
    for (std::uint32_t i = 1; i <= kMessages; ++i) {
      Bytes message = frame(kLengthPrefix + sizeof i);
      std::memcpy(message.data() + kLengthPrefix, &i, sizeof i);
      if (!sender_.put(message, {})) in_stream = i;
      while (received != i) std::this_thread::yield();
    }
  });
  std::uint32_t by_ring = 0;
  for (std::uint32_t i = 1; i <= kMessages; ++i) {
    std::uint32_t number = 0;
    while (number == 0) {
      receiver_.open();
      std::this_thread::yield();
      if (!receiver_.close()) {
        const Bytes message = taken();
        ASSERT_EQ(message.size(), kLengthPrefix + sizeof number);
        std::memcpy(&number, message.data() + kLengthPrefix, sizeof number);
        ++by_ring;
      } else {
        number = in_stream.exchange(0);
      }
    }
    ASSERT_EQ(number, i);
    received = i;
  }
  sender.join();
  EXPECT_LE(by_ring, kMessages);
}

TEST_F(RingTest, AnythingMayBeWrittenThereAtAnyTime) {
  std::atomic<bool> goes_on{true};
  std::thread hostile([&] {
    std::uint32_t value = 12345;
    while (goes_on) {
      value = value * 1664525 + 1013904223;
      raw().state = value % 4;
      raw().size = value >> 16;
      __atomic_store_n(&raw().words[value % 504], std::uint64_t{value} << 7, __ATOMIC_RELAXED);
    }
  });
  for (int i = 0; i < 20'000; ++i) {
    receiver_.open();
    if (!receiver_.close()) {
      Buffer to;
      if (receiver_.take(to)) {
        EXPECT_EQ(to.size(), kLengthPrefix + load_length(to.data()));
      }
      EXPECT_LE(to.size(), Ring::kRoom);
    }
  }
  goes_on = false;
  hostile.join();
}

TEST(Rings, AreOfTheSizeThatWasAgreedOn) {
  Rings rings;
  EXPECT_FALSE(rings.map(-1, 1));
  EXPECT_FALSE(static_cast<bool>(rings.pair(0)));
  const int memory = Rings::create(2);
  ASSERT_GE(memory, 0);
  EXPECT_FALSE(rings.map(memory, 1));
  EXPECT_FALSE(rings.map(memory, 3));
  EXPECT_TRUE(rings.map(memory, 2));
  EXPECT_NE(::ftruncate(memory, 0), 0) << "nobody can make it shorter";
  ::close(memory);
  rings.unmap();
  EXPECT_TRUE(rings.memory().empty());
}

}  // namespace
}  // namespace p11shim

// The rings that the loop looks at: open while it is awake, each message handed out once, also where whoever gets one
// changes who waits.
#include "proxyd/loop/ring_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "proxyd/loop/bell.h"

namespace p11shim {
namespace {

constexpr std::uint8_t kFrame[] = {1, 0, 0, 0, 0x90};

struct Guest final : RingWaiter {
  explicit Guest(Ring ring) { incoming_ = ring; }
  void rings() { has_bell_ = true; }
  void on_ring() override {
    Buffer to;
    EXPECT_TRUE(incoming_.take(to));
    ++messages;
    if (then) then();
  }
  int messages = 0;
  std::function<void()> then;
};

class RingWatchTest : public testing::Test {
 protected:
  static constexpr std::size_t kGuests = RingWatch::kMost + 2;
  void SetUp() override {
    const int memory = Rings::create(kGuests);
    ASSERT_TRUE(memory_.map(memory, kGuests));
    ::close(memory);
    for (std::size_t i = 0; i < kGuests; ++i) guests_.push_back(std::make_unique<Guest>(ring(i)));
  }
  [[nodiscard]] Ring ring(std::size_t i) const { return memory_.pair(i).requests; }
  bool put(std::size_t i) { return ring(i).put(kFrame, {}); }

  Rings memory_;
  std::vector<std::unique_ptr<Guest>> guests_;
  RingWatch watch_;
};

TEST_F(RingWatchTest, HandsOutEachMessageOnce) {
  watch_.add(*guests_[0]);
  watch_.add(*guests_[1]);
  EXPECT_FALSE(watch_.take());
  EXPECT_TRUE(put(0));
  EXPECT_TRUE(watch_.take());
  EXPECT_FALSE(watch_.take());
  EXPECT_EQ(guests_[0]->messages, 1);
  EXPECT_EQ(guests_[1]->messages, 0);
  EXPECT_FALSE(put(0)) << "it does not wait any more";
}

TEST_F(RingWatchTest, ClosesThemWhileTheLoopSleeps) {
  watch_.add(*guests_[0]);
  EXPECT_TRUE(watch_.sleep());
  EXPECT_FALSE(put(0));
  watch_.add(*guests_[1]);
  EXPECT_FALSE(put(1));
  watch_.wake();
  EXPECT_TRUE(put(0));
  EXPECT_TRUE(put(1));
  EXPECT_FALSE(watch_.sleep()) << "messages have come";
  EXPECT_TRUE(watch_.take());
  EXPECT_EQ(guests_[0]->messages + guests_[1]->messages, 2);
}

TEST_F(RingWatchTest, LeavesThemOpenWhoseSendersRing) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  auto bell = Bell::make(loop, watch_);
  ASSERT_NE(bell, nullptr);
  memory_.ring_for_requests(::dup(bell->descriptor()));
  guests_[0]->rings();
  watch_.add(*guests_[0]);
  watch_.add(*guests_[1]);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(watch_.sleep());
    EXPECT_FALSE(put(1));
    EXPECT_TRUE(put(0));
    EXPECT_FALSE(watch_.take() && guests_[0]->messages != i + 1);
    uv_run(&loop, UV_RUN_NOWAIT);  // rung
    watch_.wake();
    watch_.take();
    EXPECT_EQ(guests_[0]->messages, i + 1);
    watch_.add(*guests_[0]);
  }
  EXPECT_EQ(uv_run(&loop, UV_RUN_NOWAIT), 1);
  bell.reset();
  while (uv_run(&loop, UV_RUN_NOWAIT) != 0) {
  }
  uv_loop_close(&loop);
}

// The other side may do to the eventfd what it likes: nothing is read from it, and the loop is told only when it is rung.
TEST_F(RingWatchTest, ABellTellsTheLoopOfEachRingAndOfNothingElse) {
  uv_loop_t loop;
  uv_loop_init(&loop);
  auto bell = Bell::make(loop, watch_);
  ASSERT_NE(bell, nullptr);
  const int theirs = ::dup(bell->descriptor());
  ASSERT_EQ(::fcntl(theirs, F_SETFL, 0), 0);
  const auto told = [&loop] {
    epoll_event event{};
    return ::epoll_wait(uv_backend_fd(&loop), &event, 1, 0);
  };
  std::uint64_t count = 1;
  ASSERT_EQ(::write(theirs, &count, sizeof count), 8);
  for (int i = 0; i < 3; ++i) uv_run(&loop, UV_RUN_NOWAIT);  // the first ring is told of once more
  EXPECT_EQ(told(), 0) << "it was not read, and still the loop may sleep";
  ASSERT_EQ(::write(theirs, &count, sizeof count), 8);
  EXPECT_EQ(told(), 1);
  EXPECT_EQ(told(), 0);
  ASSERT_EQ(::read(theirs, &count, sizeof count), 8);
  EXPECT_EQ(count, 2u) << "nobody has read it";
  EXPECT_EQ(told(), 0);
  ASSERT_EQ(::write(theirs, &count, sizeof count), 8);
  EXPECT_EQ(told(), 1);
  ::close(theirs);
  bell.reset();
  while (uv_run(&loop, UV_RUN_NOWAIT) != 0) {
  }
  uv_loop_close(&loop);
}

TEST_F(RingWatchTest, ForgetsThoseThatSayNothingForLong) {
  watch_.add(*guests_[0]);
  for (int i = 0; i < 1000; ++i) watch_.sleep(), watch_.wake();
  EXPECT_TRUE(watch_.is_empty());
  EXPECT_FALSE(put(0));
  watch_.add(*guests_[0]);
  EXPECT_TRUE(put(0));
}

TEST_F(RingWatchTest, LooksAtABoundedNumber) {
  for (const auto& guest : guests_) watch_.add(*guest);
  std::size_t open = 0;
  for (std::size_t i = 0; i < kGuests; ++i) open += put(i) ? 1 : 0;
  EXPECT_EQ(open, RingWatch::kMost);
  EXPECT_TRUE(watch_.take());
}

TEST_F(RingWatchTest, SomebodyMayLeaveWhileMessagesAreHandedOut) {
  for (std::size_t i = 0; i < 4; ++i) watch_.add(*guests_[i]);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(put(i));
    guests_[i]->then = [this, i] {
      watch_.add(*guests_[i]);
      for (std::size_t other = 0; other < 4; ++other) {
        if (other == i || guests_[other] == nullptr) continue;
        watch_.remove(*guests_[other]);
        guests_[other].reset();
      }
    };
  }
  EXPECT_TRUE(watch_.take());
  int left = 0;
  for (std::size_t i = 0; i < 4; ++i) left += guests_[i] != nullptr ? guests_[i]->messages : 0;
  EXPECT_EQ(left, 1);
  EXPECT_FALSE(watch_.is_empty());
}

TEST_F(RingWatchTest, RemovingTellsOfAMessageThatIsThere) {
  watch_.add(*guests_[0]);
  EXPECT_TRUE(put(0));
  EXPECT_FALSE(watch_.remove(*guests_[0]));
  EXPECT_FALSE(watch_.take());
  Guest without{Ring()};
  watch_.add(without);
  EXPECT_TRUE(watch_.remove(without));
}

}  // namespace
}  // namespace p11shim

#include "proxyd/calls/deadlines.h"

#include <gtest/gtest.h>

#include <functional>

namespace p11shim {
namespace {

struct Due final : Deadline {
  explicit Due(std::function<void()> does) : action(std::move(does)) {}
  void expired() override { action(); }
  std::function<void()> action;
};

class DeadlinesTest : public testing::Test {
 protected:
  DeadlinesTest() {
    uv_loop_init(&loop);
    deadlines = std::make_unique<Deadlines>(loop);
  }
  ~DeadlinesTest() override {
    deadlines.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }
  // Runs the loop until `done`; the timer of the deadlines alone does not keep it running.
  void run_until(const std::function<bool()>& done) {
    Timer keep(loop, [] {});
    keep.start(std::chrono::milliseconds(1), std::chrono::milliseconds(1));
    while (!done()) uv_run(&loop, UV_RUN_ONCE);
  }
  std::uint64_t now() { return uv_now(&loop); }

  uv_loop_t loop{};
  std::unique_ptr<Deadlines> deadlines;
};

TEST_F(DeadlinesTest, OnlyWhatIsDueExpires) {
  int expired = 0;
  Due due([&] { ++expired; }), later([&] { ADD_FAILURE() << "too early"; });
  deadlines->arm(due, now());
  deadlines->arm(later, now() + 3'600'000);
  run_until([&] { return expired != 0; });
  EXPECT_EQ(expired, 1);
}

TEST_F(DeadlinesTest, OneThatIsDisarmedOrGoneNeverExpires) {
  int expired = 0;
  Due disarmed([&] { ADD_FAILURE(); });
  deadlines->arm(disarmed, now());
  {
    Due gone([&] { ADD_FAILURE(); });
    deadlines->arm(gone, now());
  }
  disarmed.disarm();
  disarmed.disarm();
  Due due([&] { ++expired; });
  deadlines->arm(due, now());
  run_until([&] { return expired != 0; });
}

// Whoever expires may change everything: disarm others, arm itself again, go away.
TEST_F(DeadlinesTest, ExpiryMayChangeTheList) {
  int expired = 0;
  Due victim([&] { ADD_FAILURE() << "was disarmed"; });
  auto doomed = std::make_unique<Due>([&] { ADD_FAILURE() << "is gone"; });
  Due again([&] {
    victim.disarm();
    doomed.reset();
    if (++expired < 3) deadlines->arm(again, now());
  });
  deadlines->arm(victim, now() + 1);
  deadlines->arm(*doomed, now() + 1);
  deadlines->arm(again, now());  // the latest one is looked at first
  run_until([&] { return expired == 3; });
}

}  // namespace
}  // namespace p11shim

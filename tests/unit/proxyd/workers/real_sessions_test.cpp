// The rules of lending, over a worker that only counts sessions.
#include "proxyd/workers/real_sessions.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <csignal>

#include "calls/table.h"
#include "tests/places.h"

namespace p11shim {
namespace {

using Outcome = RealSessions::Outcome;

// Asks until it has been lent a session or was refused.
struct Borrower final : Waiter {
  Borrower(RealSessions& from, const void* application = nullptr) : sessions(from), who(application) {}
  void resume() override {
    const auto answer = sessions.borrow(*this, who);
    outcome = answer.outcome;
    session = answer.session;
    rv = answer.rv;
  }
  RealSessions& sessions;
  const void* const who;
  Outcome outcome = Outcome::waiting;
  RealSession* session = nullptr;
  CK_RV rv = CKR_OK;
};

class RealSessionsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
  }
  void TearDown() override {
    worker->stop("the test ends");
    sessions.reset();
    worker.reset();
    runtime.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }
  // `module_limit`: sessions that the module has.
  void start(std::uint32_t working, std::uint32_t most, const std::string& module_limit = "1000") {
    runtime.emplace(Runtime{loop, log, build_dir() + "/tests/fake_worker"});
    WorkerSpec spec;
    spec.name = "fake";
    spec.module.path = build_dir() + "/tests/libp11mock.so";  // looked at, not loaded
    spec.module.check_owner = false;
    spec.environment = {{"FAKE_SESSIONS", module_limit}};
    spec.options.lanes = 1;
    spec.options.max_stuck_lanes = 0;
    spec.options.restart_backoff = {std::chrono::milliseconds(1), std::chrono::milliseconds(1)};
    worker = std::make_unique<Worker>(*runtime, gate, spec,
                                      Worker::Hooks{nullptr, [this](Worker&) { sessions->forget_all(); }});
    sessions = std::make_unique<RealSessions>(*worker, true, working, most, [] { return CK_SLOT_ID{0}; });
    worker->start();
    ASSERT_TRUE(run_until([&] { return worker->state() == Worker::State::ready; })) << worker->failure().reason;
  }
  template <class Condition>
  bool run_until(Condition condition) {
    Timer awake(loop, [] {});
    awake.start(std::chrono::milliseconds(1), std::chrono::milliseconds(1));
    for (int i = 0; i < 30'000 && !condition(); ++i) uv_run(&loop, UV_RUN_ONCE);
    return condition();
  }
  // Whatever is under way has come to its end.
  void settle() {
    bool answered = false;
    const std::uint64_t none = 0;
    OwnCall::start(*worker, number_of<&CK_FUNCTION_LIST_3_0::C_GetInfo>(), {&none, 1}, {},
                   [&](Reply*) { answered = true; });
    ASSERT_TRUE(run_until([&] { return answered; }));
  }
  RealSession* lent(Borrower& borrower) {
    borrower.resume();
    run_until([&] { return borrower.outcome != Outcome::waiting; });
    return borrower.session;
  }
  // A session that an unfinished operation of `application` occupies.
  RealSession* pinned(const void* application, Bound bound = Bound::operation) {
    Borrower borrower(*sessions, application);
    RealSession* session = lent(borrower);
    if (session != nullptr) sessions->pin(*session, bound, application);
    return session;
  }

  uv_loop_t loop{};
  spdlog::logger log{"test", std::make_shared<spdlog::sinks::null_sink_st>()};
  std::optional<Runtime> runtime;
  StartGate gate;
  std::unique_ptr<Worker> worker;
  std::unique_ptr<RealSessions> sessions;
};

TEST_F(RealSessionsTest, OneThatCameBackIsLentAgain) {
  start(2, 2);
  Borrower first(*sessions), second(*sessions);
  RealSession* session = lent(first);
  ASSERT_NE(session, nullptr);
  EXPECT_TRUE(sessions->proven());
  sessions->give_back(*session);
  EXPECT_EQ(lent(second), session);
  EXPECT_EQ(sessions->open_count(), 1u);
}

TEST_F(RealSessionsTest, WhoFindsNoneFreeWaitsForOne) {
  start(1, 1);
  Borrower first(*sessions), second(*sessions);
  RealSession* session = lent(first);
  second.resume();
  settle();
  EXPECT_EQ(second.outcome, Outcome::waiting);
  EXPECT_FALSE(sessions->hopeless());  // a call comes to its end
  sessions->give_back(*session);
  EXPECT_EQ(second.session, session);
}

TEST_F(RealSessionsTest, TaintedOneIsNeverLentAgain) {
  start(1, 1);
  Borrower first(*sessions), second(*sessions);
  RealSession* session = lent(first);
  const CK_SESSION_HANDLE handle = session->handle;
  session->tainted = true;
  sessions->give_back(*session);
  ASSERT_NE(lent(second), nullptr);
  EXPECT_NE(second.session->handle, handle);
  EXPECT_EQ(sessions->open_count(), 1u);
}

TEST_F(RealSessionsTest, TaintedOneThatOwnsObjectsIsSetAsideUntilTheyAreGone) {
  start(1, 4);
  Borrower first(*sessions), second(*sessions);
  RealSession* session = lent(first);
  session->tainted = true;
  session->owned_objects = 1;
  sessions->give_back(*session);
  EXPECT_EQ(sessions->open_count(), 1u);
  ASSERT_NE(lent(second), nullptr);  // it does not stand in anybody's way
  EXPECT_NE(second.session, session);
  EXPECT_EQ(sessions->open_count(), 2u);
  sessions->object_gone(*session);
  settle();
  EXPECT_EQ(sessions->open_count(), 1u);
}

TEST_F(RealSessionsTest, PinnedOnesLeaveRoomForWorkingOnes) {
  start(1, 10);
  const int application = 0;
  for (int i = 0; i < 7; ++i) ASSERT_NE(pinned(&application), nullptr) << i;
  Borrower other(*sessions);
  EXPECT_NE(lent(other), nullptr);
}

TEST_F(RealSessionsTest, OneApplicationCannotTakeAll) {
  start(1, 4);
  const int greedy = 0, other = 0;
  for (int i = 0; i < 3; ++i) ASSERT_NE(pinned(&greedy), nullptr);
  Borrower more(*sessions, &greedy);
  more.resume();
  settle();
  EXPECT_EQ(more.outcome, Outcome::waiting);
  EXPECT_TRUE(sessions->hopeless());
  more.stop_waiting();
  EXPECT_NE(pinned(&other), nullptr);
}

// The one that waits while the last session is being pinned gets one of its own.
TEST_F(RealSessionsTest, PinningLetsAWaiterHaveAnother) {
  start(1, 4);
  Borrower first(*sessions), second(*sessions);
  RealSession* session = lent(first);
  second.resume();
  ASSERT_EQ(second.outcome, Outcome::waiting);
  sessions->pin(*session, Bound::operation, nullptr);
  EXPECT_TRUE(run_until([&] { return second.outcome == Outcome::lent; }));
}

TEST_F(RealSessionsTest, WhatIsInDoubtIsTakenBackFirstASearchLast) {
  start(1, 2);
  std::vector<Bound> asked;
  RealSession* doubtful = nullptr;
  sessions->set_reclaim([&](RealSessions&, Bound bound) {
    asked.push_back(bound);
    if (bound != Bound::doubt) return false;
    doubtful->tainted = true;
    sessions->give_back(*doubtful);
    return true;
  });
  ASSERT_NE(pinned(nullptr, Bound::search), nullptr);
  Borrower grows(*sessions);
  ASSERT_NE(lent(grows), nullptr);
  EXPECT_TRUE(asked.empty());  // there was room for another
  sessions->pin(*grows.session, Bound::doubt, nullptr);
  doubtful = grows.session;
  Borrower next(*sessions);
  ASSERT_NE(lent(next), nullptr);
  EXPECT_EQ(asked, std::vector<Bound>{Bound::doubt});
  sessions->pin(*next.session, Bound::operation, nullptr);
  asked.clear();
  Borrower last(*sessions);
  last.resume();
  EXPECT_EQ(asked, std::vector<Bound>{Bound::search});
}

TEST_F(RealSessionsTest, ModuleThatHasNoMoreIsNotAskedAgain) {
  start(4, 8, "2");
  Borrower first(*sessions), second(*sessions), third(*sessions), fourth(*sessions);
  RealSession* session = lent(first);
  ASSERT_NE(lent(second), nullptr);
  third.resume();
  fourth.resume();
  settle();
  EXPECT_EQ(third.outcome, Outcome::waiting);
  EXPECT_EQ(sessions->open_count(), 2u);
  sessions->give_back(*session);
  EXPECT_EQ(third.session, session);
  sessions->give_back(*session);
  EXPECT_EQ(fourth.session, session);
}

TEST_F(RealSessionsTest, ModuleThatHasNoneSaysSo) {
  start(4, 8, "0");
  Borrower first(*sessions), second(*sessions);
  first.resume();
  second.resume();
  EXPECT_TRUE(run_until([&] { return first.outcome == Outcome::failed && second.outcome == Outcome::failed; }));
  EXPECT_EQ(first.rv, CKR_SESSION_COUNT);
  EXPECT_EQ(second.rv, CKR_SESSION_COUNT);
  EXPECT_FALSE(sessions->proven());
}

TEST_F(RealSessionsTest, SurplusIsClosedWhenNobodyNeedsIt) {
  start(1, 10);
  std::vector<RealSession*> all;
  for (int i = 0; i < 4; ++i) all.push_back(pinned(nullptr));
  for (RealSession* session : all) sessions->give_back(*session);
  EXPECT_EQ(sessions->open_count(), 4u);
  sessions->trim(runtime->now_ms());
  EXPECT_EQ(sessions->open_count(), 4u);  // just used
  sessions->trim(runtime->now_ms() + 60'000);
  settle();
  EXPECT_EQ(sessions->open_count(), 1u);
}

TEST_F(RealSessionsTest, AllAreClosedOnceTheLastHasComeBack) {
  start(4, 4);
  Borrower first(*sessions), second(*sessions), third(*sessions);
  RealSession* session = lent(first);
  RealSession* idle = lent(second);
  ASSERT_NE(session, idle);
  sessions->give_back(*idle);
  session->tainted = true;
  session->owned_objects = 1;  // would be set aside
  bool closed = false;
  sessions->close_all([&] { closed = true; });
  settle();
  EXPECT_FALSE(closed);
  sessions->give_back(*session);
  EXPECT_TRUE(run_until([&] { return closed; }));
  EXPECT_EQ(sessions->open_count(), 0u);
  EXPECT_NE(lent(third), nullptr);
  bool again = false;
  sessions->give_back(*third.session);
  sessions->close_all([&] { again = true; });
  EXPECT_TRUE(run_until([&] { return again; }));
}

TEST_F(RealSessionsTest, LostWorkerTakesThemAllAndWaitersAskAnew) {
  start(1, 1);
  Borrower first(*sessions);
  ASSERT_NE(lent(first), nullptr);
  bool closed = false;
  sessions->close_all([&] { closed = true; });
  const std::uint64_t none = 0;
  OwnCall::start(*worker, number_of<&CK_FUNCTION_LIST_3_0::C_WaitForSlotEvent>(), {&none, 1}, {},
                 [](Reply* reply) { EXPECT_EQ(reply, nullptr); });
  ASSERT_TRUE(run_until([&] { return worker->state() != Worker::State::ready; }));
  EXPECT_TRUE(closed);
  EXPECT_EQ(sessions->open_count(), 0u);
  EXPECT_FALSE(sessions->proven());
  Borrower again(*sessions);
  ASSERT_TRUE(run_until([&] { return worker->state() == Worker::State::stopped; }));
  worker->start();
  ASSERT_TRUE(run_until([&] { return worker->state() == Worker::State::ready; }));
  EXPECT_NE(lent(again), nullptr);
}

}  // namespace
}  // namespace p11shim

// Jobs that wait for a lane, over a worker with one.
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <deque>
#include <memory>

#include "calls/table.h"
#include "proxyd/workers/worker.h"
#include "tests/places.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;

class Job final : public LaneJob {
 public:
  Job(const void* application, std::uint32_t call, std::function<void()> told)
      : application_(application), told_(std::move(told)) {
    Request request;
    request.call = call;
    request.handles.add(0);
    write_request_head(head_, request);
  }
  void on_reply(Reply&) override { told_(); }
  void on_failure(JobFailure failure) override {
    failed = failure;
    told_();
  }
  [[nodiscard]] const void* application() const override { return application_; }
  std::optional<JobFailure> failed;

 private:
  const void* const application_;
  const std::function<void()> told_;
};

class WorkerLine : public testing::Test {
 protected:
  void SetUp() override {
    std::signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    runtime.emplace(Runtime{loop, log, build_dir() + "/tests/fake_worker"});
    WorkerSpec spec;
    spec.name = "fake";
    spec.module.path = build_dir() + "/tests/libp11mock.so";  // looked at, not loaded
    spec.module.check_owner = false;
    spec.options.lanes = 1;
    spec.options.max_stuck_lanes = 0;
    worker = std::make_unique<Worker>(*runtime, gate, spec, Worker::Hooks{nullptr, nullptr});
    worker->start();
    ASSERT_TRUE(run_until([&] { return worker->state() == Worker::State::ready; })) << worker->failure().reason;
  }
  void TearDown() override {
    worker->stop("the test ends");
    worker.reset();
    jobs.clear();
    runtime.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0);
  }
  template <class Condition>
  bool run_until(Condition condition) {
    Timer awake(loop, [] {});
    awake.start(std::chrono::milliseconds(1), std::chrono::milliseconds(1));
    for (int i = 0; i < 30'000 && !condition(); ++i) uv_run(&loop, UV_RUN_ONCE);
    return condition();
  }
  Job& submit(char application, std::uint32_t call = number_of<&List::C_GetInfo>(), std::function<void()> then = {}) {
    const auto told = [this, application, then = std::move(then)] {
      order += application;
      if (then) then();
    };
    const void* name = application == '-' ? nullptr : &names[static_cast<std::size_t>(application - 'A')];
    jobs.push_back(std::make_unique<Job>(name, call, told));
    worker->submit(*jobs.back());
    return *jobs.back();
  }

  uv_loop_t loop{};
  spdlog::logger log{"test", std::make_shared<spdlog::sinks::null_sink_st>()};
  std::optional<Runtime> runtime;
  StartGate gate;
  std::unique_ptr<Worker> worker;
  std::array<char, 26> names{};
  std::deque<std::unique_ptr<Job>> jobs;
  std::string order;  // in which jobs were told
};

TEST_F(WorkerLine, OneCallOfAnApplicationDoesNotWaitForAllOfAnother) {
  for (int i = 0; i < 64; ++i) submit('A');
  submit('B');
  EXPECT_EQ(worker->queued(), 64u);  // a lane has the first
  ASSERT_TRUE(run_until([&] { return order.size() == 65; }));
  EXPECT_LE(order.find('B'), 2u) << order;
}

TEST_F(WorkerLine, ProxydsOwnCallsHaveTheirTurnAsWell) {
  for (int i = 0; i < 64; ++i) submit('A');
  for (int i = 0; i < 5; ++i) submit('-');
  ASSERT_TRUE(run_until([&] { return order.size() == 69; }));
  EXPECT_LE(order.rfind('-'), 7u) << order;
}

TEST_F(WorkerLine, AJobThatIsWithdrawnIsNotToldThatTheWorkerDied) {
  submit('A', number_of<&List::C_WaitForSlotEvent>());  // the worker dies of it
  Job* other = nullptr;
  submit('A', number_of<&List::C_GetInfo>(), [&] { worker->withdraw(*other, {}); });
  other = &submit('B');
  submit('C');
  ASSERT_TRUE(run_until([&] { return order.size() == 3; }));
  EXPECT_EQ(order, "AAC");
  EXPECT_FALSE(other->failed.has_value());
  EXPECT_EQ(jobs[0]->failed, JobFailure::worker_lost);
  EXPECT_EQ(jobs[3]->failed, JobFailure::not_started);
}

}  // namespace
}  // namespace p11shim

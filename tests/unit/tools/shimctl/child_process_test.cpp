#include "tools/shimctl/run/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>

#include "tools/shimctl/run/private_folder.h"

namespace p11shim {
namespace {

class ChildProcessTest : public testing::Test {
 protected:
  PrivateFolder folder;
  const std::string log = folder / "log";

  ChildOptions service(std::vector<std::string> arguments) const {
    ChildOptions options;
    options.arguments = std::move(arguments);
    options.service_log = log;
    return options;
  }
  static std::optional<int> wait(ChildProcess& child) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!child.exit_code() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    return child.exit_code();
  }
  std::string logged() const {
    std::ifstream file(log);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(ChildProcessTest, TellsTheExitCode) {
  ChildProcess child(service({"sh", "-c", "exit 5"}));
  EXPECT_EQ(wait(child), 5);
  EXPECT_EQ(wait(child), 5) << "and again";
}

TEST_F(ChildProcessTest, TellsTheSignal) {
  ChildProcess child(service({"sh", "-c", "exec sleep 1000"}));
  child.signal(SIGTERM);
  EXPECT_EQ(wait(child), 128 + SIGTERM);
}

TEST_F(ChildProcessTest, TellsWhyItCannotBeExecuted) {
  try {
    ChildProcess child(service({"/no/such/program"}));
    FAIL();
  } catch (const ChildProcess::NotExecuted& reason) {
    EXPECT_EQ(reason.error, ENOENT);
  }
  try {
    ChildProcess child(service({folder.path().string()}));
    FAIL();
  } catch (const ChildProcess::NotExecuted& reason) {
    EXPECT_EQ(reason.error, EACCES);
  }
}

TEST_F(ChildProcessTest, GivesAServiceItsLogAndNoInput) {
  ChildProcess child(service({"sh", "-c", "cat; echo out; echo err >&2"}));
  EXPECT_EQ(wait(child), 0);
  EXPECT_EQ(logged(), "out\nerr\n");
}

TEST_F(ChildProcessTest, SetsReplacesAndRemovesVariables) {
  ::setenv("P11TEST_REPLACED", "old", 1);
  ::setenv("P11TEST_REMOVED", "old", 1);
  auto options = service({"sh", "-c", "echo $P11TEST_REPLACED ${P11TEST_REMOVED-none} $P11TEST_NEW"});
  options.variables = {{"P11TEST_REPLACED", "new"}, {"P11TEST_REMOVED", std::nullopt}, {"P11TEST_NEW", "a b"}};
  ChildProcess child(options);
  EXPECT_EQ(wait(child), 0);
  EXPECT_EQ(logged(), "new none a b\n");
}

TEST_F(ChildProcessTest, KillsWhatStillRuns) {
  pid_t pid = 0;
  {
    ChildProcess child(service({"sh", "-c", "trap '' TERM INT; echo $$; read line; while :; do :; done"}));
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (logged().find('\n') == std::string::npos && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
    pid = std::stoi(logged());
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

}  // namespace
}  // namespace p11shim

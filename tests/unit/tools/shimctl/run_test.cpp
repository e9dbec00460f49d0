// shimctl run: the command in front, the fake proxyd behind, and that nothing is left of it.
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "fixture.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

class RunTest : public ShimctlTest {
 protected:
  std::vector<std::string> run(std::vector<std::string> command, const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments{"run", "--module", module};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back("--");
    arguments.insert(arguments.end(), command.begin(), command.end());
    return shimctl(arguments);
  }
  void expect_nothing_left() {
    EXPECT_TRUE(fs::is_empty(temporary));
    EXPECT_TRUE(proxyd_pid() == 0 || eventually([this] { return !is_running(proxyd_pid()); }));
  }
};

TEST_F(RunTest, ReturnsTheCommandsExitCode) {
  for (const int code : {0, 1, 7, 255}) {
    Process process(run({"sh", "-c", "exit " + std::to_string(code)}), variables());
    EXPECT_EQ(process.wait(), code);
    EXPECT_EQ(process.out + process.err, "");
    expect_nothing_left();
  }
}

TEST_F(RunTest, ReturnsTheSignalThatEndedTheCommand) {
  Process process(run({"sh", "-c", "kill -SEGV $$"}), variables());
  EXPECT_EQ(process.wait(), 128 + SIGSEGV);
  expect_nothing_left();
}

TEST_F(RunTest, TakesTheCommandWithoutSeparator) {
  Process process(shimctl({"run", "--module", module, "sh", "-c", "exit 7"}), variables());
  EXPECT_EQ(process.wait(), 7);
}

TEST_F(RunTest, LeavesTheCommandsOwnOptionsAlone) {
  Process process(run({"printf", "%s,", "--module", "-o", "--", "--stats"}), variables());
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.out, "--module,-o,--,--stats,");
}

TEST_F(RunTest, LeavesInputAndOutputAlone) {
  const std::string bytes("a\0\xff\r\nb", 6);
  Process process(run({"cat"}), variables());
  process.send(bytes);
  process.end_input();
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.out, bytes);
}

TEST_F(RunTest, AddsItsVariablesAndNothingElse) {
  const auto lines = [](const std::string& text) {
    std::istringstream stream(text);
    std::set<std::string> result;
    for (std::string line; std::getline(stream, line, '\0');) result.insert(line);
    return result;
  };
  const auto environment = variables({{"SOFTHSM2_CONF", "/somewhere"}, {"NOTIFY_SOCKET", "/another"}});
  Process plain({"env", "-0"}, environment);
  Process inside(run({"env", "-0"}), environment);
  EXPECT_EQ(plain.wait(), 0);
  EXPECT_EQ(inside.wait(), 0);
  auto expected = lines(plain.out);
  std::set<std::string> added;
  for (const auto& line : lines(inside.out)) {
    if (expected.erase(line) == 0) added.insert(line.substr(0, line.find('=')));
  }
  EXPECT_TRUE(expected.empty());
  EXPECT_EQ(added, (std::set<std::string>{"P11SHIM_CONTROL", "P11SHIM_ENDPOINT", "P11_MODULE"}));
}

TEST_F(RunTest, NamesTheShimBesideIt) {
  Process process(run({"sh", "-c", "printf %s \"$P11_MODULE\""}), variables());
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.out, shim.string());
}

TEST_F(RunTest, WorksInADirectoryThatOnlyItsOwnerMayEnter) {
  Process process(run({"sh", "-c", "stat -c %a \"$(dirname \"${P11SHIM_ENDPOINT#unix:}\")\""}), variables());
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.out, "700\n");
}

TEST_F(RunTest, GivesProxydOurEnvironment) {
  const std::string ask = (folder / "bin/shimctl").string() +
                          " --control \"$(dirname \"${P11SHIM_ENDPOINT#unix:}\")/control.sock\" -o json status";
  Process process(run({"sh", "-c", ask}), variables({{"P11TEST_VERSION", "from outside"}}));
  EXPECT_EQ(process.wait(), 0);
  const auto status = nlohmann::json::parse(process.out)["data"];
  EXPECT_EQ(status["version"], "from outside");
}

TEST_F(RunTest, PassesSignalsOn) {
  Process process(run({"sh", "-c", "trap 'exit 9' USR1; echo ready; read line"}), variables());
  ASSERT_TRUE(process.wait_for_output("ready"));
  process.signal(SIGUSR1);
  EXPECT_EQ(process.wait(), 9);
  expect_nothing_left();
}

TEST_F(RunTest, CleansUpWhenInterrupted) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    Process process(run({"sh", "-c", "echo ready; read line"}), variables());
    ASSERT_TRUE(process.wait_for_output("ready"));
    process.signal(number);
    EXPECT_EQ(process.wait(), 128 + number);
    expect_nothing_left();
  }
}

TEST_F(RunTest, CleansUpWhenInterruptedBeforeProxydIsReady) {
  Process process(run({"true"}), variables({{"P11TEST_PROXYD", "silent"}}));
  ASSERT_TRUE(eventually([this] { return proxyd_pid() != 0; }));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), 128 + SIGTERM);
  expect_nothing_left();
}

TEST_F(RunTest, CleansUpWhenNobodyReadsItsStatistics) {
  Process process(run({"sh", "-c", "exec 2>&-; echo ready; read line; exit 4"}, {"--stats"}), variables());
  ASSERT_TRUE(process.wait_for_output("ready"));
  process.close_errors();
  process.end_input();
  EXPECT_EQ(process.wait(), 4);
  expect_nothing_left();
}

TEST_F(RunTest, LeavesNoProxydBehindWhenKilled) {
  Process process(run({"sh", "-c", "echo ready; read line"}), variables());
  ASSERT_TRUE(process.wait_for_output("ready"));
  const pid_t proxyd = proxyd_pid();
  process.signal(SIGKILL);
  process.end_input();  // ends the command, which nobody does now
  EXPECT_EQ(process.wait(), 128 + SIGKILL);
  EXPECT_TRUE(eventually([proxyd] { return !is_running(proxyd); }));
}

TEST_F(RunTest, TellsWhyProxydDidNotStart) {
  Process process(run({"echo", "never"}), variables({{"P11TEST_PROXYD", "fails"}}));
  EXPECT_EQ(process.wait(), 3);
  EXPECT_EQ(process.out, "");
  EXPECT_NE(process.err.find("the module is broken"), std::string::npos);
  expect_nothing_left();
}

TEST_F(RunTest, GoesOnWithoutProxydAndSaysSo) {
  Process process(run({"sh", "-c", "read line; exit 5"}), variables({{"P11TEST_PROXYD", "dies"}}));
  ASSERT_TRUE(eventually([this] { return proxyd_pid() != 0 && !is_running(proxyd_pid()); }));
  process.end_input();
  EXPECT_EQ(process.wait(), 5);
  EXPECT_NE(process.err.find("out of luck"), std::string::npos);
  expect_nothing_left();
}

TEST_F(RunTest, PrintsWhatWasCalledToStderr) {
  Process process(run({"echo", "data"}, {"--stats"}), variables());
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(process.out, "data\n");
  EXPECT_NE(process.err.find("C_Sign"), std::string::npos);
  EXPECT_NE(process.err.find("CKR_PIN_INCORRECT"), std::string::npos);
}

TEST_F(RunTest, TellsLikeAShellWhatCannotBeExecuted) {
  Process missing(run({"/no/such/program"}), variables());
  EXPECT_EQ(missing.wait(), 127);
  EXPECT_NE(missing.err.find("/no/such/program: No such file"), std::string::npos);
  Process folder_as_program(run({folder.string()}), variables());
  EXPECT_EQ(folder_as_program.wait(), 126);
  expect_nothing_left();
}

TEST_F(RunTest, NeedsAModuleOrAConfigurationAndACommand) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"run", "--", "true"},
                                             {"run", "--module", module},
                                             {"run", "--module", module, "--config", "x", "--", "true"},
                                             {"run", "--config", "x", "--library-parameters", "y", "--", "true"}}) {
    Process process(shimctl(arguments), variables());
    EXPECT_EQ(process.wait(), 2) << process.err;
    EXPECT_EQ(std::count(process.err.begin(), process.err.end(), '\n'), 1) << process.err;
  }
}

TEST_F(RunTest, ExitsWith3WhenThereIsNoSuchModule) {
  Process process(shimctl({"run", "--module", "/no/such/module.so", "--", "true"}), variables());
  EXPECT_EQ(process.wait(), 3);
  EXPECT_NE(process.err.find("/no/such/module.so"), std::string::npos);
  expect_nothing_left();
}

TEST_F(RunTest, NamesEveryMistakeInAConfiguration) {
  std::ofstream(folder / "mine.toml") << "[[module]]\nname = \"m\"\npth = \"/x\"\nlanes = 0\n";
  Process process(shimctl({"run", "--config", folder / "mine.toml", "--", "true"}), variables());
  EXPECT_EQ(process.wait(), 3);
  EXPECT_NE(process.err.find("mine.toml:3:"), std::string::npos) << process.err;
  EXPECT_NE(process.err.find("pth"), std::string::npos);
}

TEST_F(RunTest, MakesTheUsersConfigurationPrivate) {
  std::ofstream(folder / "mine.toml") << "[listen]\nunix = \"/run/never/here.sock\"\ngroup = \"nobody-has-this\"\n"
                                      << "[[module]]\nname = \"m\"\ntokens = \"*\"\npath = \"" << module << "\"\n";
  Process process(
      shimctl({"run", "--config", folder / "mine.toml", "--", "sh", "-c", "printf %s \"$P11SHIM_ENDPOINT\""}),
      variables());
  EXPECT_EQ(process.wait(), 0) << process.err;
  EXPECT_TRUE(process.out.starts_with("unix:" + temporary.string() + "/")) << process.out;
}

}  // namespace
}  // namespace p11shim

// ping, status and stats against a fake proxyd whose figures are known.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "fixture.h"
#include "schema.h"

namespace p11shim {
namespace {

using nlohmann::json;

class CommandsTest : public ShimctlTest {
 protected:
  const std::string control = folder / "control.sock";
  std::optional<Process> proxyd;

  void start_proxyd(const Variables& more = {}) {
    std::ofstream(folder / "proxyd.toml") << "listen.unix = \"" << (folder / "proxyd.sock").string() << "\"\n"
                                          << "control.unix = \"" << control << "\"\n"
                                          << "[[module]]\nname = \"m\"\ntokens = \"*\"\npath = \"" << module << "\"\n";
    proxyd.emplace(std::vector<std::string>{folder / "bin/proxyd", "--config", folder / "proxyd.toml"},
                   variables(more));
    ASSERT_TRUE(eventually([this] { return answers(); }));
  }
  // The socket's file is there before anybody listens on it.
  bool answers() const {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    control.copy(address.sun_path, sizeof address.sun_path - 1);
    const bool connected = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(socket);
    return connected;
  }
  // Runs shimctl to its end; its exit code is `code`.
  Process& ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--control", control});
    asked.emplace(shimctl(arguments), Variables{{"P11SHIM_CONTROL", "/none"}});
    code = asked->wait();
    return *asked;
  }
  json data(std::vector<std::string> arguments, const std::string& schema) {
    arguments.insert(arguments.end(), {"-o", "json"});
    const auto& answer = ask(arguments);
    EXPECT_EQ(answer.err, "");
    const auto envelope = json::parse(answer.out, nullptr, false);
    EXPECT_EQ(envelope.value("schema", ""), schema) << answer.out;
    EXPECT_EQ(schema_error(envelope), "") << answer.out;
    return envelope.value("data", json());
  }

  std::optional<Process> asked;
  int code = -1;
};

TEST_F(CommandsTest, PingMeasuresProxydAndEachMember) {
  start_proxyd();
  const auto targets = data({"ping", "-c", "5"}, "p11shim.ping/1")["targets"];
  EXPECT_EQ(code, 0);
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(targets[0]["target"], "proxyd");
  EXPECT_EQ(targets[1]["target"], "signing/hsm1");
  for (const auto& target : targets) {
    EXPECT_EQ(target["sent"], 5);
    EXPECT_EQ(target["failed"], 0);
    EXPECT_LE(target["min_ns"], target["avg_ns"]);
    EXPECT_LE(target["avg_ns"], target["max_ns"]);
  }
}

TEST_F(CommandsTest, PingExitsWith1WhenAMemberFails) {
  start_proxyd({{"P11TEST_PING", "fails"}});
  const auto& answer = ask({"ping"});
  EXPECT_EQ(code, 1);
  EXPECT_NE(answer.out.find("CKR_DEVICE_ERROR"), std::string::npos);
}

TEST_F(CommandsTest, PingTellsWhatProxydSaysOfAMember) {
  start_proxyd({{"P11TEST_PING", "unknown"}});
  const auto targets = data({"ping", "-c", "1"}, "p11shim.ping/1")["targets"];
  EXPECT_EQ(code, 1);
  EXPECT_EQ(targets[1]["failed"], 1);
  EXPECT_NE(targets[1]["error"].get<std::string>().find("there is no such member"), std::string::npos);
}

TEST_F(CommandsTest, StatusShowsEverySection) {
  start_proxyd({{"P11TEST_VERSION", "9.8.7"}});
  const auto& answer = ask({"status"});
  EXPECT_EQ(code, 0);
  for (const char* text : {"9.8.7", "signing", "hsm1", "4242", "AUDIT LOG FAILING: disk full (3 records lost)"}) {
    EXPECT_NE(answer.out.find(text), std::string::npos) << text;
  }
}

// The shim beside it is no library, so the first checks fail; what proxyd tells is examined all the same.
TEST_F(CommandsTest, DoctorJudgesWhatProxydTells) {
  start_proxyd({{"P11TEST_VERSION", "9.8.7"}});
  std::map<std::string, json> checks;
  const json answer = data({"doctor"}, "p11shim.doctor/1");
  for (const json& check : answer["checks"]) checks[check["check"]] = check;
  EXPECT_EQ(code, 1);
  EXPECT_EQ(checks["module-file"]["result"], "FAIL");
  EXPECT_EQ(checks["control-socket"]["result"], "PASS");
  EXPECT_EQ(checks["proxyd-version"]["result"], "FAIL");
  EXPECT_EQ(checks["members"]["result"], "PASS");
  EXPECT_EQ(checks["breakers"]["result"], "FAIL");
  EXPECT_EQ(checks["breakers"]["detail"], "signing/hsm1: ejected");
  EXPECT_EQ(checks["pool-drift"]["result"], "SKIP");
  EXPECT_EQ(checks["faults"]["result"], "PASS");  // a wrong PIN is nobody's fault
  EXPECT_EQ(checks["audit-sink"]["result"], "FAIL");
  EXPECT_NE(checks["audit-sink"]["detail"].get<std::string>().find("disk full"), std::string::npos);
  EXPECT_EQ(checks["descriptors"]["result"].is_string(), true);
}

TEST_F(CommandsTest, StatusKeepsHostileNamesFromTheTerminal) {
  start_proxyd();
  const auto& answer = ask({"status"});
  EXPECT_EQ(answer.out.find('\x1b'), std::string::npos);
  EXPECT_NE(answer.out.find("evil\\x1b[2J"), std::string::npos);
}

TEST_F(CommandsTest, StatusHasAJsonForm) {
  start_proxyd();
  const auto status = data({"status"}, "p11shim.status/1");
  EXPECT_EQ(status["members"][0]["workers"][0]["pid"], 4242);
}

TEST_F(CommandsTest, StatsShowsFunctionsAndErrors) {
  start_proxyd();
  const auto& answer = ask({"stats"});
  EXPECT_EQ(code, 0);
  for (const char* text : {"signing/hsm1", "C_Sign", "99", "2.00 ms", "C_Login", "CKR_PIN_INCORRECT"}) {
    EXPECT_NE(answer.out.find(text), std::string::npos) << text << '\n' << answer.out;
  }
  EXPECT_LT(answer.out.find("C_Sign"), answer.out.find("C_Login")) << "the busiest comes first";
}

TEST_F(CommandsTest, StatsShowsOtherStagesAndSubjects) {
  start_proxyd();
  EXPECT_NE(ask({"stats", "--stage", "hsm"}).out.find("1.00 ms"), std::string::npos);
  EXPECT_NE(ask({"stats", "--by", "mechanism"}).out.find("CKM_ECDSA"), std::string::npos);
  EXPECT_NE(ask({"stats", "--by", "client"}).out.find("uid 33 nginx"), std::string::npos);
}

TEST_F(CommandsTest, StatsHasAJsonFormAndARawOne) {
  start_proxyd();
  auto sign = data({"stats"}, "p11shim.stats/1")["members"][0]["functions"]["C_Sign"];
  EXPECT_EQ(sign["calls"], 99);
  EXPECT_EQ(sign["total"]["p99_ns"], 2'000'000);
  EXPECT_FALSE(sign["total"].contains("buckets"));
  sign = data({"stats", "--raw"}, "p11shim.stats/1")["members"][0]["functions"]["C_Sign"];
  EXPECT_TRUE(sign["total"].contains("buckets"));
}

TEST_F(CommandsTest, WatchShowsOnlyWhatHappensMeanwhile) {
  start_proxyd();
  const auto& answer = ask({"stats", "--watch", "1ms", "-c", "2", "-o", "json"});
  EXPECT_EQ(code, 0);
  std::istringstream lines(answer.out);
  int intervals = 0;
  for (std::string line; std::getline(lines, line); ++intervals) {
    const auto interval = json::parse(line);
    EXPECT_EQ(interval["schema"], "p11shim.stats.interval/1");
    EXPECT_EQ(schema_error(interval), "");
    ASSERT_EQ(interval["data"]["rows"].size(), 1u);
    const auto& row = interval["data"]["rows"][0];
    EXPECT_EQ(row["name"], "C_Sign");
    EXPECT_EQ(row["calls"], 1);
    EXPECT_EQ(row["errors"], (json{{"CKR_DEVICE_ERROR", 1}}));
    EXPECT_NEAR(row["latency"]["p50_ns"].get<double>(), 5e6, 5e6 / 32);
  }
  EXPECT_EQ(intervals, 2);
}

TEST_F(CommandsTest, WatchEndsWhenInterrupted) {
  start_proxyd();
  Process watch(shimctl({"--control", control, "stats", "--watch", "1ms"}));
  ASSERT_TRUE(watch.wait_for_output("C_Sign"));
  watch.signal(SIGINT);
  EXPECT_EQ(watch.wait(), 0);
  EXPECT_EQ(watch.out.find('\x1b'), std::string::npos) << "no cursor movements where there is no terminal";
}

TEST_F(CommandsTest, TakesTheControlSocketFromTheEnvironment) {
  start_proxyd();
  Process status(shimctl({"status"}), {{"P11SHIM_CONTROL", control}});
  EXPECT_EQ(status.wait(), 0);
}

TEST_F(CommandsTest, ExitsWith4WhenNobodyAnswers) {
  for (const char* command : {"ping", "status", "stats"}) {
    const auto& answer = ask({command});
    EXPECT_EQ(code, 4);
    EXPECT_EQ(answer.out, "");
    EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1) << answer.err;
    EXPECT_NE(answer.err.find(control), std::string::npos);
  }
}

TEST_F(CommandsTest, ExitsWith4WhenTheSocketBelongsToADeadProxyd) {
  start_proxyd();
  proxyd->signal(SIGKILL);
  EXPECT_EQ(proxyd->wait(), 128 + SIGKILL);
  ask({"status"});
  EXPECT_EQ(code, 4);
}

TEST_F(CommandsTest, ExitsWith2OnWrongUse) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{},
                                                                                         {"stauts"},
                                                                                         {"status", "extra"},
                                                                                         {"ping", "-c", "0"},
                                                                                         {"stats", "--watch", "soon"},
                                                                                         {"stats", "--by", "day"},
                                                                                         {"stats", "--stage", "all"},
                                                                                         {"status", "-o", "xml"},
                                                                                         {"status", "--", "x"},
                                                                                         {"--control"}}) {
    const auto& answer = ask(arguments);
    EXPECT_EQ(code, 2) << answer.err;
    EXPECT_EQ(answer.out, "");
    EXPECT_EQ(std::count(answer.err.begin(), answer.err.end(), '\n'), 1) << answer.err;
  }
}

TEST_F(CommandsTest, ProposesTheCommandThatWasMeant) {
  EXPECT_NE(Process(shimctl({"stauts"})).wait(), 0);
  Process typo(shimctl({"stauts"}));
  typo.wait();
  EXPECT_NE(typo.err.find("did you mean \"status\"?"), std::string::npos);
}

TEST_F(CommandsTest, EveryCommandHasHelpWithExamples) {
  for (const char* command : {"ping", "status", "stats", "run"}) {
    Process help(shimctl({command, "--help"}));
    EXPECT_EQ(help.wait(), 0);
    EXPECT_NE(help.out.find("Examples:\n  shimctl " + std::string(command)), std::string::npos) << help.out;
  }
}

}  // namespace
}  // namespace p11shim

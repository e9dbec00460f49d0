// A client in the same thread as the server: what it sends waits in the kernel until the loop is run, turn by
// turn.
#include "proxyd/control/control.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <vector>

#include "proxyd/loop/log_quota.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr auto kPatience = std::chrono::seconds(30);

class Client {
 public:
  explicit Client(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, path.c_str());
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(socket_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  bool send(std::string_view request) {
    return ::send(socket_, request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(request.size());
  }
  void end() { ::shutdown(socket_, SHUT_WR); }

  // Takes what has arrived. False when the server closed the connection.
  bool receive() {
    char buffer[65536];
    for (;;) {
      const ssize_t length = ::recv(socket_, buffer, sizeof buffer, MSG_DONTWAIT);
      if (length < 0) return errno == EAGAIN;
      if (length == 0) return false;
      text.append(buffer, static_cast<std::size_t>(length));
    }
  }
  // Blocks, for a process that has no loop to run; ctest's limit bounds it.
  void wait_for_line() {
    char buffer[65536];
    for (ssize_t length; text.find('\n') == std::string::npos;) {
      if ((length = ::recv(socket_, buffer, sizeof buffer, 0)) <= 0) return;
      text.append(buffer, static_cast<std::size_t>(length));
    }
  }
  std::optional<json> take_line() {
    const auto end = text.find('\n');
    if (end == std::string::npos) return std::nullopt;
    auto line = json::parse(text.substr(0, end));
    text.erase(0, end + 1);
    return line;
  }

  std::string text;

 private:
  int socket_;
  bool connected_ = false;
};

class ControlTest : public testing::Test {
 protected:
  uv_loop_t loop{};
  spdlog::logger log{"test", std::make_shared<spdlog::sinks::null_sink_st>()};
  LogQuota quota{log};
  fs::path folder = [] {
    std::string name = fs::temp_directory_path() / "control_test.XXXXXX";
    return fs::path(::mkdtemp(name.data()));
  }();
  std::string path = folder / "control.sock";
  std::vector<ControlReply> pending;
  std::unique_ptr<Control> control;

  ControlTest() {
    std::signal(SIGPIPE, SIG_IGN);
    uv_loop_init(&loop);
    control = start({.path = path});
  }
  ~ControlTest() override {
    control.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop), 0) << "a handle is still open";
    fs::remove_all(folder);
  }

  std::unique_ptr<Control> start(ControlOptions options) {
    ControlHandlers handlers;
    handlers["echo"] = [](const json& arguments, const ControlReply& reply) { reply.ok(arguments); };
    handlers["later"] = [this](const json&, const ControlReply& reply) { pending.push_back(reply); };
    handlers["twice"] = [](const json&, const ControlReply& reply) {
      reply.ok(1);
      reply.fail({"late", "never seen", ""});
    };
    handlers["throws"] = [](const json&, const ControlReply&) { throw std::runtime_error("boom"); };
    handlers["bytes"] = [](const json&, const ControlReply& reply) { reply.ok("\xff\n"); };
    return std::make_unique<Control>(loop, quota, std::move(options), std::move(handlers));
  }

  template <class Condition>
  bool run_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      uv_run(&loop, UV_RUN_NOWAIT);
    }
    return true;
  }
  json reply_to(Client& client) {
    std::optional<json> line;
    run_until([&] { return !client.receive() || client.text.find('\n') != std::string::npos; });
    line = client.take_line();
    return line.value_or(json());
  }
  json ask(std::string_view request) {
    Client client(path);
    EXPECT_TRUE(client.send(request));
    EXPECT_TRUE(client.send("\n"));
    return reply_to(client);
  }
  bool closed(Client& client) {
    return run_until([&] { return !client.receive(); });
  }
};

TEST_F(ControlTest, AnswersACommand) {
  EXPECT_EQ(ask(R"({"command":"echo","arguments":{"a":[1,2]}})"), json::parse(R"({"ok":true,"result":{"a":[1,2]}})"));
}

TEST_F(ControlTest, TakesMissingArgumentsForNone) { EXPECT_EQ(ask(R"({"command":"echo"})")["result"], json::object()); }

TEST_F(ControlTest, NamesTheCommandsWhenAskedForAnUnknownOne) {
  const auto reply = ask(R"({"command":"stauts"})");
  EXPECT_EQ(reply["ok"], false);
  EXPECT_EQ(reply["error"]["code"], "unknown_command");
  EXPECT_NE(reply["error"]["fix"].get<std::string>().find("echo"), std::string::npos);
}

TEST_F(ControlTest, RefusesWhatIsNoRequestAndGoesOn) {
  Client client(path);
  for (const char* line : {"", "x", "[]", "3", "{}", R"({"command":3})", R"({"command":"echo","arguments":[]})", "{",
                           "\xff\xfe", R"({"command":"echo"} {})"}) {
    ASSERT_TRUE(client.send(line) && client.send("\n"));
    EXPECT_EQ(reply_to(client)["error"]["code"], "malformed") << line;
  }
  ASSERT_TRUE(client.send("{\"command\":\"echo\"}\n"));
  EXPECT_EQ(reply_to(client)["ok"], true);
}

TEST_F(ControlTest, AnswersInOrderHoweverRequestsArrive) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"echo\",\"arguments\":{\"n\":1}}\n{\"command\":\"echo\",\"argu"));
  EXPECT_EQ(reply_to(client)["result"]["n"], 1);
  ASSERT_TRUE(client.send("ments\":{\"n\":2}}\n{\"command\":\"echo\",\"arguments\":{\"n\":3}}\n"));
  EXPECT_EQ(reply_to(client)["result"]["n"], 2);
  EXPECT_EQ(reply_to(client)["result"]["n"], 3);
}

TEST_F(ControlTest, MakesTheNextRequestWaitForALateAnswer) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"later\"}\n{\"command\":\"echo\"}\n"));
  ASSERT_TRUE(run_until([&] { return pending.size() == 1; }));
  Client other(path);
  ASSERT_TRUE(other.send("{\"command\":\"echo\"}\n"));
  EXPECT_EQ(reply_to(other)["ok"], true) << "other clients do not wait";
  EXPECT_TRUE(client.receive());
  EXPECT_EQ(client.text, "");
  pending[0].ok("late");
  EXPECT_EQ(reply_to(client)["result"], "late");
  EXPECT_EQ(reply_to(client)["result"], json::object());
}

TEST_F(ControlTest, DropsAnAnswerWhoseClientHasGone) {
  auto client = std::make_unique<Client>(path);
  ASSERT_TRUE(client->send("{\"command\":\"later\"}\n"));
  ASSERT_TRUE(run_until([&] { return pending.size() == 1; }));
  client.reset();
  EXPECT_EQ(ask(R"({"command":"echo"})")["ok"], true);
  pending[0].ok("nobody hears this");
  EXPECT_EQ(ask(R"({"command":"echo"})")["ok"], true);
}

TEST_F(ControlTest, DropsAnAnswerAfterItsOwnEnd) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"later\"}\n"));
  ASSERT_TRUE(run_until([&] { return pending.size() == 1; }));
  control.reset();
  EXPECT_TRUE(closed(client));
  pending[0].ok("nobody hears this");
}

TEST_F(ControlTest, CountsTheFirstAnswerOnly) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"twice\"}\n{\"command\":\"echo\"}\n"));
  EXPECT_EQ(reply_to(client)["result"], 1);
  EXPECT_EQ(reply_to(client)["result"], json::object());
}

TEST_F(ControlTest, TurnsAnExceptionIntoAnError) {
  const auto reply = ask(R"({"command":"throws"})");
  EXPECT_EQ(reply["error"]["code"], "internal");
  EXPECT_EQ(reply["error"]["message"], "boom");
}

TEST_F(ControlTest, AnswersInOneLineOfValidJsonWhateverTheTextIs) {
  EXPECT_EQ(ask(R"({"command":"bytes"})")["result"], "\ufffd\n");
}

TEST_F(ControlTest, AnswersAClientThatSendsNoMore) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"echo\"}\n"));
  client.end();
  EXPECT_TRUE(closed(client));
  EXPECT_EQ(client.take_line().value_or(json())["ok"], true);
}

TEST_F(ControlTest, ClosesOnARequestWithoutEnd) {
  Client client(path);
  const std::string endless(Control::kMaxRequest, 'x');
  ASSERT_TRUE(client.send(endless));
  EXPECT_TRUE(closed(client));
  EXPECT_EQ(client.take_line().value_or(json())["error"]["code"], "too_long");
}

TEST_F(ControlTest, StopsReadingFromAClientThatOnlySends) {
  Client client(path);
  ASSERT_TRUE(client.send("{\"command\":\"later\"}\n"));
  ASSERT_TRUE(run_until([&] { return pending.size() == 1; }));
  // In the end the kernel's buffer is full and stays so: nobody takes what is sent.
  const std::string requests = [] {
    std::string text;
    while (text.size() < 4096) text += "{\"command\":\"echo\"}\n";
    return text;
  }();
  std::size_t sent = 0;
  int refusals = 0;
  while (refusals < 100 && sent < (64u << 20)) {
    if (client.send(requests)) {
      sent += requests.size();
      refusals = 0;
    } else {
      ++refusals;
    }
    uv_run(&loop, UV_RUN_NOWAIT);
  }
  EXPECT_EQ(refusals, 100);
}

TEST_F(ControlTest, HoldsABoundedNumberOfConnections) {
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < Control::kMaxConnections; ++i) {
    clients.push_back(std::make_unique<Client>(path));
    ASSERT_TRUE(clients.back()->send("{\"command\":\"echo\"}\n"));
    ASSERT_EQ(reply_to(*clients.back())["ok"], true);
  }
  Client another(path);
  EXPECT_TRUE(closed(another));
  EXPECT_EQ(another.take_line().value_or(json())["error"]["code"], "too_many_connections");
  clients.clear();
  ASSERT_TRUE(run_until([&] { return ask(R"({"command":"echo"})")["ok"] == true; }));
}

TEST_F(ControlTest, RemovesItsFile) {
  EXPECT_TRUE(fs::exists(path));
  control.reset();
  EXPECT_FALSE(fs::exists(path));
}

// Asks as another user, which only root can become.
class ControlPeerTest : public ControlTest {
 protected:
  static constexpr uid_t kStranger = 54321;
  static constexpr gid_t kOperators = 54322;

  ControlPeerTest() {
    control.reset();
    uv_run(&loop, UV_RUN_DEFAULT);
    control = start({.path = path, .mode = 0666, .group = kOperators});
    fs::permissions(folder, fs::perms(0755));
  }

  // The error's code, or "ok".
  std::string answer_as(uid_t uid, gid_t gid, const std::vector<gid_t>& groups) {
    int answer[2];
    EXPECT_EQ(::pipe(answer), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      const bool changed = ::setgroups(groups.size(), groups.data()) == 0 && ::setresgid(gid, gid, gid) == 0 &&
                           ::setresuid(uid, uid, uid) == 0;
      if (!changed) ::_exit(1);
      Client client(path);
      client.send("{\"command\":\"echo\"}\n");
      client.wait_for_line();
      const auto line = client.take_line().value_or(json());
      const std::string code = line["ok"] == true ? "ok" : line["error"]["code"].get<std::string>();
      ::_exit(::write(answer[1], code.data(), code.size()) == static_cast<ssize_t>(code.size()) ? 0 : 1);
    }
    EXPECT_TRUE(run_until([&] { return ::waitpid(child, nullptr, WNOHANG) == child; }));
    ::close(answer[1]);
    char code[64];
    const ssize_t length = ::read(answer[0], code, sizeof code);
    ::close(answer[0]);
    return {code, static_cast<std::size_t>(std::max<ssize_t>(length, 0))};
  }
};

TEST_F(ControlPeerTest, ServesItsGroupAndRefusesStrangers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_EQ(answer_as(kStranger, kStranger, {}), "not_permitted");
  EXPECT_EQ(answer_as(kStranger, kStranger, {kStranger}), "not_permitted");
  EXPECT_EQ(answer_as(kStranger, kOperators, {}), "ok");
  EXPECT_EQ(answer_as(kStranger, kStranger, {kStranger, kOperators}), "ok");
  EXPECT_EQ(answer_as(0, kStranger, {}), "ok");
}

}  // namespace
}  // namespace p11shim

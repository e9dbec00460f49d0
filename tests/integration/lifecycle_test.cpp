// How proxyd starts, reloads, drains and ends, and what it does with modules and applications that do not behave.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <future>

#include "application.h"
#include "configs.h"
#include "raw_peer.h"
#include "tests/places.h"
#include "tests/system_library.h"

namespace p11shim {
namespace {

const std::string kProxyd = build_dir() + "/bin/proxyd";

class Lifecycle : public testing::Test {
 protected:
  MockModule mock;
  PrivateProxyd proxyd{mock.config()};
};

TEST_F(Lifecycle, CallUnderWayIsAnsweredBeforeItEnds) {
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  const auto gate = mock.file("gate");
  mock.rules.set("C_GenerateRandom hang=" + gate.string());
  auto answer = std::async(std::launch::async, [&] {
    CK_BYTE bytes[16];
    return application->C_GenerateRandom(session, bytes, sizeof bytes);
  });
  ASSERT_TRUE(eventually([&] { return proxyd.worker("public")["busy_lanes"] == 1; }));
  proxyd.signal(SIGTERM);
  EXPECT_TRUE(eventually([&] { return proxyd.status()["state"] == "draining"; }));
  std::ofstream{gate};
  EXPECT_EQ(answer.get(), CKR_OK);
  EXPECT_EQ(proxyd.wait(), 0);
}

TEST_F(Lifecycle, SecondSignalEndsItAtOnce) {
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  mock.rules.set("C_GenerateRandom hang=" + mock.file("never").string());
  auto answer = std::async(std::launch::async, [&] {
    CK_BYTE bytes[16];
    return application->C_GenerateRandom(session, bytes, sizeof bytes);
  });
  ASSERT_TRUE(eventually([&] { return proxyd.worker("public")["busy_lanes"] == 1; }));
  proxyd.signal(SIGTERM);
  EXPECT_TRUE(eventually([&] { return proxyd.status()["state"] == "draining"; }));
  proxyd.signal(SIGTERM);
  EXPECT_EQ(answer.get(), CKR_DEVICE_ERROR);
  EXPECT_EQ(proxyd.wait(), 0);
}

TEST_F(Lifecycle, ReloadAppliesWhatItCanAndNamesTheRest) {
  proxyd.start();
  TestApplication application(proxyd);
  proxyd.write_config("log.level = \"debug\"\n" + mock.config("lanes = 9", "", "max_sessions_per_application = 3"));
  proxyd.signal(SIGHUP);
  ASSERT_TRUE(eventually([&] { return proxyd.log().find("lanes") != std::string::npos; })) << proxyd.log();
  for (int i = 0; i < 3; ++i) EXPECT_NE(application.open(), CK_INVALID_HANDLE);
  CK_SESSION_HANDLE session = 0;
  EXPECT_EQ(application->C_OpenSession(0, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_SESSION_COUNT);
  EXPECT_NE(proxyd.log().find("restart"), std::string::npos);
  proxyd.write_config("nonsense = 1\n");
  proxyd.signal(SIGHUP);
  EXPECT_TRUE(eventually([&] { return proxyd.log().find("the configuration stays as it was") != std::string::npos; }));
}

TEST_F(Lifecycle, SocketOfSystemdIsUsed) {
  const std::string path = (proxyd.path() / "activated.sock").string();
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(socket, 16), 0);
  // As systemd does it: the socket is descriptor 3, and the variables name this very process.
  const std::string script = "exec 3<&" + std::to_string(socket) + "; LISTEN_PID=$$ LISTEN_FDS=1 exec " + kProxyd +
                             " --config " + proxyd.config_file();
  Process process({"/bin/sh", "-c", script});
  {
    TestApplication application("unix:" + path);
    EXPECT_NE(application.open(), CK_INVALID_HANDLE);
    EXPECT_NE(::access(proxyd.socket().c_str(), F_OK), 0);
    EXPECT_EQ(proxyd.status()["endpoints"][0], "unix:" + path);
  }
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(::access(path.c_str(), F_OK), 0);  // it is systemd's
  ::close(socket);
}

// What arrives at the socket that systemd would have named, until `wanted` does. An empty one: it never did.
std::string heard(int socket, const std::string& wanted) {
  for (int i = 0; i < 1000; ++i) {
    pollfd readable{socket, POLLIN, 0};
    char message[4096];
    if (::poll(&readable, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) != 1) return {};
    const ssize_t count = ::recv(socket, message, sizeof message, 0);
    const std::string text(message, static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (text.find(wanted) != std::string::npos) return text;
  }
  return {};
}

TEST(Systemd, IsToldWhenItServesThatItLivesAndWhenItEnds) {
  const compare::PrivateDirectory directory;
  const std::string path = (directory.path() / "notify").string();
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  MockModule mock;
  PrivateProxyd proxyd(mock.config(), {{"NOTIFY_SOCKET", path}, {"WATCHDOG_USEC", "100000"}});
  proxyd.start();
  EXPECT_NE(heard(socket, "READY=1"), "");
  for (int i = 0; i < 3; ++i) EXPECT_NE(heard(socket, "WATCHDOG=1"), "");
  EXPECT_EQ(proxyd.stop(), 0);
  EXPECT_NE(heard(socket, "STOPPING=1"), "");
  ::close(socket);
}

TEST_F(Lifecycle, StaleSocketIsReplacedALivingOneIsNot) {
  proxyd.start();
  Process second({kProxyd, "--config", proxyd.config_file()});
  EXPECT_EQ(second.wait(), 1);
  EXPECT_NE(proxyd.log().find(proxyd.socket()), std::string::npos);
  proxyd.signal(SIGKILL);
  EXPECT_EQ(proxyd.wait(), 128 + SIGKILL);
  EXPECT_EQ(::access(proxyd.socket().c_str(), F_OK), 0);  // left behind
  proxyd.start();
  TestApplication application(proxyd);
  EXPECT_NE(application.open(), CK_INVALID_HANDLE);
}

TEST_F(Lifecycle, KilledApplicationLeavesNothingBehind) {
  proxyd.start();
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    TestApplication application(proxyd);
    const auto session = application.open();
    const char logged_in = application.log_in(session, kMockPin) == CKR_OK ? 'y' : 'n';
    static_cast<void>(!::write(ready[1], &logged_in, 1));
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char logged_in = '?';
  EXPECT_EQ(::read(ready[0], &logged_in, 1), 1);
  ::close(ready[0]);
  EXPECT_EQ(logged_in, 'y');
  EXPECT_EQ(proxyd.status()["pools"][0]["logged_in_applications"], 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(eventually([&] {
    const auto status = proxyd.status();
    return status["applications"].empty() && status["pools"][0]["virtual_sessions"] == 0 &&
           status["pools"][0]["logged_in_applications"] == 0;
  }));
  TestApplication next(proxyd);
  EXPECT_EQ(next.log_in(next.open(), "wrong"), CKR_PIN_INCORRECT);
}

// A shim gives up a connection that failed it; the application goes on with another, logged in as it was.
TEST_F(Lifecycle, ApplicationThatComesBackAtOnceIsStillLoggedIn) {
  proxyd.start();
  Hello hello = RawPeer::proper_hello(9);
  CK_SESSION_HANDLE session = 0;
  {
    RawPeer peer(proxyd);
    const auto greeting = peer.greet(hello);
    ASSERT_TRUE(greeting);
    hello.secret = greeting->secret;
    session = peer.open_session();
    Buffer login;
    Out out(login);
    out.uint(CKU_USER);
    out.bin(reinterpret_cast<const std::uint8_t*>(kMockPin), std::strlen(kMockPin));
    peer.send(RawPeer::request(number_of<&CK_FUNCTION_LIST_3_0::C_Login>(), {session}, login.bytes()));
    ASSERT_EQ(peer.answer()->rv, CKR_OK);
  }
  RawPeer peer(proxyd);
  const auto greeting = peer.greet(hello);
  ASSERT_TRUE(greeting);
  EXPECT_TRUE(greeting->resumed);
  EXPECT_EQ(proxyd.status()["pools"][0]["logged_in_applications"], 1);
  peer.send(RawPeer::request(number_of<&CK_FUNCTION_LIST_3_0::C_Logout>(), {session}));
  EXPECT_EQ(peer.answer()->rv, CKR_OK);
}

// With no descriptors left it serves those it has, and the others when some are free again.
TEST_F(Lifecycle, WhoCannotBeAcceptedWaits) {
#ifdef P11SHIM_SANITIZED
  GTEST_SKIP() << "UBSan asks the kernel through a pipe whether an object can be read, and fails without descriptors";
#endif
  const std::string script = "ulimit -n 100; exec " + kProxyd + " --config " + proxyd.config_file();
  Process process({"/bin/sh", "-c", script});
  ASSERT_TRUE(eventually([&] { return ::access(proxyd.socket().c_str(), F_OK) == 0; }));
  ASSERT_TRUE(eventually([&] { return proxyd.log().find("applications connect to") != std::string::npos; }));
  std::vector<std::unique_ptr<RawPeer>> peers;
  std::size_t served = 0;
  const auto connect = [&] {
    Hello hello = RawPeer::proper_hello();
    hello.instance[0] = static_cast<std::uint8_t>(peers.size());
    Buffer out;
    write_hello(out, hello);
    peers.push_back(std::make_unique<RawPeer>(proxyd));
    peers.back()->send(out);
  };
  for (int i = 0; i < 120; ++i) connect();
  ASSERT_TRUE(eventually([&] { return proxyd.log().find("no connection can be accepted") != std::string::npos; }))
      << proxyd.log();
  // Those in front make room for those behind.
  while (!peers.empty()) {
    served += peers.front()->receive().has_value();
    peers.erase(peers.begin());
  }
  EXPECT_EQ(served, 120u);
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), 0);
}

// However many connect: who is served goes on being served, also by a worker that has to be started then.
TEST_F(Lifecycle, ConnectionsLeaveDescriptorsForWorkers) {
#ifdef P11SHIM_SANITIZED
  GTEST_SKIP() << "UBSan asks the kernel through a pipe whether an object can be read, and fails without descriptors";
#endif
  const std::string script = "ulimit -n 200; exec " + kProxyd + " --config " + proxyd.config_file();
  Process process({"/bin/sh", "-c", script});
  ASSERT_TRUE(eventually([&] { return proxyd.log().find("applications connect to") != std::string::npos; }));
  TestApplication application(proxyd), stranger(proxyd);
  const auto session = application.open(), other = stranger.open();
  ASSERT_EQ(application.log_in(session, kMockPin), CKR_OK);
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (int i = 0; i < 220; ++i) {
    Hello hello = RawPeer::proper_hello();
    hello.instance[0] = static_cast<std::uint8_t>(i);
    Buffer out;
    write_hello(out, hello);
    peers.push_back(std::make_unique<RawPeer>(proxyd));
    peers.back()->send(out);
  }
  ASSERT_TRUE(eventually([&] { return proxyd.log().find("no connection can be accepted") != std::string::npos; }))
      << proxyd.log();

  const auto works = [](const TestApplication& each, CK_SESSION_HANDLE in) {
    CK_BYTE random[16];
    return each->C_GenerateRandom(in, random, sizeof random) == CKR_OK;
  };
  EXPECT_TRUE(works(application, session));
  for (const char* domain : {"user", "public", "user"}) {
    const pid_t before = proxyd.worker_pid(domain);
    ASSERT_GT(before, 0) << domain;
    ::kill(before, SIGKILL);
    EXPECT_TRUE(eventually([&] {
      return works(application, session) && works(stranger, other) && proxyd.worker_pid(domain) != before;
    })) << domain
        << proxyd.log();
  }
  EXPECT_EQ(proxyd.log().find("Too many open files"), std::string::npos) << proxyd.log();
  peers.clear();
  EXPECT_TRUE(eventually([&] { return RawPeer(proxyd).greet(RawPeer::proper_hello(7)).has_value(); }));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(), 0);
}

TEST_F(Lifecycle, OneUserCannotTakeAllConnections) {
  proxyd.write_config("listen.max_connections_per_user = 5\n" + mock.config());
  proxyd.start();
  std::vector<std::unique_ptr<RawPeer>> peers;
  for (std::uint8_t i = 1; i <= 5; ++i)
    EXPECT_TRUE(peers.emplace_back(std::make_unique<RawPeer>(proxyd))->greet(RawPeer::proper_hello(i)));
  EXPECT_TRUE(RawPeer(proxyd).closed());
  EXPECT_NE(proxyd.log().find("max_connections_per_user"), std::string::npos);
  peers.pop_back();
  EXPECT_TRUE(eventually([&] { return RawPeer(proxyd).greet(RawPeer::proper_hello(7)).has_value(); }));
}

TEST_F(Lifecycle, HoldsTwoThousandConnections) {
  proxyd.start();
  TestApplication application(proxyd);
  const auto session = application.open();
  std::vector<std::unique_ptr<RawPeer>> peers;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 3000) GTEST_SKIP() << "not enough file descriptors";
  for (int i = 0; i < 2000; ++i) {
    Hello hello = RawPeer::proper_hello();
    hello.instance[0] = static_cast<std::uint8_t>(i);
    hello.instance[1] = static_cast<std::uint8_t>(i >> 8);
    ASSERT_TRUE(peers.emplace_back(std::make_unique<RawPeer>(proxyd))->greet(hello)) << i;
  }
  EXPECT_EQ(proxyd.status()["applications"].size(), 2001u);
  CK_BYTE bytes[16];
  EXPECT_EQ(application->C_GenerateRandom(session, bytes, sizeof bytes), CKR_OK);
  peers.clear();
  EXPECT_TRUE(eventually([&] { return proxyd.status()["applications"].size() == 1; }));
}

TEST_F(Lifecycle, DevModeThatCannotStartLeavesNothingBehind) {
  const compare::PrivateDirectory directory;
  Process dev({kProxyd, "--dev"}, {{"TMPDIR", directory.path().string()}, {"PATH", "/nonexistent"}});
  EXPECT_NE(dev.wait(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST_F(Lifecycle, CheckSaysWhetherAConfigurationIsGood) {
  Process good({kProxyd, "--check", "--config", proxyd.config_file()});
  EXPECT_EQ(good.wait(), 0) << good.err;
  EXPECT_NE(good.out.find("The configuration is good."), std::string::npos);
  for (const char* wrong :
       {"listen.unixx = \"/tmp/x\"\n", "[[pool]]\nname = \"p\"\nmembers = [\"nobody\"]\n", "= nonsense\n"}) {
    proxyd.write_config(wrong);
    Process bad({kProxyd, "--check", "--config", proxyd.config_file()});
    EXPECT_EQ(bad.wait(), 3) << wrong;
    EXPECT_NE(bad.err.find(proxyd.config_file()), std::string::npos) << bad.err;
  }
  Process missing({kProxyd, "--check", "--config", (proxyd.path() / "missing.toml").string()});
  EXPECT_EQ(missing.wait(), 3);
}

// One pool on the mock, another on something that is no usable module: the first is served, the log names the other.
class BadModule : public Lifecycle {
 protected:
  void expect_refused(const std::string& path, const std::string& environment = {}) {
    proxyd.write_config(mock.config() + "[[module]]\nname = \"bad\"\npath = \"" + path + "\"\ncheck_owner = false\n" +
                        environment +
                        "\n[[member]]\nname = \"broken\"\nmodule = \"bad\"\ntoken_label = \"mock-1\"\nrestart_backoff "
                        "= { min = \"1ms\", max = \"20ms\" }\n"
                        "[[pool]]\nname = \"broken\"\nslot = 5\nmembers = [\"broken\"]\n");
    proxyd.start();
    TestApplication application(proxyd);
    EXPECT_NE(application.open(), CK_INVALID_HANDLE);
    CK_TOKEN_INFO info{};
    EXPECT_NE(application->C_GetTokenInfo(5, &info), CKR_OK);
    EXPECT_TRUE(eventually([&] {
      return proxyd.log().find("worker broken/public did not start") != std::string::npos;
    })) << proxyd.log();
  }
};

TEST_F(BadModule, Missing) { expect_refused((proxyd.path() / "missing.so").string()); }

TEST_F(BadModule, NotAModule) {
  const std::string library = system_library("libm.so.6");
  ASSERT_TRUE(std::filesystem::exists(library)) << library;
  expect_refused(library);
  EXPECT_NE(proxyd.log().find("it does not export C_GetFunctionList"), std::string::npos) << proxyd.log();
}

TEST_F(BadModule, Script) {
  const auto script = proxyd.path() / "script.so";
  std::ofstream(script) << "#!/bin/sh\n";
  expect_refused(script.string());
}

TEST_F(BadModule, OtherArchitecture) {
  const auto other = proxyd.path() / "other.so";
  std::filesystem::copy_file(build_dir() + "/tests/libp11mock.so", other);
  std::fstream file(other, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(18);              // e_machine
  file.put('\x08').put('\0');  // MIPS
  file.close();
  expect_refused(other.string());
}

TEST_F(BadModule, FunctionListOfVersionOne) {
  const ControlFile old(proxyd.path(), "module version=1.0");
  expect_refused(build_dir() + "/tests/libp11mock-2.so",
                 "environment = { P11MOCK_CONTROL = \"" + old.path().string() + "\" }");
}

}  // namespace
}  // namespace p11shim

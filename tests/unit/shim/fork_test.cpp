// Children: an application of their own that goes on where the parent was, or none at all, as configured.
#include <csignal>
#include <thread>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shim_test.h"

extern char** environ;

namespace p11shim {
namespace {

// Runs `body` in a forked child; its result is the child's exit status, 0 to 127. A child that hangs is
// killed.
int in_child(const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGALRM, SIG_DFL);
    alarm(60);
    _exit(body());
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class Fork : public ShimTest {
 protected:
  void start(const std::string& more = {}) {
    configure(more);
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }
  CK_SESSION_HANDLE session_ = 0;
};

TEST_F(Fork, AChildInheritsByProvingItsDescent) {
  start();
  EXPECT_EQ(in_child([&] {
              if (C_Initialize(nullptr) != CKR_CRYPTOKI_ALREADY_INITIALIZED) return 1;
              if (random(session_) != CKR_OK) return 2;
              if (C_Finalize(nullptr) != CKR_OK) return 3;
              return C_Initialize(nullptr) == CKR_OK ? 0 : 4;
            }),
            0);
  const auto greetings = proxyd_.greetings();
  ASSERT_EQ(greetings.size(), 3u);
  EXPECT_NE(greetings[1].instance, greetings[0].instance);
  EXPECT_EQ(greetings[1].parent, greetings[0].instance);
  EXPECT_NE(greetings[1].secret, Id128{});
  EXPECT_TRUE(greetings[1].resumed);
  EXPECT_EQ(greetings[2].parent, Id128{}) << "after C_Finalize and C_Initialize it is nobody's child";
  EXPECT_EQ(greetings[2].secret, Id128{});
}

TEST_F(Fork, TheParentGoesOnWithItsOwnConnection) {
  start();
  EXPECT_EQ(in_child([&] { return random(session_) == CKR_OK && C_Finalize(nullptr) == CKR_OK ? 0 : 1; }), 0);
  EXPECT_EQ(random(session_), CKR_OK);
  const auto greetings = proxyd_.greetings();
  EXPECT_EQ(greetings.size(), 2u) << "one for each process";
}

TEST_F(Fork, AChildThatNeverCallsDisturbsNobody) {
  start();
  EXPECT_EQ(in_child([] { return 0; }), 0);
  EXPECT_EQ(random(session_), CKR_OK);
  EXPECT_EQ(proxyd_.greetings().size(), 1u);
}

TEST_F(Fork, AGrandchildOfASilentChildIsAChild) {
  start();
  EXPECT_EQ(in_child([&] { return in_child([&] { return random(session_) == CKR_OK ? 0 : 1; }); }), 0);
  const auto greetings = proxyd_.greetings();
  ASSERT_EQ(greetings.size(), 2u);
  EXPECT_EQ(greetings[1].parent, greetings[0].instance);
}

TEST_F(Fork, AGrandchildOfAnActiveChildIsThatChilds) {
  start();
  EXPECT_EQ(in_child([&] {
              if (random(session_) != CKR_OK) return 1;
              return in_child([&] { return random(session_) == CKR_OK ? 0 : 2; });
            }),
            0);
  const auto greetings = proxyd_.greetings();
  ASSERT_EQ(greetings.size(), 3u);
  EXPECT_EQ(greetings[2].parent, greetings[1].instance);
}

TEST_F(Fork, AChildKeepsItsParentKnownUntilItHasProvedItsDescent) {
  start();
  // A daemon: the parent is gone (it leaves without C_Finalize) before the child makes its first call.
  EXPECT_EQ(in_child([&] {
              C_Finalize(nullptr);
              if (C_Initialize(nullptr) != CKR_OK) return 1;
              const CK_SESSION_HANDLE session = open_session();
              int ready[2];
              if (pipe(ready) != 0) return 2;
              if (fork() == 0) {
                alarm(60);
                char byte;
                close(ready[1]);
                if (read(ready[0], &byte, 1) != 0) _exit(1);  // the end of the file: the parent has exited
                _exit(random(session) == CKR_OK ? 0 : 1);
              }
              return 0;
            }),
            0);
  EXPECT_TRUE(proxyd_.wait_until([&] { return proxyd_.calls(number_of<&F::C_GenerateRandom>()) == 1; }));
  const auto greetings = proxyd_.greetings();
  EXPECT_TRUE(greetings.back().resumed);
  EXPECT_NE(greetings.back().parent, Id128{});
}

TEST_F(Fork, AChildOfAProxydThatHasForgottenTheParentRestoresTheSessions) {
  start();
  proxyd_.stop();
  proxyd_.start();
  const CK_SESSION_HANDLE session = session_;
  EXPECT_EQ(in_child([&] { return random(session) == CKR_OK ? 0 : 1; }), 0);
  EXPECT_EQ(proxyd_.restored(), std::vector<std::uint64_t>{session});
}

TEST_F(Fork, ARestartIsAPauseForAChildToo) {
  start();
  proxyd_.stop();
  std::thread later([this] { proxyd_.start(); });
  EXPECT_EQ(in_child([&] { return random(session_) == CKR_OK ? 0 : 1; }), 0);
  later.join();
}

TEST_F(Fork, StrictChildrenAreNotInitialized) {
  start("fork = \"strict\"\n");
  EXPECT_EQ(in_child([&] {
              if (random(session_) != CKR_CRYPTOKI_NOT_INITIALIZED) return 1;
              if (C_Finalize(nullptr) != CKR_CRYPTOKI_NOT_INITIALIZED) return 2;
              if (C_Initialize(nullptr) != CKR_OK) return 3;
              return random(open_session()) == CKR_OK ? 0 : 4;
            }),
            0);
  EXPECT_EQ(proxyd_.greetings().back().parent, Id128{});
  EXPECT_EQ(random(session_), CKR_OK);
}

TEST_F(Fork, ChildrenOfAnUninitializedProcessAreNotInitialized) {
  EXPECT_EQ(in_child([&] { return random(1) == CKR_CRYPTOKI_NOT_INITIALIZED ? 0 : 1; }), 0);
  start();
  C_Finalize(nullptr);
  EXPECT_EQ(in_child([&] { return random(1) == CKR_CRYPTOKI_NOT_INITIALIZED ? 0 : 1; }), 0);
}

// Whatever locks the parent's threads hold at the moment of the fork, no child may wait for them.
TEST_F(Fork, ChildrenForkedInTheMiddleOfOtherThreadsCallsWork) {
  start();
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!done) {
        CK_SESSION_HANDLE session = 0;
        EXPECT_EQ(C_OpenSession(5, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_OK);
        EXPECT_EQ(random(session), CKR_OK);
        EXPECT_EQ(C_CloseSession(session), CKR_OK);
      }
    });
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(in_child([&] { return random(session_) == CKR_OK && C_Finalize(nullptr) == CKR_OK ? 0 : 1; }), 0);
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Fork, SpawnedProgramsInheritNoDescriptors) {
  start();
  char program[] = "sh", option[] = "-c", script[] = "! ls -l /proc/self/fd | grep -q socket";
  char* arguments[] = {program, option, script, nullptr};
  pid_t child;
  ASSERT_EQ(posix_spawnp(&child, "sh", nullptr, nullptr, arguments, environ), 0);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(random(session_), CKR_OK);
}

}  // namespace
}  // namespace p11shim

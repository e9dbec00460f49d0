// Small messages through shared memory, with everybody looking for them before sleeping: calls come out right, whoever dies or
// comes back, and what a hostile application can do with it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>
#include <thread>

#include "application.h"
#include "configs.h"
#include "raw_peer.h"
#include "wire/ring.h"

namespace p11shim {
namespace {

using List = CK_FUNCTION_LIST_3_0;
constexpr int kMany = 200;  // calls

std::size_t rings_of(pid_t process) {
  std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);)
    count += line.find("memfd:p11shim-rings") != std::string::npos ? 1 : 0;
  return count;
}
std::size_t own_rings() { return rings_of(::getpid()); }

// Runs twice: sleeping at once, and looking for 200 µs first.
class RingsTest : public testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    ::unsetenv("P11SHIM_RINGS");
    std::ofstream(shim) << "spin = " << GetParam() << "\n";
    ::chmod(shim.c_str(), 0600);
    proxyd.start();
    application.emplace(proxyd);
    configure(*application);
    session = application->open();
  }
  // It began with an empty configuration.
  void configure(const TestApplication& who) {
    EXPECT_EQ(who->C_Finalize(nullptr), CKR_OK);
    ::setenv("P11SHIM_CONF", shim.c_str(), 1);
    EXPECT_EQ(who->C_Initialize(nullptr), CKR_OK);
  }
  static CK_RV draw(const TestApplication& who, CK_SESSION_HANDLE where) {
    CK_BYTE bytes[32];
    return who->C_GenerateRandom(where, bytes, sizeof bytes);
  }
  void call_often() {
    for (int i = 0; i < kMany; ++i) ASSERT_EQ(draw(*application, session), CKR_OK) << i;
  }

  compare::PrivateDirectory directory;
  const std::string shim = (directory.path() / "shim.toml").string();
  MockModule mock;
  PrivateProxyd proxyd{
      mock.config("lanes = 2\nmax_stuck_lanes = 2", "", "deadline = \"500ms\"\nspin = " + std::to_string(GetParam()))};
  std::optional<TestApplication> application;
  CK_SESSION_HANDLE session = 0;
};

TEST_P(RingsTest, CarryCallsOfSeveralThreads) {
  call_often();
  EXPECT_EQ(own_rings(), 1u);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i)
    threads.emplace_back([&] {
      const CK_SESSION_HANDLE own = application->open();
      for (int round = 0; round < kMany; ++round) EXPECT_EQ(draw(*application, own), CKR_OK);
    });
  for (std::thread& thread : threads) thread.join();
  call_often();
  EXPECT_GE(own_rings(), 1u);
  EXPECT_LE(own_rings(), 7u);
  EXPECT_EQ(rings_of(proxyd.pid()), own_rings() + 1) << "one of them is the worker's";
}

TEST_P(RingsTest, AShortLifeNeedsNone) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(draw(*application, session), CKR_OK);
  EXPECT_EQ(own_rings(), 0u);
}

TEST_P(RingsTest, AProxydThatWasRestartedGivesOthers) {
  call_often();
  proxyd.restart();
  call_often();
  EXPECT_EQ(own_rings(), 1u);
}

TEST_P(RingsTest, AProxydThatWasKilledIsNoticed) {
  call_often();
  proxyd.signal(SIGKILL);
  proxyd.wait();
  proxyd.start();
  EXPECT_TRUE(eventually([&] { return draw(*application, session) == CKR_OK; }));
  call_often();
}

TEST_P(RingsTest, AWorkerThatWasKilledIsReplaced) {
  call_often();
  const pid_t before = proxyd.worker_pid("public");
  proxyd.kill_worker("public");
  EXPECT_TRUE(eventually([&] { return proxyd.worker_pid("public") != before; }));
  EXPECT_TRUE(eventually([&] { return draw(*application, session) == CKR_OK; }));
  call_often();
}

TEST_P(RingsTest, AWorkerThatDiesInACallFailsIt) {
  call_often();
  mock.rules.set("C_GenerateRandom crash=segv times=1");
  EXPECT_NE(draw(*application, session), CKR_OK);
  EXPECT_TRUE(eventually([&] { return draw(*application, session) == CKR_OK; }));
}

TEST_P(RingsTest, AnApplicationThatIsKilledIsCleanedUpAfter) {
  const pid_t child = ::fork();
  if (child == 0) {
    TestApplication own(proxyd);
    configure(own);
    const CK_SESSION_HANDLE where = own.open();
    for (int i = 0; i < kMany; ++i)
      if (draw(own, where) != CKR_OK) ::_exit(1);
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(eventually([&] { return proxyd.status()["result"]["applications"].size() <= 1; }));
  call_often();
}

TEST_P(RingsTest, AForkedChildHasItsOwn) {
  call_often();
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = own_rings() == 0;
    for (int i = 0; i < kMany && good; ++i) good = draw(*application, session) == CKR_OK;
    ::_exit(good && own_rings() == 1 ? 0 : 1);
  }
  call_often();
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  call_often();
}

INSTANTIATE_TEST_SUITE_P(Spin, RingsTest, testing::Values(0, 200));

class HostileRings : public RingsTest {
 protected:
  CK_SESSION_HANDLE begin(RawPeer& peer, std::uint8_t instance) {
    EXPECT_TRUE(peer.greet(RawPeer::proper_hello(instance)));
    return peer.open_session();
  }
  static Buffer random_request(CK_SESSION_HANDLE own) {
    Buffer body;
    Out(body).uint(8);
    return RawPeer::request(number_of<&List::C_GenerateRandom>(), {own}, body.bytes());
  }
};

TEST_P(HostileRings, ThereAreSomeForEachConnection) {
  RawPeer peer(proxyd);
  begin(peer, 50);
  const int memory = peer.ask_for_rings();
  ASSERT_GE(memory, 0);
  EXPECT_NE(::ftruncate(memory, 0), 0);
  EXPECT_LT(peer.ask_for_rings(), 0);
  EXPECT_TRUE(peer.closed());
  ::close(memory);
}

TEST_P(HostileRings, ARequestInEachPlaceIsOneTooMany) {
  RawPeer peer(proxyd);
  const CK_SESSION_HANDLE own = begin(peer, 51);
  const int memory = peer.ask_for_rings();
  Rings rings;
  ASSERT_TRUE(rings.map(memory, 1));
  ::close(memory);
  rings.memory()[0].size = 0;
  rings.memory()[0].state = 2;  // full
  peer.send(random_request(own));
  EXPECT_TRUE(peer.closed());
  call_often();
}

TEST_P(HostileRings, AnythingMayBeWrittenThereAtAnyTime) {
  for (std::uint8_t round = 0; round < 30; ++round) {
    RawPeer peer(proxyd);
    const CK_SESSION_HANDLE own = begin(peer, static_cast<std::uint8_t>(60 + round));
    const int memory = peer.ask_for_rings();
    Rings rings;
    ASSERT_TRUE(rings.map(memory, 1));
    ::close(memory);
    std::atomic<bool> goes_on{true};
    std::thread writer([&, value = std::uint32_t{round}]() mutable {
      while (goes_on) {
        value = value * 1664525 + 1013904223;
        RingMemory& ring = rings.memory()[value & 1];
        ring.size = value >> 18;
        __atomic_store_n(&ring.words[value % 16], std::uint64_t{value} * value, __ATOMIC_RELAXED);
        ring.core = ring.beyond = value >> 5;
        ring.state = (value >> 3) % 4;
        std::this_thread::yield();
      }
    });
    // A reply may be lost in the ring: that is the sender's own loss.
    for (int i = 0; i < 20; ++i) {
      peer.send(random_request(own));
      ASSERT_EQ(draw(*application, session), CKR_OK);
    }
    goes_on = false;
    writer.join();
  }
  call_often();
  EXPECT_TRUE(proxyd.alive());
}

// The bell is one for both sides: who has it can make it block, and read what proxyd is told of. Nobody else waits for that.
TEST_P(HostileRings, ABellThatIsReadAwayKeepsNobodyWaiting) {
  RawPeer peer(proxyd);
  begin(peer, 52);
  const int memory = peer.ask_for_rings();
  const int bell = peer.ask_for_bell();
  ASSERT_GE(bell, 0);
  ::close(memory);
  ASSERT_EQ(::fcntl(bell, F_SETFL, 0), 0);
  std::atomic<bool> goes_on{true};
  const auto ring = [bell] {
    constexpr std::uint64_t kOne = 1;
    return ::write(bell, &kOne, sizeof kOne) == sizeof kOne;
  };
  std::thread ringer([&] {
    while (goes_on && ring()) {
    }
  });
  std::thread reader([&] {
    std::uint64_t count = 0;
    while (goes_on && ::read(bell, &count, sizeof count) == sizeof count) {
    }
  });
  auto bystander = std::async(std::launch::async, [this, &goes_on] {
    for (int i = 0; i < 50 && goes_on; ++i) call_often();
  });
  const bool answered = bystander.wait_for(kPatience) == std::future_status::ready;
  EXPECT_TRUE(answered);
  goes_on = false;
  if (!answered) proxyd.signal(SIGKILL);  // or the call under way lasts for ever
  ringer.join();
  EXPECT_TRUE(ring());  // for a reader that waits
  reader.join();
  bystander.wait();
  ::close(bell);
}

INSTANTIATE_TEST_SUITE_P(Spin, HostileRings, testing::Values(0, 200));

TEST(RingsOff, EverythingTakesTheSockets) {
  ::unsetenv("P11SHIM_RINGS");
  MockModule mock;
  PrivateProxyd proxyd(mock.config("", "", "rings = false"));
  proxyd.start();
  TestApplication application(proxyd);
  const CK_SESSION_HANDLE session = application.open();
  CK_BYTE bytes[8];
  for (int i = 0; i < kMany; ++i) ASSERT_EQ(application->C_GenerateRandom(session, bytes, sizeof bytes), CKR_OK);
  EXPECT_EQ(own_rings(), 0u);
  EXPECT_EQ(rings_of(proxyd.pid()), 0u);
}

}  // namespace
}  // namespace p11shim

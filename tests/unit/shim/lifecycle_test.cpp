// C_Initialize, C_Finalize and what stands between them.
#include <thread>

#include "shim_test.h"

namespace p11shim {
namespace {

class Lifecycle : public ShimTest {};

TEST_F(Lifecycle, BeforeInitializeNothingWorks) {
  CK_INFO info;
  CK_ULONG count;
  EXPECT_EQ(C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_GetSlotList(CK_FALSE, nullptr, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_GetSlotList(CK_FALSE, nullptr, nullptr), CKR_CRYPTOKI_NOT_INITIALIZED) << "arguments come second";
  EXPECT_EQ(C_Sign(1, nullptr, 0, nullptr, nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_WaitForSlotEvent(CKF_DONT_BLOCK, nullptr, nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_Finalize(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_TRUE(proxyd_.greetings().empty());
}

TEST_F(Lifecycle, CanBeRepeated) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    EXPECT_EQ(C_Initialize(nullptr), CKR_CRYPTOKI_ALREADY_INITIALIZED);
    EXPECT_EQ(random(open_session()), CKR_OK);
    ASSERT_EQ(C_Finalize(nullptr), CKR_OK);
  }
  EXPECT_EQ(proxyd_.goodbyes(), 20u);
  const auto greetings = proxyd_.greetings();
  ASSERT_EQ(greetings.size(), 20u);
  EXPECT_NE(greetings[0].instance, greetings[1].instance) << "each C_Initialize is a new application";
}

TEST_F(Lifecycle, InitializeChecksItsArgumentsUnlessInitialized) {
  int something;
  CK_STANDARD_INITIALIZE_ARGS reserved{nullptr, nullptr, nullptr, nullptr, CKF_OS_LOCKING_OK, &something};
  EXPECT_EQ(C_Initialize(&reserved), CKR_ARGUMENTS_BAD);
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(C_Initialize(&reserved), CKR_CRYPTOKI_ALREADY_INITIALIZED);
}

TEST_F(Lifecycle, FinalizeRefusesAReservedArgument) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  int something;
  EXPECT_EQ(C_Finalize(&something), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(random(open_session()), CKR_OK);
}

TEST_F(Lifecycle, InfoIsOurs) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(C_GetInfo(nullptr), CKR_ARGUMENTS_BAD);
  CK_INFO info;
  std::memset(&info, 0xff, sizeof info);
  ASSERT_EQ(C_GetInfo(&info), CKR_OK);
  EXPECT_EQ(info.cryptokiVersion.major, 2);
  EXPECT_EQ(info.cryptokiVersion.minor, 40);
  EXPECT_EQ(info.flags, 0u);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(info.manufacturerID), 32), "p11shim" + std::string(25, ' '));
}

TEST_F(Lifecycle, WaitForSlotEventWithoutBlockingSeesNone) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  CK_SLOT_ID slot;
  int something;
  EXPECT_EQ(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, nullptr), CKR_NO_EVENT);
  EXPECT_EQ(C_WaitForSlotEvent(CKF_DONT_BLOCK, nullptr, nullptr), CKR_ARGUMENTS_BAD);
  EXPECT_EQ(C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &something), CKR_ARGUMENTS_BAD);
}

TEST_F(Lifecycle, FinalizeEndsAWaitForSlotEvent) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  std::atomic<bool> started{false};
  CK_RV rv = CKR_OK;
  std::thread waiter([&] {
    CK_SLOT_ID slot;
    started = true;
    rv = C_WaitForSlotEvent(0, &slot, nullptr);
  });
  EXPECT_TRUE(proxyd_.wait_until([&] { return started.load(); }));
  EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
  waiter.join();
  EXPECT_EQ(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
}

TEST_F(Lifecycle, FinalizeEndsCallsInProgress) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  const CK_SESSION_HANDLE session = open_session();
  std::atomic<int> waiting{0};
  std::atomic<bool> released{false};
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [&](const Request&) -> std::optional<FakeProxyd::Answer> {
    ++waiting;
    proxyd_.wait_until([&] { return released.load(); });
    return std::nullopt;
  });
  CK_RV rvs[4] = {};
  std::vector<std::thread> callers;
  for (CK_RV& rv : rvs) callers.emplace_back([&] { rv = random(session); });
  EXPECT_TRUE(proxyd_.wait_until([&] { return waiting == 4; }));
  EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
  for (std::thread& caller : callers) caller.join();
  released = true;
  for (const CK_RV rv : rvs) EXPECT_EQ(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  proxyd_.stop();  // its threads still look at what is about to go out of scope
}

TEST_F(Lifecycle, FinalizeReturnsWhenProxydHasClosedEveryConnection) {
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  std::atomic<int> inside{0};
  proxyd_.on(number_of<&F::C_CloseSession>(), [&](const Request&) {
    ++inside;
    EXPECT_TRUE(proxyd_.wait_until([&] { return inside >= 3; }));
    return FakeProxyd::Answer{};
  });
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) callers.emplace_back([] { EXPECT_EQ(C_CloseSession(1), CKR_OK); });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(proxyd_.open_connections(), 3u);
  EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
  EXPECT_EQ(proxyd_.goodbyes(), 3u);
}

TEST_F(Lifecycle, RacesOfEverythingEndWell) {
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!done) {
        const CK_RV rv = random(1);
        EXPECT_TRUE(rv == CKR_OK || rv == CKR_CRYPTOKI_NOT_INITIALIZED) << rv;
      }
    });
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(C_Initialize(nullptr), CKR_OK);
    EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
  }
  done = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Lifecycle, InitializeFromManyThreadsSucceedsOnce) {
  std::atomic<int> succeeded{0}, refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      const CK_RV rv = C_Initialize(nullptr);
      (rv == CKR_OK ? succeeded : refused) += rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
      EXPECT_EQ(random(1), CKR_OK) << "whoever is told that it is initialised can use it";
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(succeeded, 1);
  EXPECT_EQ(refused, 7);
}

}  // namespace
}  // namespace p11shim

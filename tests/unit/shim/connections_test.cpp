// Connections: how many, what happens when they break, and what comes back from a proxyd that was restarted.
#include <cerrno>
#include <csignal>
#include <thread>

#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include "shim_test.h"

namespace p11shim {
namespace {

class Connections : public ShimTest {
 protected:
  void SetUp() override {
    ShimTest::SetUp();
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  }
};

TEST_F(Connections, OneCallerUsesOne) {
  const CK_SESSION_HANDLE session = open_session();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(random(session), CKR_OK);
  EXPECT_EQ(proxyd_.greetings().size(), 1u);
}

TEST_F(Connections, EachConcurrentCallerHasItsOwn) {
  constexpr int kCallers = 5;
  std::atomic<int> inside{0};
  proxyd_.on(number_of<&F::C_CloseSession>(), [&](const Request&) {
    ++inside;
    EXPECT_TRUE(proxyd_.wait_until([&] { return inside >= kCallers; }));
    return FakeProxyd::Answer{};
  });
  for (int round = 0; round < 3; ++round) {
    inside = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < kCallers; ++i) callers.emplace_back([] { EXPECT_EQ(C_CloseSession(1), CKR_OK); });
    for (std::thread& caller : callers) caller.join();
  }
  const auto greetings = proxyd_.greetings();
  ASSERT_EQ(greetings.size(), std::size_t{kCallers}) << "and they are used again";
  for (const auto& greeting : greetings) EXPECT_EQ(greeting.instance, greetings[0].instance);
  EXPECT_EQ(greetings[0].secret, Id128{});
  for (std::size_t i = 1; i < greetings.size(); ++i) {
    EXPECT_NE(greetings[i].secret, Id128{}) << "later ones show the secret";
    EXPECT_TRUE(greetings[i].resumed);
  }
}

TEST_F(Connections, AConnectionThatBrokeWhileIdleIsReplaced) {
  const CK_SESSION_HANDLE session = open_session();
  proxyd_.hang_up();
  EXPECT_TRUE(proxyd_.wait_until([&] { return proxyd_.open_connections() == 0; }));
  EXPECT_EQ(random(session), CKR_OK);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_GenerateRandom>()), 1u);
  EXPECT_TRUE(proxyd_.restored().empty()) << "this proxyd still knew the sessions";
}

TEST_F(Connections, ARestartedProxydIsToldTheOpenSessions) {
  const CK_SESSION_HANDLE first = open_session(), second = open_session(), third = open_session();
  EXPECT_EQ(C_CloseSession(second), CKR_OK);
  proxyd_.stop();
  proxyd_.start();
  EXPECT_EQ(random(first), CKR_OK);
  auto restored = proxyd_.restored();
  std::sort(restored.begin(), restored.end());
  EXPECT_EQ(restored, (std::vector<std::uint64_t>{first, third}));
  const auto greetings = proxyd_.greetings();
  EXPECT_EQ(greetings.back().instance, greetings.front().instance);
  EXPECT_NE(greetings.back().secret, Id128{});
}

TEST_F(Connections, CloseAllSessionsLeavesNothingToRestore) {
  open_session();
  open_session();
  EXPECT_EQ(C_CloseAllSessions(5), CKR_OK);
  proxyd_.stop();
  proxyd_.start();
  EXPECT_EQ(random(1), CKR_OK);
  EXPECT_TRUE(proxyd_.restored().empty());
}

TEST_F(Connections, ARestartIsAPauseAndNotAnError) {
  const CK_SESSION_HANDLE session = open_session();
  proxyd_.stop();
  std::thread later([this] { proxyd_.start(); });
  EXPECT_EQ(random(session), CKR_OK);
  later.join();
}

TEST_F(Connections, ABreakDuringACallIsADeviceError) {
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [](const Request&) { return std::nullopt; });
  EXPECT_EQ(random(1), CKR_DEVICE_ERROR);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_GenerateRandom>()), 1u) << "what may have happened is not repeated";
  EXPECT_EQ(C_CloseSession(1), CKR_OK) << "the next call has a new connection";
  ASSERT_EQ(log_lines().size(), 1u);
  EXPECT_NE(log_lines()[0].find("C_GenerateRandom: the connection to proxyd broke"), std::string::npos)
      << log_lines()[0];
}

struct Malformed {
  const char* name;
  FakeProxyd::Answer answer;
};
void PrintTo(const Malformed& malformed, std::ostream* to) { *to << malformed.name; }
class MalformedReplies : public Connections, public ::testing::WithParamInterface<Malformed> {};

TEST_P(MalformedReplies, AreADeviceErrorAndTouchNothing) {
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [](const Request&) { return GetParam().answer; });
  CK_BYTE bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  EXPECT_EQ(C_GenerateRandom(1, bytes, sizeof bytes), CKR_DEVICE_ERROR);
  for (CK_BYTE i = 0; i < 8; ++i) EXPECT_EQ(bytes[i], i + 1);
  EXPECT_EQ(C_CloseSession(1), CKR_OK) << "the next call has a new connection";
  EXPECT_EQ(proxyd_.greetings().size(), 2u);
}
const std::vector<std::uint8_t> kEight{0xc4, 8, 9, 9, 9, 9, 9, 9, 9, 9};
INSTANTIATE_TEST_SUITE_P(
    Connections, MalformedReplies,
    ::testing::Values(Malformed{"OfAnotherRequest", {.body = kEight, .id_offset = 1}},
                      Malformed{"WithTooFewBytes", {.body = {0xc4, 1, 9}}},
                      Malformed{"WithTooManyBytes", {.body = {0xc4, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}}},
                      Malformed{"WithoutBody", {.body = {}}}, Malformed{"WithAnEmptyFrame", {.raw = {0, 0, 0, 0}}},
                      Malformed{"WithAnotherKindOfFrame", {.raw = {2, 0, 0, 0, 0x91, 5}}},
                      Malformed{"WithAnEndlessFrame", {.raw = {0xff, 0xff, 0xff, 0xff, 0x98}}},
                      Malformed{"WithBytesBehindTheFrame", {.raw = {1, 0, 0, 0, 0x98, 0x02}}},
                      Malformed{"ThatEndInTheMiddle", {.is_last = true, .raw = {100, 0, 0, 0, 0x98, 0x02}}}),
    [](const auto& test) { return test.param.name; });

TEST_F(Connections, AReplyWithHandlesThatNobodyAskedForIsADeviceError) {
  proxyd_.on(number_of<&F::C_GenerateRandom>(),
             [](const Request&) { return FakeProxyd::Answer{.handles = {1}, .body = kEight}; });
  EXPECT_EQ(random(1), CKR_DEVICE_ERROR);
}

TEST_F(Connections, AFrameThatProxydDoesNotTakeIsNotSent) {
  C_Finalize(nullptr);
  proxyd_.on_hello([](const Hello&, Welcome& welcome) { welcome.max_frame = 1000; });
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  std::vector<CK_BYTE> data(2000);
  EXPECT_EQ(C_SignUpdate(1, data.data(), data.size()), CKR_DATA_LEN_RANGE);
  EXPECT_EQ(proxyd_.calls(number_of<&F::C_SignUpdate>()), 0u);
  EXPECT_EQ(C_SignUpdate(1, data.data(), 900), CKR_OK);
}

TEST_F(Connections, LargeMessagesTravelWhole) {
  std::vector<CK_BYTE> data(20 << 20);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<CK_BYTE>(i * 7);
  proxyd_.on(number_of<&F::C_Digest>(), [&](const Request& request) {
    In in(request.body);
    const auto bytes = in.bin();
    FakeProxyd::Answer answer;
    Buffer body;
    Out out(body);
    out.uint(bytes.size());
    out.bin(bytes);
    answer.body.assign(body.bytes().begin(), body.bytes().end());
    return answer;
  });
  std::vector<CK_BYTE> echo(data.size());
  CK_ULONG size = echo.size();
  ASSERT_EQ(C_Digest(1, data.data(), data.size(), echo.data(), &size), CKR_OK);
  EXPECT_EQ(size, data.size());
  EXPECT_EQ(echo, data);
}

// In C their parameter is a bare pointer: only the session's Init says what it points to.
TEST_F(Connections, MessageFunctionsCarryTheMechanismOfTheirInit) {
  std::vector<std::uint64_t> types;
  proxyd_.on(number_of<&F::C_EncryptMessageBegin>(), [&](const Request& request) {
    In in(request.body);
    in.array_of(2);
    types.push_back(in.uint());
    FakeProxyd::Answer answer{.rv = CKR_OPERATION_NOT_INITIALIZED};
    return answer;
  });
  const CK_SESSION_HANDLE session = open_session(), other = open_session();
  CK_BYTE iv[12] = {}, tag[16] = {};
  CK_GCM_MESSAGE_PARAMS parameter{iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 128};
  const auto begin = [&](CK_SESSION_HANDLE which) {
    EXPECT_EQ(C_EncryptMessageBegin(which, &parameter, sizeof parameter, nullptr, 0), CKR_OPERATION_NOT_INITIALIZED);
  };
  CK_MECHANISM gcm{CKM_AES_GCM, nullptr, 0};
  FakeProxyd::Answer accepted;
  accepted.body = {0xc0};  // the mechanism's outputs: none
  proxyd_.on(number_of<&F::C_MessageEncryptInit>(), [&](const Request&) { return accepted; });
  begin(session);
  EXPECT_EQ(C_MessageEncryptInit(session, &gcm, 1), CKR_OK);
  begin(session);
  begin(other);
  EXPECT_EQ(C_MessageEncryptFinal(session), CKR_OK);
  begin(session);
  EXPECT_EQ(types, (std::vector<std::uint64_t>{0, CKM_AES_GCM, 0, 0}));
}

TEST_F(Connections, AnApplicationWithoutStandardDescriptorsDoesNotGetOursThere) {
  C_Finalize(nullptr);
  const int kept = dup(STDIN_FILENO);
  close(STDIN_FILENO);
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(random(1), CKR_OK);
  EXPECT_EQ(fcntl(STDIN_FILENO, F_GETFD), -1);
  if (kept >= 0) dup2(kept, STDIN_FILENO);
  if (kept >= 0) close(kept);
}

TEST_F(Connections, ErrnoIsTheApplications) {
  errno = 12345;
  EXPECT_EQ(random(open_session()), CKR_OK);
  EXPECT_EQ(errno, 12345);
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [](const Request&) { return std::nullopt; });
  EXPECT_EQ(random(1), CKR_DEVICE_ERROR);
  EXPECT_EQ(errno, 12345);
}

TEST_F(Connections, SignalsDoNotDisturbACall) {
  struct sigaction before;
  struct sigaction action {};
  action.sa_handler = [](int) {};
  sigaction(SIGALRM, &action, &before);
  const itimerval often{{0, 500}, {0, 500}};
  const itimerval never{};
  setitimer(ITIMER_REAL, &often, nullptr);
  std::vector<CK_BYTE> data(1 << 20);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(random(1), CKR_OK);
    EXPECT_EQ(C_SignUpdate(1, data.data(), data.size()), CKR_OK);
  }
  setitimer(ITIMER_REAL, &never, nullptr);
  sigaction(SIGALRM, &before, nullptr);
}

TEST_F(Connections, AThreadIsCancelledAfterItsCallAndNotInIt) {
  std::atomic<bool> inside{false}, released{false};
  proxyd_.on(number_of<&F::C_GenerateRandom>(), [&](const Request&) {
    inside = true;
    EXPECT_TRUE(proxyd_.wait_until([&] { return released.load(); }));
    return FakeProxyd::Answer{.body = kEight};
  });
  static std::atomic<CK_RV> rv;
  rv = CKR_GENERAL_ERROR;
  pthread_t caller;
  ASSERT_EQ(pthread_create(
                &caller, nullptr,
                [](void*) -> void* {
                  rv = random(1);
                  for (;;) pthread_testcancel();
                },
                nullptr),
            0);
  EXPECT_TRUE(proxyd_.wait_until([&] { return inside.load(); }));
  pthread_cancel(caller);
  released = true;
  void* result = nullptr;
  pthread_join(caller, &result);
  EXPECT_EQ(result, PTHREAD_CANCELED);
  EXPECT_EQ(rv, CKR_OK);
  EXPECT_EQ(C_CloseSession(1), CKR_OK);
}

}  // namespace
}  // namespace p11shim

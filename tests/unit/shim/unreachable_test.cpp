// Without a proxyd: an empty library, or none, and one line in the log.
#include "shim_test.h"

namespace p11shim {
namespace {

class Unreachable : public ShimTest {
 protected:
  void start(const std::string& more, CK_RV expected) {
    proxyd_.stop();
    configure(more);
    EXPECT_EQ(C_Initialize(nullptr), expected);
  }
};

TEST_F(Unreachable, ThereAreNoSlots) {
  start("", CKR_OK);
  CK_ULONG count = 7;
  EXPECT_EQ(C_GetSlotList(CK_TRUE, nullptr, &count), CKR_OK);
  EXPECT_EQ(count, 0u);
  CK_SLOT_ID slots[2] = {9, 9};
  count = 2;
  EXPECT_EQ(C_GetSlotList(CK_FALSE, slots, &count), CKR_OK);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(C_GetSlotList(CK_FALSE, slots, nullptr), CKR_ARGUMENTS_BAD);

  CK_SLOT_INFO slot;
  CK_TOKEN_INFO token;
  CK_SESSION_HANDLE session;
  CK_INFO info;
  EXPECT_EQ(C_GetSlotInfo(5, &slot), CKR_SLOT_ID_INVALID);
  EXPECT_EQ(C_GetTokenInfo(5, &token), CKR_SLOT_ID_INVALID);
  EXPECT_EQ(C_OpenSession(5, CKF_SERIAL_SESSION, nullptr, nullptr, &session), CKR_SLOT_ID_INVALID);
  EXPECT_EQ(C_CloseAllSessions(5), CKR_SLOT_ID_INVALID);
  EXPECT_EQ(C_CloseSession(1), CKR_SESSION_HANDLE_INVALID);
  EXPECT_EQ(random(1), CKR_SESSION_HANDLE_INVALID);
  EXPECT_EQ(C_GetInfo(&info), CKR_OK);
  EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
}

TEST_F(Unreachable, TheLogSaysWhyInOneLine) {
  start("", CKR_OK);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(random(1), CKR_SESSION_HANDLE_INVALID);
  const auto lines = log_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("proxyd cannot be reached: " + proxyd_.endpoint() + ": No such file or directory"),
            std::string::npos)
      << lines[0];
}

TEST_F(Unreachable, InitializeFailsIfToldTo) {
  start("on_unreachable = \"fail\"\n", CKR_DEVICE_ERROR);
  EXPECT_EQ(random(1), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(C_Finalize(nullptr), CKR_CRYPTOKI_NOT_INITIALIZED);
  EXPECT_EQ(log_lines().size(), 1u);
  proxyd_.start();
  EXPECT_EQ(C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(random(open_session()), CKR_OK);
}

TEST_F(Unreachable, AProxydThatComesLaterIsFound) {
  start("", CKR_OK);
  proxyd_.start();
  EXPECT_TRUE(proxyd_.wait_until([] { return random(1) == CKR_OK; }));
}

TEST_F(Unreachable, AProxydThatIsLostIsADeviceError) {
  configure("connect_timeout = \"50ms\"\n");
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  const CK_SESSION_HANDLE session = open_session();
  proxyd_.stop();
  CK_SLOT_INFO slot;
  CK_ULONG count = 7;
  EXPECT_EQ(random(session), CKR_DEVICE_ERROR);
  EXPECT_EQ(C_GetSlotInfo(5, &slot), CKR_DEVICE_ERROR);
  EXPECT_EQ(C_GetSlotList(CK_TRUE, nullptr, &count), CKR_OK);
  EXPECT_EQ(count, 0u);
  EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
}

TEST_F(Unreachable, ASecondEndpointTakesOver) {
  FakeProxyd second;
  configure();
  const std::string both = proxyd_.endpoint() + "," + second.endpoint();
  setenv("P11SHIM_ENDPOINT", both.c_str(), 1);
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  const CK_SESSION_HANDLE session = open_session();
  EXPECT_TRUE(second.greetings().empty());
  proxyd_.stop();
  EXPECT_EQ(random(session), CKR_OK);
  EXPECT_EQ(second.restored(), std::vector<std::uint64_t>{session});
  EXPECT_EQ(random(session), CKR_OK);
  EXPECT_EQ(second.greetings().size(), 1u);
  C_Finalize(nullptr);
}

struct Refusal {
  const char* name;
  std::function<void(Welcome&)> change;
  const char* reason;
};
class Refused : public Unreachable, public ::testing::WithParamInterface<Refusal> {};
void PrintTo(const Refusal& refusal, std::ostream* to) { *to << refusal.name; }

TEST_P(Refused, IsAsGoodAsUnreachableAndTheLogSaysWhy) {
  proxyd_.on_hello([](const Hello&, Welcome& welcome) { GetParam().change(welcome); });
  configure();
  ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(random(1), CKR_SESSION_HANDLE_INVALID);
  const auto lines = log_lines();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find(GetParam().reason), std::string::npos) << lines[0];
}
INSTANTIATE_TEST_SUITE_P(Unreachable, Refused,
                         ::testing::Values(Refusal{"ByProxyd",
                                                   [](Welcome& welcome) {
                                                     welcome.rv = CKR_DEVICE_ERROR;
                                                     welcome.reason = "too many applications";
                                                   },
                                                   "refused: \"too many applications\""},
                                           Refusal{"ForAnotherTable", [](Welcome& welcome) { ++welcome.fingerprint; },
                                                   "it is of another version"},
                                           Refusal{"ForAnotherProtocol", [](Welcome& welcome) { ++welcome.version; },
                                                   "it is of another version"}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace p11shim

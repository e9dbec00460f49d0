// Small messages through shared memory: used where proxyd gives some, done without where not, and nothing is lost or done twice
// when the other side goes away.
#include "shim_test.h"

namespace p11shim {
namespace {

constexpr int kMany = 40;  // calls; more than a connection makes before it asks for rings

class ShimRings : public ShimTest {
 protected:
  void begin() {
    ASSERT_EQ(C_Initialize(nullptr), CKR_OK);
    session_ = open_session();
  }
  void call_often() {
    for (int i = 0; i < kMany; ++i) ASSERT_EQ(random(session_), CKR_OK) << i;
  }
  static std::size_t calls(const FakeProxyd& proxyd) { return proxyd.calls(number_of<&F::C_GenerateRandom>()); }
  CK_SESSION_HANDLE session_ = 0;
};

TEST_F(ShimRings, CarryRequestsToAProxydThatIsAwake) {
  proxyd_.give_rings();
  begin();
  call_often();
  EXPECT_GT(proxyd_.requests_in_rings(), 10u);
  EXPECT_EQ(calls(proxyd_), static_cast<std::size_t>(kMany));
}

TEST_F(ShimRings, CarryRepliesToAThreadThatLooks) {
  configure("spin = 1000\n");
  proxyd_.give_rings();
  begin();
  for (int i = 0; i < 10; ++i) call_often();
  EXPECT_GT(proxyd_.requests_in_rings(), 10u);
  EXPECT_EQ(calls(proxyd_), 10u * kMany);
}

TEST_F(ShimRings, AreDoneWithoutWhereThereAreNone) {
  begin();
  call_often();
  EXPECT_EQ(proxyd_.requests_in_rings(), 0u);
  EXPECT_EQ(proxyd_.open_connections(), 1u);
}

TEST_F(ShimRings, AreNotAskedForWhenSwitchedOff) {
  setenv("P11SHIM_RINGS", "off", 1);
  proxyd_.give_rings();
  begin();
  call_often();
  EXPECT_EQ(proxyd_.requests_in_rings(), 0u);
  unsetenv("P11SHIM_RINGS");
}

TEST_F(ShimRings, LargeMessagesTakeTheSocket) {
  configure("spin = 1000\n");
  proxyd_.give_rings();
  proxyd_.on(number_of<&F::C_SeedRandom>(), [](const Request&) { return FakeProxyd::Answer{}; });
  begin();
  call_often();
  std::vector<CK_BYTE> seed(Ring::kRoom);
  for (int i = 0; i < kMany; ++i) {
    const std::size_t before = proxyd_.requests_in_rings();
    EXPECT_EQ(C_SeedRandom(session_, seed.data(), seed.size()), CKR_OK);
    EXPECT_EQ(proxyd_.requests_in_rings(), before);
    EXPECT_EQ(random(session_), CKR_OK);
  }
}

// It lay there when proxyd went: nobody has executed it, so another connection may carry it.
TEST_F(ShimRings, ARequestThatWasNeverTakenIsSentAgain) {
  proxyd_.give_rings();
  begin();
  call_often();
  const std::size_t before = calls(proxyd_);
  proxyd_.ignore_rings(true);
  EXPECT_EQ(random(session_), CKR_OK);
  EXPECT_EQ(calls(proxyd_), before + 1);
  proxyd_.ignore_rings(false);
  call_often();
}

TEST_F(ShimRings, ARequestThatWasTakenIsNot) {
  proxyd_.give_rings();
  begin();
  call_often();
  const std::size_t before = calls(proxyd_);
  proxyd_.on(number_of<&F::C_GenerateRandom>(),
             [](const Request&) -> std::optional<FakeProxyd::Answer> { return std::nullopt; });
  EXPECT_EQ(random(session_), CKR_DEVICE_ERROR);
  EXPECT_EQ(calls(proxyd_), before + 1);
}

TEST_F(ShimRings, AReplyThatIsNoneEndsTheConnection) {
  configure("spin = 1000\n");
  // A thread of proxyd's may be at it still when this test has ended.
  struct Spoiling {
    std::atomic<std::uint32_t> size{0};
    std::atomic<unsigned> spoilt{0};
  };
  const auto shared = std::make_shared<Spoiling>();
  std::atomic<std::uint32_t>& size = shared->size;
  std::atomic<unsigned>& spoilt = shared->spoilt;
  proxyd_.give_rings([shared](const Rings& rings) {
    RingPair own = rings.pair(0);
    const std::vector<std::uint8_t> bytes(16, 0xff);
    if (shared->size != 0 && own.replies.put(bytes, {})) {
      rings.memory()[1].size = shared->size.load();
      ++shared->spoilt;
    }
  });
  for (const std::uint32_t each : {16u, 4u, 5u, UINT32_MAX, std::uint32_t{Ring::kRoom} + 1}) {
    size = 0;
    begin();
    call_often();
    size = each;
    const unsigned before = spoilt;
    // Until this thread has looked for a reply while one was spoilt.
    for (int i = 0; i < 10'000 && spoilt == before; ++i) random(session_);
    if (spoilt == before) GTEST_SKIP() << "nobody looks on this machine";
    size = 0;
    EXPECT_EQ(random(session_), CKR_OK);
    EXPECT_EQ(C_Finalize(nullptr), CKR_OK);
  }
}

}  // namespace
}  // namespace p11shim

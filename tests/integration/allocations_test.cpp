// In steady state proxyd takes nothing from the heap for a small call. What it does by itself meanwhile (statistics, a look at
// its workers) takes some, whatever the number of calls.
#include <gtest/gtest.h>

#include <fstream>

#include "application.h"
#include "configs.h"
#include "private_proxyd.h"
#include "tests/places.h"

namespace p11shim {
namespace {

constexpr int kCalls = 5000;
constexpr std::uint64_t kBesides = kCalls / 50;

class Allocations : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
#ifdef P11SHIM_SANITIZED
    GTEST_SKIP() << "the sanitizer has a heap of its own";
#endif
    if (!SofthsmTokens::installed()) GTEST_SKIP() << "softhsm2 is not installed";
    std::ofstream(file) << std::string(sizeof(std::uint64_t), '\0');
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t counted = 0;
    std::ifstream(file, std::ios::binary).read(reinterpret_cast<char*>(&counted), sizeof counted);
    return counted;
  }

  compare::PrivateDirectory directory;
  std::string file = (directory.path() / "count").string();
};

TEST_P(Allocations, AreNotMadeForASmallCall) {
  SofthsmTokens tokens;
  PrivateProxyd proxyd(std::string(GetParam()) + tokens.config(),
                       {{"LD_PRELOAD", build_dir() + "/tests/counted_memory.so"}, {"P11_COUNTER", file}});
  proxyd.start();
  const TestApplication application(proxyd);
  const auto session = application.open();
  ASSERT_EQ(application.log_in(session, compare::kUserPin), CKR_OK);
  const auto key = application.generate_aes(session, false, "aes");
  CK_MECHANISM mechanism{CKM_AES_ECB, nullptr, 0};
  CK_BYTE block[16] = {}, result[16];
  const auto call = [&](int how_often) {
    for (int i = 0; i < how_often; ++i) {
      ASSERT_EQ(application->C_GenerateRandom(session, block, sizeof block), CKR_OK);
      CK_ULONG size = sizeof result;
      ASSERT_EQ(application->C_EncryptInit(session, &mechanism, key), CKR_OK);
      ASSERT_EQ(application->C_Encrypt(session, block, sizeof block, result, &size), CKR_OK);
    }
  };
  call(500);
  const std::uint64_t before = count();
  ASSERT_GT(before, 100u) << "it is not counted at all";
  call(kCalls);
  const std::uint64_t made = count() - before;
  RecordProperty("made", static_cast<int>(made));
  EXPECT_LT(made, kBesides) << "for " << 2 * kCalls << " calls";
}

INSTANTIATE_TEST_SUITE_P(Ways, Allocations, testing::Values("", "[limits]\nrings = false\n"));

}  // namespace
}  // namespace p11shim

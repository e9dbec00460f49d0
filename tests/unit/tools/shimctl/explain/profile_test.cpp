#include "tools/shimctl/explain/profile.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace p11shim {
namespace {

constexpr char kProfile[] = R"(
vendor = "Example HSM"
[CKR_EXAMPLE_QUORUM]
value = 0x80000105
means = "Too few of the officers have approved."
fault = "authentication"
causes = ["One officer is missing."]
fix = ["Ask another officer"]
retry = "after-change"
in.sign = ["Keys of the root partition need two."]
[CKR_DEVICE_ERROR]
causes = ["The cluster elects a leader."]
)";

const ReturnCodeText* find(const std::vector<ReturnCodeText>& codes, const std::string& name) {
  const auto found = std::find_if(codes.begin(), codes.end(), [&](const auto& code) { return code.name == name; });
  return found == codes.end() ? nullptr : &*found;
}

std::string problem_of(const std::string& text) {
  std::vector<ReturnCodeText> codes = known_return_codes();
  const std::size_t before = codes.size();
  const auto problems = add_profile("p.toml", text, codes);
  EXPECT_EQ(codes.size(), before);
  return problems.empty() ? "" : to_string(problems.front());
}

TEST(Profile, AddsTheVendorsCodes) {
  auto codes = known_return_codes();
  EXPECT_TRUE(add_profile("p.toml", kProfile, codes).empty());
  const auto* code = find(codes, "CKR_EXAMPLE_QUORUM");
  ASSERT_NE(code, nullptr);
  EXPECT_EQ(code->value, 0x80000105U);
  EXPECT_EQ(code->vendor, "Example HSM");
  ASSERT_EQ(code->in.size(), 1U);
  EXPECT_EQ(code->in[0].first, "sign");
}

TEST(Profile, AddsToWhatTheStandardSays) {
  auto codes = known_return_codes();
  const std::size_t before = find(codes, "CKR_DEVICE_ERROR")->causes.size();
  EXPECT_TRUE(add_profile("p.toml", kProfile, codes).empty());
  const auto* code = find(codes, "CKR_DEVICE_ERROR");
  ASSERT_EQ(code->causes.size(), before + 1);
  EXPECT_EQ(code->causes.back(), "Example HSM: The cluster elects a leader.");
}

TEST(Profile, SaysWhatIsWrongAndWhere) {
  EXPECT_NE(problem_of("[CKR_X]\nvalue = 0x80000001\nmeans = \"It is so.\"\nfault = \"caller\"\n")
                .find("retry is missing; it is one of: no backoff"),
            std::string::npos);
  EXPECT_NE(problem_of("[CKR_X]\nmeans = \"It is so.\"\nfault = \"caller\"\nretry = \"no\"\n").find("p.toml:1"),
            std::string::npos);
  EXPECT_NE(
      problem_of("[CKR_X]\nvalue = 0x80000001\nmeans = \"M\"\nfault = \"calller\"\nretry = \"no\"\n").find("fault"),
      std::string::npos);
  EXPECT_NE(problem_of("[CKR_DEVICE_ERROR]\ncauces = [\"a\"]\n").find("did you mean \"causes\""), std::string::npos);
  EXPECT_NE(problem_of("[QUORUM]\n").find("CKR_"), std::string::npos);
  EXPECT_NE(problem_of("[CKR_X\n").find("p.toml:1"), std::string::npos);
  EXPECT_NE(problem_of("CKR_X = 3\n").find("table"), std::string::npos);
}

}  // namespace
}  // namespace p11shim

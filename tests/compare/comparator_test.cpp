#include "comparator.h"

#include <gtest/gtest.h>

namespace p11shim::compare {
namespace {

constexpr char kTable[] =
    "Some words.\n\n"
    "| function | field | backend | direct | proxied | case | why |\n"
    "|---|---|---|---|---|---|---|\n"
    "| `C_GetTokenInfo` | `utcTime` | * | * | * | * | the clock |\n"
    "| C_WaitForSlotEvent | rv | softhsm | CKR_NO_EVENT | CKR_FUNCTION_NOT_SUPPORTED | wait_* | none |\n\n"
    "| another | table |\n";

std::vector<Difference> differences(const std::string& direct, const std::string& proxied,
                                    const std::string& backend = "softhsm", const std::string& name = "a_case") {
  return compare(name, backend, parse_transcript(direct), parse_transcript(proxied), AllowedDifferences::parse(kTable));
}

std::string line(const std::string& call, const std::string& rv, const std::string& out = "{}") {
  return R"({"call":")" + call + R"(","in":{},"rv":")" + rv + R"(","out":)" + out + "}\n";
}

TEST(Comparator, EqualTranscriptsHaveNoDifferences) {
  const std::string both = line("C_Sign", "CKR_OK", R"({"output":"ab","output.length":1})");
  EXPECT_TRUE(differences(both, both).empty());
}

TEST(Comparator, SeesAnotherReturnCode) {
  const auto found = differences(line("C_Sign", "CKR_OK"), line("C_Sign", "CKR_DEVICE_ERROR"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].field, "rv");
  EXPECT_EQ(found[0].direct, "CKR_OK");
  EXPECT_EQ(found[0].proxied, "CKR_DEVICE_ERROR");
  EXPECT_EQ(found[0].line, 1u);
}

TEST(Comparator, SeesOutputsThatDifferOrAreMissing) {
  const auto found = differences(line("C_Sign", "CKR_OK", R"({"output":"ab","output.length":1})"),
                                 line("C_Sign", "CKR_OK", R"({"output":"ac","output.overrun":true})"));
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].field, "output");
  EXPECT_EQ(found[1].field, "output.length");
  EXPECT_EQ(found[1].proxied, "(none)");
  EXPECT_EQ(found[2].field, "output.overrun");
  EXPECT_EQ(found[2].direct, "(none)");
}

TEST(Comparator, IgnoresArguments) {
  EXPECT_TRUE(differences(R"({"call":"C_Verify","in":{"signature":"aa"},"rv":"CKR_OK","out":{}})"
                          "\n",
                          R"({"call":"C_Verify","in":{"signature":"bb"},"rv":"CKR_OK","out":{}})"
                          "\n")
                  .empty());
}

TEST(Comparator, StopsWhereTheCallsThemselvesDiffer) {
  const auto found = differences(line("C_Sign", "CKR_OK") + line("C_Login", "CKR_OK"),
                                 line("C_Verify", "CKR_OK") + line("C_Login", "CKR_PIN_INCORRECT"));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].field, "call");
}

TEST(Comparator, SeesThatOneSideEndedEarly) {
  EXPECT_EQ(differences(line("C_Sign", "CKR_OK"), "").size(), 1u);
  EXPECT_EQ(differences("", line("C_Sign", "CKR_OK")).size(), 1u);
}

TEST(Comparator, SeesACrashInTheMiddleOfACall) {
  const auto found = differences(line("C_Sign", "CKR_OK"), R"({"call":"C_Sign","in":{})");
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].proxied, "crashed");
}

TEST(Comparator, AllowsWhatTheTableLists) {
  EXPECT_TRUE(differences(line("C_GetTokenInfo", "CKR_OK", R"({"utcTime":"1"})"),
                          line("C_GetTokenInfo", "CKR_OK", R"({"utcTime":"2"})"))
                  .empty());
  const std::string direct = line("C_WaitForSlotEvent", "CKR_NO_EVENT");
  const std::string proxied = line("C_WaitForSlotEvent", "CKR_FUNCTION_NOT_SUPPORTED");
  EXPECT_TRUE(differences(direct, proxied, "softhsm", "wait_now").empty());
  EXPECT_EQ(differences(direct, proxied, "softhsm", "other").size(), 1u);
  EXPECT_EQ(differences(direct, proxied, "nss", "wait_now").size(), 1u);
  EXPECT_EQ(differences(proxied, direct, "softhsm", "wait_now").size(), 1u);
}

TEST(AllowedDifferences, KnowsWhichRowsNobodyNeeded) {
  const AllowedDifferences allowed = AllowedDifferences::parse(kTable);
  EXPECT_EQ(allowed.unused("softhsm").size(), 2u);
  EXPECT_EQ(allowed.unused("nss").size(), 1u);
  EXPECT_TRUE(allowed.allows({"a_case", 1, "C_GetTokenInfo", "utcTime", "1", "2"}, "softhsm"));
  ASSERT_EQ(allowed.unused("softhsm").size(), 1u);
  EXPECT_EQ(allowed.unused("softhsm")[0],
            "C_WaitForSlotEvent | rv | softhsm | CKR_NO_EVENT | CKR_FUNCTION_NOT_SUPPORTED | wait_*");
}

TEST(AllowedDifferences, ReadsOnlyItsOwnTable) { EXPECT_EQ(AllowedDifferences::parse(kTable).size(), 2u); }

TEST(AllowedDifferences, RefusesARowThatIsNotComplete) {
  const std::string header =
      "| function | field | backend | direct | proxied | case | why |\n|---|---|---|---|---|---|---|\n";
  EXPECT_THROW(AllowedDifferences::parse(header + "| C_Sign | rv | * | * | * |\n"), std::runtime_error);
  EXPECT_THROW(AllowedDifferences::parse(header + "| C_Sign | rv | * | * | * | * | |\n"), std::runtime_error);
}

}  // namespace
}  // namespace p11shim::compare

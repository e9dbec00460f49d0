#include "config/problem.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(ConfigProblem, SaysWhereAndWhat) {
  EXPECT_EQ(to_string({ConfigProblem::Severity::error, "a.toml", {3, 7}, "no"}), "a.toml:3:7: no");
  EXPECT_EQ(to_string({ConfigProblem::Severity::warning, "a.toml", {3, 7}, "hm"}), "a.toml:3:7: warning: hm");
  EXPECT_EQ(to_string({ConfigProblem::Severity::error, "a.toml", {}, "cannot read"}), "a.toml: cannot read");
}

TEST(InQuotes, KeepsLogLinesWhole) {
  EXPECT_EQ(in_quotes("plain"), "\"plain\"");
  EXPECT_EQ(in_quotes("a\nb\x1b[0m\x7f"), "\"a\\x0ab\\x1b[0m\\x7f\"");
  EXPECT_EQ(in_quotes(std::string_view("a\0b", 3)), "\"a\\x00b\"");
  EXPECT_EQ(in_quotes("Grüße"), "\"Grüße\"");
  EXPECT_EQ(in_quotes("a\xc2\x9b"
                      "2J"),
            "\"a\\xc2\\x9b2J\"")
      << "CSI of 8 bits";
  EXPECT_EQ(in_quotes("a\x9b\xc3(\xed\xa0\x80"), "\"a\\x9b\\xc3(\\xed\\xa0\\x80\"") << "no UTF-8";
}

TEST(InQuotes, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(in_quotes(std::string(81, 'x')), '"' + std::string(80, 'x') + "…\"");
  EXPECT_EQ(in_quotes(std::string(79, 'x') + "üü"), '"' + std::string(79, 'x') + "…\"");
}

TEST(ConfigReport, OrdersProblemsAsTheFileDoes) {
  ConfigReport report("f");
  report.error({9, 1}, "third");
  report.warning({2, 5}, "second");
  report.error({2, 4}, "first");
  const auto problems = report.take_problems();
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0].message, "first");
  EXPECT_EQ(problems[1].message, "second");
  EXPECT_EQ(problems[2].message, "third");
}

TEST(ConfigReport, OnlyErrorsAreErrors) {
  ConfigReport report("f");
  report.warning({}, "hm");
  EXPECT_FALSE(report.has_errors());
  report.error({}, "no");
  EXPECT_TRUE(report.has_errors());
}

TEST(ConfigReport, FindsThePlaceOfTheNearestEnclosingSection) {
  ConfigReport report("f");
  report.note_place("pool[0]", {4, 1});
  report.note_place("pool[0].members", {5, 11});
  EXPECT_EQ(report.place_of("pool[0].members"), (ConfigPlace{5, 11}));
  EXPECT_EQ(report.place_of("pool[0].members[3]"), (ConfigPlace{5, 11}));
  EXPECT_EQ(report.place_of("pool[0].label"), (ConfigPlace{4, 1}));
  EXPECT_EQ(report.place_of("pool[1].label"), (ConfigPlace{}));
  EXPECT_EQ(report.place_of("listen.unix"), (ConfigPlace{}));
}

}  // namespace
}  // namespace p11shim

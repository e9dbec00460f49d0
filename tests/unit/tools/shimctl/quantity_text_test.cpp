#include "tools/shimctl/output/quantity_text.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(QuantityText, DurationsHaveThreeDigitsAndAUnit) {
  const std::pair<std::uint64_t, const char*> kCases[] = {{0, "0 ns"},
                                                          {999, "999 ns"},
                                                          {1000, "1.00 µs"},
                                                          {9'994, "9.99 µs"},
                                                          {9'996, "10.0 µs"},
                                                          {99'960, "100 µs"},
                                                          {999'400, "999 µs"},
                                                          {999'600, "1.00 ms"},
                                                          {2'000'000, "2.00 ms"},
                                                          {1'500'000'000, "1.50 s"},
                                                          {42'000'000'000, "42.0 s"},
                                                          {7'200'000'000'000, "2.00 h"}};
  for (const auto& [nanoseconds, text] : kCases) EXPECT_EQ(duration_text(nanoseconds), text);
}

TEST(QuantityText, AgesAreRoughAndGrowInUnits) {
  const std::pair<double, const char*> kCases[] = {{0, "0 s"},        {42.4, "42 s"},   {119, "119 s"},
                                                   {120, "2.00 min"}, {3600, "60 min"}, {7200, "2.00 h"},
                                                   {86400, "24 h"},   {864000, "10 d"}};
  for (const auto& [seconds, text] : kCases) EXPECT_EQ(age_text(seconds), text);
}

TEST(QuantityText, RatesAreWholeUnlessSmall) {
  EXPECT_EQ(rate_text(0), "0");
  EXPECT_EQ(rate_text(0.4), "0.40");
  EXPECT_EQ(rate_text(12.3), "12");
  EXPECT_EQ(rate_text(48210.4), "48210");
}

}  // namespace
}  // namespace p11shim

#include "config/quantity.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

using std::chrono::milliseconds;

TEST(Duration, ReadsEachUnit) {
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("30s"), milliseconds(30'000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("2h"), milliseconds(7'200'000));
  EXPECT_EQ(parse_duration("1d"), milliseconds(86'400'000));
  EXPECT_EQ(parse_duration("0s"), milliseconds(0));
}

TEST(Duration, RefusesWhatIsNotANumberAndAUnit) {
  for (const char* text : {"", "30", "s", "-1s", "+1s", " 1s", "1s ", "1 s", "1.5s", "1S", "1m30s", "0x10s",
                           "18446744073709551616s", "9223372036854775807d"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(Duration, IsWrittenInTheLargestUnitThatIsExact) {
  EXPECT_EQ(format_duration(milliseconds(0)), "0s");
  EXPECT_EQ(format_duration(milliseconds(1'500)), "1500ms");
  EXPECT_EQ(format_duration(milliseconds(90'000)), "90s");
  EXPECT_EQ(format_duration(milliseconds(86'400'000)), "1d");
}

TEST(Size, ReadsEachUnit) {
  EXPECT_EQ(parse_size("512B"), 512u);
  EXPECT_EQ(parse_size("4KiB"), 4096u);
  EXPECT_EQ(parse_size("64MiB"), 64u << 20);
  EXPECT_EQ(parse_size("2GiB"), std::uint64_t{2} << 30);
}

TEST(Size, RefusesDecimalUnitsAndOverflow) {
  for (const char* text : {"64", "64MB", "64M", "64mib", "", "MiB", "9223372036854775807KiB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(Size, ParsesBackWhatItWrites) {
  for (const std::uint64_t bytes : {1ull, 1023ull, 1024ull, 1536ull, 1ull << 20, 3ull << 30, 1ull << 40}) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes);
  }
}

TEST(Mode, IsOctal) {
  EXPECT_EQ(parse_mode("0660"), static_cast<mode_t>(0660));
  EXPECT_EQ(parse_mode("600"), static_cast<mode_t>(0600));
  EXPECT_EQ(parse_mode("0000"), static_cast<mode_t>(0));
  EXPECT_EQ(format_mode(0640), "0640");
  EXPECT_EQ(format_mode(0), "0000");
}

TEST(Mode, RefusesWhatIsNotThreeOctalDigits) {
  for (const char* text : {"", "66", "0680", "1777", "00660", "rw-", "0o60", " 660", "-660"}) {
    EXPECT_FALSE(parse_mode(text)) << text;
  }
}

}  // namespace
}  // namespace p11shim

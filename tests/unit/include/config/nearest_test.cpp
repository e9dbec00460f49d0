#include "config/nearest.h"

#include <gtest/gtest.h>

#include <array>

namespace p11shim {
namespace {

constexpr std::array<std::string_view, 5> kWords{"unix", "mode", "group", "max_connections", "tcp"};

TEST(Nearest, FindsTheWordThatWasMistyped) {
  EXPECT_EQ(nearest("unx", kWords), "unix");
  EXPECT_EQ(nearest("UNIX", kWords), "unix");
  EXPECT_EQ(nearest("max_conections", kWords), "max_connections");
}

TEST(Nearest, CountsASwapOfNeighboursOnce) { EXPECT_EQ(nearest("mdoe", kWords), "mode"); }

TEST(Nearest, ProposesNothingThatIsFarAway) {
  EXPECT_EQ(nearest("backlog", kWords), "");
  EXPECT_EQ(nearest("x", kWords), "");
  EXPECT_EQ(nearest("", kWords), "");
  EXPECT_EQ(nearest(std::string(10'000, 'u'), kWords), "");
}

TEST(Nearest, PrefersTheNearer) {
  constexpr std::array<std::string_view, 2> kTwo{"pin_filer", "pin_file"};
  EXPECT_EQ(nearest("pin_fil", kTwo), "pin_file");
}

TEST(Nearest, IsSaidInWords) {
  EXPECT_EQ(did_you_mean("grupo", kWords), "; did you mean \"group\"?");
  EXPECT_EQ(did_you_mean("zzz", kWords), "");
}

}  // namespace
}  // namespace p11shim

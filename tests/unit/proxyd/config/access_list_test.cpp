#include "proxyd/config/access_list.h"

#include <gtest/gtest.h>

#include <array>

namespace p11shim {
namespace {

constexpr std::array<gid_t, 2> kGroups{100, 200};
constexpr std::span<const gid_t> kNoGroups;

TEST(Selector, ParsesBackWhatItWrites) {
  for (const char* text : {"user:alice", "group:hsm", "uid:0", "gid:4294967294"}) {
    ASSERT_TRUE(parse_selector(text)) << text;
    EXPECT_EQ(to_string(*parse_selector(text)), text);
  }
}

TEST(Selector, RefusesHalfOnes) {
  for (const char* text : {"", "alice", "user:", "uid:", "uid:-1", "uid:1x", "uid:4294967295", "User:a", "gid: 1"}) {
    EXPECT_FALSE(parse_selector(text)) << text;
  }
}

TEST(AccessList, EverybodyIncludesTheUnknown) {
  EXPECT_TRUE(AccessList::everybody().allows(std::nullopt, kNoGroups));
  EXPECT_TRUE(AccessList::everybody().allows(1000, kGroups));
}

TEST(AccessList, NobodyIsNotEvenRoot) { EXPECT_FALSE(AccessList::nobody().allows(0, kGroups)); }

TEST(AccessList, SelectsUsersAndGroups) {
  const AccessList list = AccessList::only({*parse_selector("uid:1000"), *parse_selector("gid:200")});
  EXPECT_TRUE(list.allows(1000, kNoGroups));
  EXPECT_TRUE(list.allows(1, kGroups));
  EXPECT_FALSE(list.allows(200, kNoGroups));
  EXPECT_FALSE(list.allows(std::nullopt, kNoGroups));
}

TEST(AccessList, ANameSelectsNobodyUntilItIsResolved) {
  AccessList list = AccessList::only({*parse_selector("user:root")});
  EXPECT_FALSE(list.allows(0, kNoGroups));
  list.selectors()[0].id = 0;
  EXPECT_TRUE(list.allows(0, kNoGroups));
}

}  // namespace
}  // namespace p11shim

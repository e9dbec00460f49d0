#include "shim/slot_events.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(SlotEvents, TheFirstLookHasNothingToCompareWith) {
  SlotEvents events;
  events.look({3, 1});
  EXPECT_EQ(events.next(), std::nullopt);
}

TEST(SlotEvents, TellsEachTokenThatCameOrWentOnce) {
  SlotEvents events;
  events.look({1, 2});
  events.look({2, 5});
  EXPECT_EQ(events.next(), 1u);
  EXPECT_EQ(events.next(), 5u);
  EXPECT_EQ(events.next(), std::nullopt);
  events.look({5, 2});
  EXPECT_EQ(events.next(), std::nullopt);
}

}  // namespace
}  // namespace p11shim

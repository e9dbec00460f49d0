#include "wire/handles.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

Handles handles_of(std::initializer_list<std::uint64_t> values) {
  Handles handles;
  for (const std::uint64_t value : values) handles.add(value);
  return handles;
}

TEST(Handles, AreTakenInTheirOrder) {
  Handles handles = handles_of({7, 1ull << 63, 0});
  EXPECT_EQ(handles.take(), 7u);
  EXPECT_EQ(handles.take(), 1ull << 63);
  EXPECT_FALSE(handles.done());
  EXPECT_EQ(handles.take(), 0u);
  EXPECT_TRUE(handles.done());
}

TEST(Handles, AreNotDoneWhenTooManyWereTaken) {
  Handles handles = handles_of({7});
  handles.take();
  EXPECT_EQ(handles.take(), 0u);
  EXPECT_FALSE(handles.done());
}

TEST(Handles, TravelThroughAMessage) {
  Buffer buffer;
  Out out(buffer);
  handles_of({1, 2, 3}).write(out);
  In in(buffer.bytes());
  Handles handles = handles_of({9});
  handles.take();
  handles.read(in, 3);
  EXPECT_TRUE(in.done());
  ASSERT_EQ(handles.size(), 3u);
  EXPECT_EQ(handles.take(), 1u) << "reading starts anew";
}

TEST(Handles, MoreThanTheBoundAreMalformed) {
  Buffer buffer;
  Out out(buffer);
  handles_of({1, 2, 3}).write(out);
  In in(buffer.bytes());
  Handles handles;
  handles.read(in, 2);
  EXPECT_FALSE(in.ok());
}

}  // namespace
}  // namespace p11shim

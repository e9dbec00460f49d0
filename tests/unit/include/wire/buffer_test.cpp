#include "wire/buffer.h"

#include <gtest/gtest.h>

#include <string>

namespace p11shim {
namespace {

std::string text_of(const Buffer& buffer) { return {buffer.bytes().begin(), buffer.bytes().end()}; }

TEST(Buffer, KeepsWhatItHoldsWhileItGrows) {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    buffer.append("0123456789", 10);
    expected += "0123456789";
  }
  EXPECT_EQ(text_of(buffer), expected);
}

TEST(Buffer, KeepsItsMemoryWhenCleared) {
  Buffer buffer;
  buffer.append("text", 4);
  const std::uint8_t* before = buffer.data();
  buffer.clear();
  buffer.append("more", 4);
  EXPECT_EQ(buffer.data(), before);
  EXPECT_EQ(text_of(buffer), "more");
}

TEST(Buffer, WipesASecretWhenCleared) {
  Buffer buffer;
  buffer.append("1234", 4);
  buffer.mark_secret();
  buffer.clear();
  buffer.extend(4);
  EXPECT_EQ(text_of(buffer), std::string(4, '\0'));
}

TEST(Buffer, DoesNotWipeWhatIsNoSecret) {
  Buffer buffer;
  buffer.append("1234", 4);
  buffer.clear();
  buffer.extend(4);
  EXPECT_EQ(text_of(buffer), "1234");
}

TEST(Buffer, IsASecretOnlyUntilItIsCleared) {
  Buffer buffer;
  buffer.mark_secret();
  buffer.clear();
  buffer.append("1234", 4);
  buffer.clear();
  buffer.extend(4);
  EXPECT_EQ(text_of(buffer), "1234");
}

TEST(Buffer, WipesWhatIsConsumedOfASecret) {
  Buffer buffer;
  buffer.append("abcdef", 6);
  buffer.mark_secret();
  buffer.consume(2);
  EXPECT_EQ(text_of(buffer), "cdef");
  EXPECT_EQ(buffer.data()[4], 0);
  EXPECT_EQ(buffer.data()[5], 0);
}

TEST(Buffer, GivesBackTooMuchMemory) {
  Buffer buffer;
  buffer.extend(1 << 20);
  buffer.trim(1024);
  EXPECT_GE(buffer.capacity(), std::size_t{1} << 20) << "it is in use";
  buffer.clear();
  buffer.trim(1024);
  EXPECT_LE(buffer.capacity(), 1024u);
  buffer.append("text", 4);
  EXPECT_EQ(text_of(buffer), "text");
}

TEST(Buffer, MovesWithItsSecret) {
  Buffer from;
  from.append("1234", 4);
  from.mark_secret();
  Buffer to(std::move(from));
  EXPECT_EQ(text_of(to), "1234");
  to.clear();
  to.extend(4);
  EXPECT_EQ(text_of(to), std::string(4, '\0'));
}

}  // namespace
}  // namespace p11shim

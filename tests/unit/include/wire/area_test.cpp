// Areas: their memory cannot be taken away under whoever uses it, and no reference leads out of one.
#include "wire/area.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vector>

#include "wire/limits.h"

namespace p11shim {
namespace {

class AreaTest : public testing::Test {
 protected:
  void SetUp() override {
    const int memory = Area::create();
    ASSERT_GE(memory, 0);
    ASSERT_TRUE(ours.map(memory));
    ASSERT_TRUE(theirs.map(memory));
    ::close(memory);
    sender.attach(ours.bytes());
    receiver.attach(theirs.bytes());
  }
  static std::vector<std::uint8_t> data(std::size_t size) {
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
    return bytes;
  }
  static Buffer reference(std::uint32_t offset, std::uint32_t size) {
    Buffer body;
    Out(body).reference(offset, size);
    return body;
  }

  Area ours, theirs;
  Bulk sender, receiver;
};

TEST_F(AreaTest, NobodyCanChangeItsSize) {
  const int memory = Area::create();
  EXPECT_NE(::ftruncate(memory, 0), 0);
  EXPECT_NE(::ftruncate(memory, Area::kSize * 2), 0);
  EXPECT_NE(::fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE), 0);
  ::close(memory);
}

TEST_F(AreaTest, BytesArriveByReference) {
  Buffer body;
  Out out(body);
  const auto first = data(Bulk::kLeast), second = data(100'001);
  EXPECT_TRUE(sender.put(out, first.data(), first.size()));
  out.uint(5);
  EXPECT_TRUE(sender.put(out, second.data(), second.size()));
  EXPECT_LT(body.size(), 32u);
  In in(body.bytes());
  const auto a = receiver.bytes(in, limits::kMaxBulk);
  EXPECT_EQ(in.uint(), 5u);
  const auto b = receiver.bytes(in, limits::kMaxBulk);
  EXPECT_TRUE(in.done());
  EXPECT_TRUE(std::equal(a.begin(), a.end(), first.begin(), first.end()));
  EXPECT_TRUE(std::equal(b.begin(), b.end(), second.begin(), second.end()));
  // What the receiver puts there lies behind what it was sent.
  const std::uint8_t* place = receiver.take(Bulk::kLeast);
  EXPECT_GE(place, b.data() + b.size());
  EXPECT_EQ(receiver.taken(), static_cast<std::size_t>(place - theirs.bytes().data()) + Bulk::kLeast);
}

TEST_F(AreaTest, FewBytesAndThoseWithoutRoomTravel) {
  Buffer body;
  Out out(body);
  const auto bytes = data(Area::kSize);
  EXPECT_FALSE(sender.put(out, bytes.data(), Bulk::kLeast - 1));
  EXPECT_TRUE(sender.put(out, bytes.data(), Area::kSize - Bulk::kLeast));
  EXPECT_FALSE(sender.put(out, bytes.data(), Bulk::kLeast + 1));
  EXPECT_EQ(sender.take(Bulk::kLeast + 1), nullptr);
  EXPECT_EQ(sender.take(SIZE_MAX), nullptr);
  EXPECT_NE(sender.take(Bulk::kLeast), nullptr);
  EXPECT_EQ(sender.take(Bulk::kLeast), nullptr);
  Bulk nowhere;
  EXPECT_FALSE(nowhere.put(out, bytes.data(), bytes.size()));
}

TEST_F(AreaTest, ReferencesThatLeadOutOfItAreMalformed) {
  constexpr auto kSize = static_cast<std::uint32_t>(Area::kSize);
  constexpr auto kLeast = static_cast<std::uint32_t>(Bulk::kLeast);
  const std::pair<std::uint32_t, std::uint32_t> wrong[] = {
      {0, kSize + 1},       {1, kSize},           {kSize, kLeast}, {kSize - kLeast + 1, kLeast},
      {UINT32_MAX, kLeast}, {kLeast, UINT32_MAX}, {0, kLeast - 1}, {0, 0}};
  for (const auto& [offset, size] : wrong) {
    const Buffer body = reference(offset, size);
    In in(body.bytes());
    EXPECT_TRUE(receiver.bytes(in, SIZE_MAX).empty());
    EXPECT_FALSE(in.ok()) << offset << ' ' << size;
  }
  const Buffer body = reference(kSize - kLeast, kLeast);
  In in(body.bytes());
  EXPECT_EQ(receiver.bytes(in, SIZE_MAX).size(), kLeast);
  In small(body.bytes());
  EXPECT_TRUE(receiver.bytes(small, kLeast - 1).empty());
  EXPECT_FALSE(small.ok());
  Bulk nowhere;
  In lost(body.bytes());
  EXPECT_TRUE(nowhere.bytes(lost, SIZE_MAX).empty());
  EXPECT_FALSE(lost.ok());
  In plain(body.bytes());
  plain.bin();
  EXPECT_FALSE(plain.ok()) << "whoever shares nothing takes no reference";
}

TEST_F(AreaTest, APlainBodyHasTheBytesInTheirPlace) {
  Buffer body, plain, expected;
  Out out(body);
  const auto bytes = data(70'000);
  out.array(2), out.uint(1), out.boolean(true);
  EXPECT_TRUE(sender.put(out, bytes.data(), bytes.size()));
  out.nil();
  out.bin(bytes.data(), 10);
  ASSERT_TRUE(put_in_line(body.bytes(), theirs.bytes(), 100'000, plain));
  Out to(expected);
  to.array(2), to.uint(1), to.boolean(true);
  to.bin(bytes.data(), bytes.size());
  to.nil();
  to.bin(bytes.data(), 10);
  EXPECT_TRUE(std::ranges::equal(plain.bytes(), expected.bytes()));
  Buffer more;
  EXPECT_FALSE(put_in_line(body.bytes(), theirs.bytes(), 60'000, more));
  EXPECT_FALSE(put_in_line(reference(1, UINT32_MAX).bytes(), theirs.bytes(), SIZE_MAX, more));
  const std::uint8_t malformed[] = {0xc6, 0xff, 0xff, 0xff, 0xff};
  EXPECT_FALSE(put_in_line(malformed, theirs.bytes(), SIZE_MAX, more));
}

TEST_F(AreaTest, MemoryThatIsGivenBackReadsAsZeros) {
  ours.bytes()[Area::kSize - 1] = 1;
  ours.bytes()[0] = 1;
  ours.trim(4096);
  EXPECT_EQ(theirs.bytes()[Area::kSize - 1], 0);
  EXPECT_EQ(theirs.bytes()[0], 1);
}

TEST_F(AreaTest, AForkedChildHasNoMapping) {
#ifdef P11SHIM_SANITIZED
  GTEST_SKIP() << "a sanitizer looks at what write() is given";
#endif
  const std::uint8_t* memory = ours.bytes().data();
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    // The kernel says whether the memory is there without a fault.
    const bool readable = ::write(ends[1], memory, 1) == 1;
    ::_exit(readable ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace p11shim

// The reader against msgpack-cxx: its packer writes what In has to read, and its unpacker judges what In has
// to refuse.
#include "wire/in.h"

#include <gtest/gtest.h>

#include <limits>
#include <msgpack.hpp>
#include <random>
#include <string>
#include <vector>

namespace p11shim {
namespace {

template <class Fn>
std::vector<std::uint8_t> packed(Fn&& fn) {
  msgpack::sbuffer buffer;
  msgpack::packer<msgpack::sbuffer> packer(buffer);
  fn(packer);
  return {buffer.data(), buffer.data() + buffer.size()};
}

const std::uint64_t kEdges[] = {
    0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000, std::numeric_limits<std::uint64_t>::max()};
const std::size_t kSizes[] = {0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536};

TEST(In, ReadsUnsignedIntegersOfEveryWidth) {
  for (const std::uint64_t edge : kEdges) {
    const auto bytes = packed([&](auto& packer) { packer.pack_uint64(edge); });
    In in(bytes);
    EXPECT_EQ(in.uint(), edge);
    EXPECT_TRUE(in.done());
  }
}

TEST(In, ReadsIntegersThatAreWiderThanNecessary) {
  const auto bytes = packed([](auto& packer) { packer.pack_fix_uint64(7); });
  In in(bytes);
  EXPECT_EQ(in.uint(), 7u);
  EXPECT_TRUE(in.done());
}

TEST(In, RefusesNegativeIntegers) {
  for (const std::int64_t number : {-1, -32, -33, -129, -40000}) {
    const auto bytes = packed([&](auto& packer) { packer.pack_int64(number); });
    In in(bytes);
    EXPECT_EQ(in.uint(), 0u);
    EXPECT_FALSE(in.ok());
  }
}

TEST(In, RefusesANumberAboveItsBound) {
  const auto bytes = packed([](auto& packer) { packer.pack_uint64(256); });
  In in(bytes);
  EXPECT_EQ(in.uint_max(255), 0u);
  EXPECT_FALSE(in.ok());
}

TEST(In, ReadsByteStringsOfEveryWidth) {
  for (const std::size_t size : kSizes) {
    const std::string text(size, 'x');
    const auto bytes = packed([&](auto& packer) {
      packer.pack_bin(static_cast<std::uint32_t>(size));
      packer.pack_bin_body(text.data(), static_cast<std::uint32_t>(size));
    });
    In in(bytes);
    const auto read = in.bin();
    EXPECT_EQ(std::string(read.begin(), read.end()), text);
    EXPECT_TRUE(in.done());
    if (size == 0) continue;
    In bounded(bytes);
    EXPECT_TRUE(bounded.bin(size - 1).empty());
    EXPECT_FALSE(bounded.ok());
  }
}

TEST(In, ReadsTextOfEveryWidth) {
  for (const std::size_t size : kSizes) {
    const std::string text(size, 'x');
    const auto bytes = packed([&](auto& packer) { packer.pack(text); });
    In in(bytes);
    EXPECT_EQ(in.str(size), text);
    EXPECT_TRUE(in.done());
  }
}

TEST(In, ReadsArraysOfEveryWidth) {
  for (const std::size_t size : kSizes) {
    const std::vector<std::uint64_t> numbers(size, 5);
    const auto bytes = packed([&](auto& packer) { packer.pack(numbers); });
    In in(bytes);
    EXPECT_EQ(in.array(size), size);
    for (std::size_t i = 0; i < size; ++i) EXPECT_EQ(in.uint(), 5u);
    EXPECT_TRUE(in.done());
    if (size == 0) continue;
    In bounded(bytes);
    EXPECT_EQ(bounded.array(size - 1), 0u);
    EXPECT_FALSE(bounded.ok());
  }
}

TEST(In, RefusesAnArrayThatClaimsMoreElementsThanThereAreBytes) {
  const std::uint8_t bytes[] = {0xdd, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02};
  In in(bytes);
  EXPECT_EQ(in.array(std::numeric_limits<std::size_t>::max()), 0u);
  EXPECT_FALSE(in.ok());
}

TEST(In, RefusesAByteStringThatClaimsMoreThanThereIs) {
  const std::uint8_t bytes[] = {0xc6, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02};
  In in(bytes);
  EXPECT_TRUE(in.bin().empty());
  EXPECT_FALSE(in.ok());
}

TEST(In, TellsNilFromOtherValues) {
  const std::uint8_t bytes[] = {0xc0, 0xc3, 0xc2};
  In in(bytes);
  EXPECT_TRUE(in.nil_if());
  EXPECT_FALSE(in.nil_if());
  EXPECT_TRUE(in.boolean());
  EXPECT_FALSE(in.boolean());
  EXPECT_TRUE(in.done());
  EXPECT_FALSE(in.nil_if());
  EXPECT_TRUE(in.ok());
}

TEST(In, FailureSticks) {
  const std::uint8_t bytes[] = {0xc3, 0x01, 0x91, 0x01};
  In in(bytes);
  EXPECT_EQ(in.uint(), 0u);
  EXPECT_FALSE(in.ok());
  EXPECT_EQ(in.uint(), 0u);
  EXPECT_EQ(in.array(10), 0u);
  EXPECT_FALSE(in.boolean());
  EXPECT_FALSE(in.nil_if());
  EXPECT_FALSE(in.next_is_uint());
  EXPECT_EQ(in.remaining(), 0u);
  EXPECT_FALSE(in.done());
}

TEST(In, IsNotDoneWhileBytesAreLeft) {
  const std::uint8_t bytes[] = {0x01, 0x02};
  In in(bytes);
  EXPECT_EQ(in.uint(), 1u);
  EXPECT_FALSE(in.done());
  EXPECT_TRUE(in.ok());
}

// Reads one value whatever it is, by the first byte alone.
void read_any(In& in, int depth) {
  const std::uint8_t tag = in.peek();
  if (in.next_is_uint()) in.uint();
  else if (tag == 0xc0) in.nil();
  else if (tag == 0xc2 || tag == 0xc3) in.boolean();
  else if (tag == 0xc4 || tag == 0xc5 || tag == 0xc6) in.bin();
  else if ((tag & 0xe0) == 0xa0 || (tag >= 0xd9 && tag <= 0xdb)) in.str(SIZE_MAX);
  else if (((tag & 0xf0) == 0x90 || tag == 0xdc || tag == 0xdd) && depth < 8)
    for (std::size_t left = in.array(1000); left != 0 && in.ok(); --left) read_any(in, depth + 1);
  else in.fail();
}

bool is_msgpack(const std::vector<std::uint8_t>& bytes) {
  try {
    std::size_t used = 0;
    msgpack::unpack(reinterpret_cast<const char*>(bytes.data()), bytes.size(), used);
    return used == bytes.size();
  } catch (const msgpack::unpack_error&) {
    return false;
  }
}

TEST(In, AcceptsNothingThatMsgpackRefuses) {
  std::mt19937 random(1);
  int accepted = 0;
  for (int round = 0; round < 200000; ++round) {
    std::vector<std::uint8_t> bytes(random() % 12 + 1);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    In in(bytes);
    read_any(in, 0);
    if (!in.done()) continue;
    ++accepted;
    EXPECT_TRUE(is_msgpack(bytes));
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace p11shim

// The writer, read back by msgpack-cxx.
#include "wire/out.h"

#include <gtest/gtest.h>

#include <msgpack.hpp>

#include "wire/in.h"

namespace p11shim {
namespace {

TEST(Out, WritesWhatMsgpackReads) {
  Buffer buffer;
  Out out(buffer);
  const std::uint8_t bytes[] = {1, 2, 3};
  out.array(7);
  out.uint(300);
  out.boolean(true);
  out.nil();
  out.bin(bytes);
  out.str("text");
  std::memcpy(out.bin_space(2), "ab", 2);
  out.array(0);

  const auto handle = msgpack::unpack(reinterpret_cast<const char*>(buffer.data()), buffer.size());
  const auto& all = handle.get().via.array;
  ASSERT_EQ(all.size, 7u);
  EXPECT_EQ(all.ptr[0].as<std::uint64_t>(), 300u);
  EXPECT_TRUE(all.ptr[1].as<bool>());
  EXPECT_TRUE(all.ptr[2].is_nil());
  EXPECT_EQ(all.ptr[3].type, msgpack::type::BIN);
  EXPECT_EQ(std::string(all.ptr[3].via.bin.ptr, all.ptr[3].via.bin.size), std::string("\1\2\3"));
  EXPECT_EQ(all.ptr[4].as<std::string>(), "text");
  EXPECT_EQ(std::string(all.ptr[5].via.bin.ptr, all.ptr[5].via.bin.size), "ab");
  EXPECT_EQ(all.ptr[6].via.array.size, 0u);
}

TEST(Out, WritesIntegersInTheirShortestForm) {
  const std::pair<std::uint64_t, std::size_t> sizes[] = {{0, 1},           {0x7f, 1},   {0x80, 2},    {0xff, 2},
                                                         {0x100, 3},       {0xffff, 3}, {0x10000, 5}, {0xffffffff, 5},
                                                         {0x100000000, 9}, {~0ull, 9}};
  for (const auto& [number, size] : sizes) {
    Buffer buffer;
    Out(buffer).uint(number);
    EXPECT_EQ(buffer.size(), size);
    In in(buffer.bytes());
    EXPECT_EQ(in.uint(), number);
  }
}

}  // namespace
}  // namespace p11shim

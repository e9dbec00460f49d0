#include "config/tcp_address.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

TEST(TcpAddress, ReadsBothFamilies) {
  EXPECT_EQ(parse_tcp_address("127.0.0.1:9223"), (TcpAddress{"127.0.0.1", 9223}));
  EXPECT_EQ(parse_tcp_address("[::1]:0"), (TcpAddress{"::1", 0}));
}

TEST(TcpAddress, ParsesBackWhatItWrites) {
  for (const char* text : {"127.0.0.1:9223", "[::1]:80", "10.1.2.3:65535"}) {
    EXPECT_EQ(to_string(*parse_tcp_address(text)), text);
  }
}

TEST(TcpAddress, RefusesNamesAndHalfAddresses) {
  for (const char* text : {"", ":", "localhost:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
                           "127.1:80", "::1:80", "[::1]", "[127.0.0.1]:80", "127.0.0.1:80x", "[]:80", "256.0.0.1:1"}) {
    EXPECT_FALSE(parse_tcp_address(text)) << text;
  }
  EXPECT_FALSE(parse_tcp_address(std::string_view("127.0.0.1\0x:80", 14)));
}

TEST(TcpAddress, KnowsLoopback) {
  EXPECT_TRUE((TcpAddress{"127.0.0.1", 1}).is_loopback());
  EXPECT_TRUE((TcpAddress{"127.9.9.9", 1}).is_loopback());
  EXPECT_TRUE((TcpAddress{"::1", 1}).is_loopback());
  EXPECT_FALSE((TcpAddress{"0.0.0.0", 1}).is_loopback());
  EXPECT_FALSE((TcpAddress{"10.0.0.1", 1}).is_loopback());
  EXPECT_FALSE((TcpAddress{"::", 1}).is_loopback());
  EXPECT_FALSE((TcpAddress{"::ffff:127.0.0.1", 1}).is_loopback());
}

}  // namespace
}  // namespace p11shim

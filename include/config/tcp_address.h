// "127.0.0.1:9223", "[::1]:9223": a numeric address and a port. Names are refused, because resolving one
// would make an application wait for a name server.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace p11shim {

struct TcpAddress {
  std::string host;  // numeric, without brackets
  std::uint16_t port = 0;

  bool is_loopback() const;
  friend bool operator==(const TcpAddress&, const TcpAddress&) = default;
};

std::optional<TcpAddress> parse_tcp_address(std::string_view text);
std::string to_string(const TcpAddress& address);

}  // namespace p11shim

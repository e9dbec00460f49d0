#include "config/tcp_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>

namespace p11shim {
namespace {

std::optional<in_addr> ipv4(const std::string& host) {
  in_addr address{};
  if (inet_pton(AF_INET, host.c_str(), &address) != 1) return std::nullopt;
  return address;
}

std::optional<in6_addr> ipv6(const std::string& host) {
  in6_addr address{};
  if (inet_pton(AF_INET6, host.c_str(), &address) != 1) return std::nullopt;
  return address;
}

}  // namespace

bool TcpAddress::is_loopback() const {
  if (const auto address = ipv4(host)) return (ntohl(address->s_addr) >> 24) == 127;
  const auto address = ipv6(host);
  return address && IN6_IS_ADDR_LOOPBACK(&*address);
}

std::optional<TcpAddress> parse_tcp_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos || text.find('\0') != text.npos) return std::nullopt;
  TcpAddress address;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  address.host = bracketed ? host.substr(1, host.size() - 2) : host;
  if (bracketed ? !ipv6(address.host) : !ipv4(address.host)) return std::nullopt;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (failure != std::errc{} || end != port.data() + port.size()) return std::nullopt;
  return address;
}

std::string to_string(const TcpAddress& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return (brackets ? '[' + address.host + ']' : address.host) + ':' + std::to_string(address.port);
}

}  // namespace p11shim

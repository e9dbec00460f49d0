// Asks a running proxyd over its control socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace p11shim {

class ControlClient {
 public:
  static constexpr std::size_t kMaxReply = 64 << 20;
  static constexpr std::chrono::seconds kPatience{30};

  // Connects. Throws Failure: kUnreachable, or kPermission if it is there but not for us.
  explicit ControlClient(const std::string& path);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  // Its result. Throws Failure with proxyd's own words if it answers with an error, and kUnreachable or
  // kDeadline if it answers nothing in `patience`.
  nlohmann::json ask(const std::string& command, const nlohmann::json& arguments = nlohmann::json::object(),
                     std::chrono::milliseconds patience = kPatience);

 private:
  void send(std::string_view text);
  std::string receive_line(std::chrono::steady_clock::time_point deadline);
  [[noreturn]] void fail(const std::string& why) const;

  std::string path_;
  int socket_ = -1;
  std::string input_;
};

}  // namespace p11shim

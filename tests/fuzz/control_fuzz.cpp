// Covers read_request_line and the reply to whatever it says: what a control client may send is a command with an object
// of arguments or nothing, and an answer that repeats parts of it is one line of ASCII.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "proxyd/control/control.h"
#include "proxyd/control/reply_line.h"
#include "proxyd/control/request_line.h"

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace p11shim;
  const std::string_view line(reinterpret_cast<const char*>(data), std::min(size, Control::kMaxRequest));
  const auto request = read_request_line(line);
  if (!request) return 0;
  require(request->arguments.is_object());
  const std::string answer = reply_line(error_reply({"unknown_command", request->command, ""}));
  require(std::count(answer.begin(), answer.end(), '\n') == 1 && answer.back() == '\n');
  require(std::all_of(answer.begin(), answer.end() - 1, [](unsigned char c) { return c >= 0x20 && c < 0x7f; }));
  return 0;
}

// Many applications at once: forked children, each of which initialises the module and opens a session, then
// waits.
#pragma once

#include <unistd.h>

#include <array>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

class Crowd {
 public:
  // `module` must be loaded and not initialised. Starts them one after the other; throws if one cannot start.
  Crowd(CK_FUNCTION_LIST& module, CK_SLOT_ID slot, unsigned applications);
  ~Crowd();  // ends them all
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  // Lets each make a call; throws unless all succeed.
  void call();

 private:
  using Pipe = std::array<int, 2>;
  [[noreturn]] void be_application(CK_FUNCTION_LIST& module, CK_SLOT_ID slot) const;
  void expect_reports(std::size_t count) const;

  Pipe call_{};
  Pipe end_{};
  Pipe report_{};
  std::vector<pid_t> children_;
};

}  // namespace p11shim

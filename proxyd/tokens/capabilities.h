// The mechanisms of a member, asked once. Owned by its membership.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "proxyd/workers/worker.h"

namespace p11shim {

class Capabilities {
 public:
  using Mechanisms = std::map<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>;

  // Asks a worker that is ready, unless it is known or under way. `done` is called if it has become known.
  void ask(Worker& worker, CK_SLOT_ID slot, std::function<void()> done);
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] const Mechanisms& mechanisms() const { return mechanisms_; }

 private:
  void ask_next();
  void give_up();

  Worker* worker_ = nullptr;  // that is being asked
  CK_SLOT_ID slot_ = 0;
  std::vector<CK_MECHANISM_TYPE> left_;
  Mechanisms mechanisms_;
  bool known_ = false;
  std::function<void()> done_;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim

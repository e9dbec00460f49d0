// The mechanisms of a member, asked once of each process of its module. Owned by its membership.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "proxyd/workers/worker.h"

namespace p11shim {

class Capabilities {
 public:
  using Mechanisms = std::map<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>;

  // Asks a worker that is ready, unless it has told them or is being asked. `changed` is called when they are others than before.
  void ask(Worker& worker, CK_SLOT_ID slot, std::function<void()> changed);
  // As they were when proxyd ran before; what cannot be read says nothing.
  void restore(std::span<const std::uint8_t> stored);
  [[nodiscard]] Buffer stored() const;
  // What it told last, perhaps before it was away.
  [[nodiscard]] bool known() const { return known_; }
  [[nodiscard]] const Mechanisms& mechanisms() const { return mechanisms_; }

 private:
  void ask_next();
  void give_up();
  void told();

  Worker* worker_ = nullptr;  // that is being asked
  CK_SLOT_ID slot_ = 0;
  std::vector<CK_MECHANISM_TYPE> left_;
  std::uint32_t faults_ = 0;  // of the member, while it was asked
  Mechanisms asked_;
  Mechanisms mechanisms_;
  bool known_ = false;
  std::uint64_t generation_ = 0;  // of the worker that told them; 0: none yet
  std::function<void()> changed_;
  const std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace p11shim

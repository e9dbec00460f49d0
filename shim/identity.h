// Who this application is to proxyd: a random instance id that all its connections name, and the secret that
// proxyd gave to the first of them, which the later ones show. A forked child is an application of its own;
// until its first connection it can prove whose child it is with the parent's secret.
#pragma once

#include <atomic>
#include <forward_list>
#include <memory>

#include "wire/message.h"

namespace p11shim {

class Identity {
 public:
  // A new application. Throws std::runtime_error if the kernel gives no random number.
  Identity();
  // A forked child's. Reads only what the parent's other threads cannot have left half written.
  explicit Identity(const Identity& parent);
  Identity& operator=(const Identity&) = delete;
  ~Identity();

  // What a hello says about the application. One thread at a time.
  void introduce(Hello& hello) const;
  void welcomed(const Id128& secret);
  [[nodiscard]] const Id128& instance() const { return instance_; }
  // Some proxyd has known this application, or the parent that it descends from: from now on its absence is a
  // loss.
  [[nodiscard]] bool is_known() const {
    return secret_.load(std::memory_order_acquire) != nullptr || parent_ != Id128{};
  }

 private:
  Id128 instance_;
  Id128 parent_{};  // while not zero, the parent's secret is shown, not ours
  Id128 parent_secret_{};
  std::atomic<const Id128*> secret_{
      nullptr};  // the last of given_; published whole, for a child that is forked meanwhile
  std::forward_list<Id128> given_;
};

}  // namespace p11shim

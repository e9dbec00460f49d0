// {"command":"pool-diff"}: which objects the members of a pool do not all have. Every member that can be asked lists its
// objects anew first; private objects are seen while an application is logged in.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "proxyd/tokens/pool.h"

namespace p11shim {

// Owns itself and calls back once; a member that does not answer in time is named as not compared.
class PoolDiff final : private Waiter {
 public:
  using Done = std::function<void(nlohmann::json)>;
  static void run(Pool& pool, Done done);

 private:
  PoolDiff(Pool& pool, Done done)
      : pool_(pool), done_(std::move(done)), until_ms_(pool.runtime().now_ms() + kPatienceMs) {}
  static constexpr std::uint64_t kPatienceMs = 10'000;

  void resume() override;
  [[nodiscard]] nlohmann::json report() const;

  Pool& pool_;
  const Done done_;
  const std::uint64_t until_ms_;
};

}  // namespace p11shim

// Asks one worker of a member how it is: by its token's info, by random bytes, or by a signature of a key that is there for it.
#pragma once

#include <functional>

#include "proxyd/tokens/place.h"

namespace p11shim {

// Owns itself and always calls back. Where no session is free, or the key is not there, C_GetTokenInfo has to do.
class Probe final : private Waiter {
 public:
  // The answer, or null: its worker died; that is seen otherwise.
  using Done = std::function<void(const CK_RV* rv)>;
  struct Key {
    std::uint64_t real = 0;
    CK_KEY_TYPE type = 0;
  };
  static void run(Place& place, ProbeCall call, Key key, Done done);

 private:
  Probe(Place& place, Key key, Done done) : place_(place), key_(key), done_(std::move(done)) {}
  void resume() override {}
  void ask_token();
  void ask_random();
  void sign();
  void finish(const Reply* reply);

  Place& place_;
  const Key key_;
  const Done done_;
  RealSession* session_ = nullptr;
};

}  // namespace p11shim

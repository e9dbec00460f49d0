// Performs the checks of a key in the worker that shows it. Owns itself and always calls back.
#pragma once

#include <functional>

#include "proxyd/objects/key_check.h"
#include "proxyd/tokens/place.h"

namespace p11shim {

class KeyProof final : private Waiter {
 public:
  using Outcome = CheckOutcome;
  using Done = std::function<void(Outcome outcome, const ByteString& proof)>;
  static void run(Place& place, UnprovenKey key, std::vector<PublicKey> publics, const HandleKey& secret, Done done);

 private:
  KeyProof(Place& place, UnprovenKey key, std::vector<PublicKey> publics, const HandleKey& secret, Done done)
      : place_(place),
        generation_(place.worker.generation()),
        key_(std::move(key)),
        publics_(std::move(publics)),
        checks_(checks_for(key_, secret)),
        done_(std::move(done)) {}
  void resume() override;
  void begin();
  void agree();
  void perform();
  void failed(const Reply* reply, bool begun);
  void finish(Outcome outcome, const ByteString& proof = {});

  Place& place_;
  const std::uint64_t generation_;
  UnprovenKey key_;
  std::vector<PublicKey> publics_;
  std::vector<KeyCheck> checks_;
  std::size_t next_ = 0;
  RealSession* session_ = nullptr;
  std::uint64_t agreed_ = 0;  // the secret that was agreed on, a session object
  Done done_;
};

}  // namespace p11shim

// Which member makes the nonces of a key where the module makes them: one for each key, chosen at its first such use and kept
// in the state directory. Two members that count nonces for one key make the same ones.
#pragma once

#include <map>
#include <string>

#include "proxyd/objects/object_directory.h"

namespace p11shim {

class Member;
class Pool;

class NonceMakers {
 public:
  explicit NonceMakers(StateDirectory& state);

  // Null: no member has the key, and none has made nonces for it. Another is chosen only if that one is no member any more.
  const Member* of(const Pool& pool, const TokenObject& key);

 private:
  void remember(const Identity& key, const std::string& member);

  StateDirectory& state_;
  std::map<Identity, std::string> makers_;  // of all pools; by identity and by handle, of which one may change
};

}  // namespace p11shim

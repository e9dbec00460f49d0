// Gives handles (or slot ids) the names s1, s2, … in the order in which they were first seen, so that two runs
// whose numbers differ but mean the same write the same transcript.
#pragma once

#include <map>
#include <string>

#include "pkcs11/cryptoki.h"

namespace p11shim::compare {

class HandleNames {
 public:
  explicit HandleNames(char prefix) : prefix_(prefix) {}

  // A handle that the module has just made: a new name, even where the number was in use before.
  std::string issue(CK_ULONG handle);
  // A handle that a find returned: the name it has, or a new one.
  std::string found(CK_ULONG handle);
  // A handle as an argument: its name, or its number if nobody ever issued it.
  std::string of(CK_ULONG handle) const;

  bool current(CK_ULONG handle) const;
  // Order of first sight among current handles, which is the same in both runs.
  unsigned long rank(CK_ULONG handle) const;

  // From here on the module may number the objects anew (a logout, for example): what a find returns gets new names.
  void renew() { ++epoch_; }

 private:
  struct Name {
    unsigned long rank;
    unsigned long epoch;
  };
  char prefix_;
  unsigned long issued_ = 0;
  unsigned long epoch_ = 0;
  std::map<CK_ULONG, Name> names_;
};

}  // namespace p11shim::compare

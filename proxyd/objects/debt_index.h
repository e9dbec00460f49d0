// Where debts are found without looking at all of them: by the object, by the member, and creations by what they were to make.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "pkcs11/cryptoki.h"
#include "proxyd/objects/state_directory.h"

namespace p11shim {

struct Debt;

class DebtIndex {
 public:
  using Numbers = std::set<std::uint64_t>;  // of debts, in their order

  // What a debt is found by does not change while it is here.
  void add(const Debt& debt);
  void remove(const Debt& debt);

  // Of creations there is no object yet: they are found by name only.
  [[nodiscard]] const Numbers& about(const Identity& identity) const;
  [[nodiscard]] const Numbers& of_member(const std::string& pool, const std::string& member) const;
  [[nodiscard]] const Numbers& creations(CK_OBJECT_CLASS object_class, const std::vector<std::uint8_t>& id,
                                         const std::string& label) const;
  [[nodiscard]] const Numbers& unfinished() const { return unfinished_; }

 private:
  struct IdentityHash {
    std::size_t operator()(const Identity& identity) const;
  };
  std::unordered_map<Identity, Numbers, IdentityHash> by_identity_;
  std::map<std::pair<std::string, std::string>, Numbers> by_member_;
  std::map<std::tuple<CK_OBJECT_CLASS, std::vector<std::uint8_t>, std::string>, Numbers> by_name_;
  Numbers unfinished_;
};

}  // namespace p11shim

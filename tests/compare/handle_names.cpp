#include "handle_names.h"

namespace p11shim::compare {

std::string HandleNames::issue(CK_ULONG handle) {
  names_[handle] = Name{++issued_, epoch_};
  return of(handle);
}

std::string HandleNames::found(CK_ULONG handle) { return current(handle) ? of(handle) : issue(handle); }

std::string HandleNames::of(CK_ULONG handle) const {
  auto name = names_.find(handle);
  if (name == names_.end()) return "#" + std::to_string(handle);
  return prefix_ + std::to_string(name->second.rank);
}

bool HandleNames::current(CK_ULONG handle) const {
  auto name = names_.find(handle);
  return name != names_.end() && name->second.epoch == epoch_;
}

unsigned long HandleNames::rank(CK_ULONG handle) const {
  auto name = names_.find(handle);
  return name == names_.end() ? 0 : name->second.rank;
}

}  // namespace p11shim::compare

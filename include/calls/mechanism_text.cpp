#include "calls/mechanism_text.h"

#include "calls/mechanism_families.h"

namespace p11shim {
namespace params {
namespace {

struct Describe {
  template <class L>
  static constexpr void (*of)(Text&, const void*, CK_ULONG) = &L::describe;
};

}  // namespace

std::string mechanism_text(const CK_MECHANISM& mechanism, std::size_t depth) {
  std::string name = display(NameKind::ckm, mechanism.mechanism);
  if (depth == limits::kMaxMechanismDepth) return name;
  Text text(depth);
  FamilyTable<Describe, Families>::find(mechanism.mechanism)(text, mechanism.pParameter, mechanism.ulParameterLen);
  return text.text().empty() ? name : name + "(" + text.text() + ")";
}

}  // namespace params

std::string describe_mechanism(const CK_MECHANISM& mechanism) { return params::mechanism_text(mechanism, 0); }

}  // namespace p11shim

// Made-up mechanism parameters, and all that the descriptions say of them. Every number is nonzero and every
// pointer points somewhere, so that a field that a description forgets shows as a zero word after a round
// trip.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "calls/arena.h"
#include "pkcs11/cryptoki.h"

namespace p11shim::params {

struct Source {
  Arena& arena;
  std::mt19937_64 random;
  CK_ULONG number(CK_ULONG max) { return 1 + random() % max; }
  CK_BYTE_PTR bytes(CK_ULONG size) {
    CK_BYTE_PTR place = arena.bytes(size + 1);
    rewrite(place, size);
    return place;
  }
  void rewrite(CK_BYTE_PTR place, CK_ULONG size) {
    for (CK_ULONG i = 0; i < size; ++i) place[i] = static_cast<CK_BYTE>(number(255));
  }
};

struct LayoutExample {
  std::string name;    // of the C struct
  std::string fields;  // their kinds and names, in the order on the wire
  CK_ULONG size = 0;   // 0: flat bytes
  bool has_condition = false;
  bool writes_back = false;
  void* (*make)(Source&) = nullptr;         // a filled struct, and a copy of it behind it
  void (*write)(Source&, void*) = nullptr;  // what a module does
};
struct FamilyExample {
  std::vector<CK_MECHANISM_TYPE> types;
  std::vector<LayoutExample> layouts;
};

std::vector<FamilyExample> families();
std::vector<FamilyExample> message_families();
std::vector<LayoutExample> inner_structs();  // that stand only inside others

}  // namespace p11shim::params

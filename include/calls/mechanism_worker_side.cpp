// The worker's half of the mechanism codec: structs for the module out of a request, and what it wrote into
// the reply.
#include "calls/mechanism_codec.h"
#include "calls/mechanism_families.h"

namespace p11shim {
namespace params {
namespace {

struct Take {
  template <class L>
  static constexpr void (*of)(Reader&, CK_VOID_PTR&, CK_ULONG&) = &L::take;
};
struct PutOutputs {
  template <class L>
  static constexpr void (*of)(OutputWriter&, const void*, CK_ULONG) = &L::put_outputs;
};

template <class List>
void take_as(Reader& from, CK_MECHANISM& mechanism) {
  mechanism = {};
  from.in.array_of(2);
  mechanism.mechanism = from.in.uint();
  FamilyTable<Take, List>::find(mechanism.mechanism)(from, mechanism.pParameter, mechanism.ulParameterLen);
}

template <class List>
void put_outputs_as(Out& out, Handles& handles, const CK_MECHANISM& mechanism) {
  OutputWriter to{out, handles};
  FamilyTable<PutOutputs, List>::find(mechanism.mechanism)(to, mechanism.pParameter, mechanism.ulParameterLen);
}

}  // namespace

void take_mechanism(Reader& from, CK_MECHANISM& mechanism) { take_as<Families>(from, mechanism); }

}  // namespace params

void decode_mechanism(In& in, Handles& handles, Arena& arena, CK_MECHANISM& mechanism) {
  params::Reader from{in, handles, arena};
  params::take_as<params::Families>(from, mechanism);
}
void decode_message_parameter(In& in, Handles& handles, Arena& arena, CK_MECHANISM& message) {
  params::Reader from{in, handles, arena};
  params::take_as<params::MessageFamilies>(from, message);
}
void encode_mechanism_outputs(Out& out, Handles& handles, const CK_MECHANISM& mechanism) {
  params::put_outputs_as<params::Families>(out, handles, mechanism);
}
void encode_message_parameter_outputs(Out& out, Handles& handles, const CK_MECHANISM& message) {
  params::put_outputs_as<params::MessageFamilies>(out, handles, message);
}

}  // namespace p11shim

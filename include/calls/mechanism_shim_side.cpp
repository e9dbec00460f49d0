// The shim's half of the mechanism codec: requests out of the application's structs, results into them.
#include "calls/mechanism_codec.h"
#include "calls/mechanism_families.h"

namespace p11shim {
namespace params {
namespace {

struct Put {
  template <class L>
  static constexpr void (*of)(Writer&, const void*, CK_ULONG) = &L::put;
};
struct TakeOutputs {
  template <class L>
  static constexpr void (*of)(OutputReader&, CK_VOID_PTR, CK_ULONG) = &L::take_outputs;
};

template <class List>
void put_as(Writer& to, const CK_MECHANISM& mechanism) {
  to.out.array(2);
  to.out.uint(mechanism.mechanism);
  FamilyTable<Put, List>::find(mechanism.mechanism)(to, mechanism.pParameter, mechanism.ulParameterLen);
}

template <class List>
void take_outputs_as(In& in, Handles& handles, const CK_MECHANISM& mechanism) {
  OutputReader from{in, handles};
  FamilyTable<TakeOutputs, List>::find(mechanism.mechanism)(from, mechanism.pParameter, mechanism.ulParameterLen);
}

}  // namespace

void put_mechanism(Writer& to, const CK_MECHANISM& mechanism) { put_as<Families>(to, mechanism); }

}  // namespace params

void encode_mechanism(Out& out, Handles& handles, const CK_MECHANISM& mechanism) {
  params::Writer to{out, handles};
  params::put_as<params::Families>(to, mechanism);
}
void encode_message_parameter(Out& out, Handles& handles, const CK_MECHANISM& message) {
  params::Writer to{out, handles};
  params::put_as<params::MessageFamilies>(to, message);
}
void decode_mechanism_outputs(In& in, Handles& handles, const CK_MECHANISM& mechanism) {
  params::take_outputs_as<params::Families>(in, handles, mechanism);
}
void decode_message_parameter_outputs(In& in, Handles& handles, const CK_MECHANISM& message) {
  params::take_outputs_as<params::MessageFamilies>(in, handles, message);
}

}  // namespace p11shim

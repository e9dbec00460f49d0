// The eight directions in which a mechanism and its parameter travel. The encoding starts with the mechanism type and
// is self-delimiting (one msgpack value each). Handles inside a parameter go to `handles`, not into the body.
// The message_… forms are for the parameters of the 3.0 message functions, which are other structs for the same types.
#pragma once

#include "calls/arena.h"
#include "pkcs11/cryptoki.h"
#include "wire/handles.h"
#include "wire/in.h"
#include "wire/out.h"

namespace p11shim {

// Shim → worker. Reads the application's structs; a NULL parameter and a length that fits no known struct are kept as such.
void encode_mechanism(Out& out, Handles& handles, const CK_MECHANISM& mechanism);
void encode_message_parameter(Out& out, Handles& handles, const CK_MECHANISM& message);

// Worker. Builds the C structs in `arena`; they live as long as it is not cleared. Failure is reported through `in`.
void decode_mechanism(In& in, Handles& handles, Arena& arena, CK_MECHANISM& mechanism);
void decode_message_parameter(In& in, Handles& handles, Arena& arena, CK_MECHANISM& message);

// Worker → shim, after CKR_OK: the fields that a module writes (IVs, tags, versions, key material, handles).
void encode_mechanism_outputs(Out& out, Handles& handles, const CK_MECHANISM& mechanism);
void encode_message_parameter_outputs(Out& out, Handles& handles, const CK_MECHANISM& message);

// Shim: writes them into the application's own structs, never beyond the sizes that those structs state.
void decode_mechanism_outputs(In& in, Handles& handles, const CK_MECHANISM& mechanism);
void decode_message_parameter_outputs(In& in, Handles& handles, const CK_MECHANISM& message);

}  // namespace p11shim

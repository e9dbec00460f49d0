// An operation of the message functions (3.0) that is one message long is one message on the wire: its Init goes with
// C_…Message, and so does its C_Message…Final, if the last one of its kind was that long and the module needs nothing of the
// operation to take another message: no IVs that it makes by itself. If another one comes the Init goes again.
#include "shim/coalesce.h"

namespace p11shim {

// After take(). `whole`: not a length query, nor a part of a message.
void Coalescing::plan_message(CK_SESSION_HANDLE session, Operation operation, bool whole, const void* parameter,
                              CK_ULONG size) {
  WaitingInit& lead = exchange_.lead();
  if (lead.call == 0) return;
  const bool is_alone = whole && stands_alone(operation, lead.mechanism, parameter, size);
  application_.sessions().with(session, [&](SessionOperations&, KnownInits& known, const OpenSession&) {
    if (lead.is_over) known.note_one_message(lead.signature, false);
    lead.ends = is_alone && known.is_one_message(lead.signature);
  });
}

bool Coalescing::end_messages(CK_SESSION_HANDLE session, Operation operation) {
  const bool is_over =
      application_.sessions().with(session, [&](SessionOperations& operations, KnownInits& known, const OpenSession&) {
        return p11shim::end_messages(operations, known, operation);
      });
  if (is_over) application_.sessions().message_ended(session, operation);
  return is_over;
}

// Under the lock of the sessions.
void Coalescing::count_messages(SessionOperations& operations, KnownInits& known, const Policy& policy, CK_RV rv,
                                bool is_query) {
  WaitingInit& lead = exchange_.lead();
  if (lead.ends && rv == CKR_OK && exchange_.reply().ended) return message_is_over(operations, known, lead);
  if (lead.is_over) ++operations.messages;
  if (policy.effect == Effect::continues) {
    operations.messages += !is_query;
  } else if (rv == CKR_OK) {
    known.note_one_message(operations.signature, operations.messages == 1);
  }
}

std::uint64_t Coalescing::message_shape(CK_SESSION_HANDLE session, Operation operation, const void* parameter,
                                        CK_ULONG size) {
  const CK_MECHANISM_TYPE mechanism = application_.sessions().message_mechanism(session, operation);
  if (!stands_alone(operation, mechanism, parameter, size)) return 0;
  Signature shape;
  sign_message_parameter(shape, mechanism, parameter, size);
  return shape.value() | 1;
}

}  // namespace p11shim

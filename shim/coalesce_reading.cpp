// Reads that are answered here: attributes, session info, mechanism info that were asked for before or came along.
#include "shim/coalesce.h"

namespace p11shim {

std::optional<CK_SLOT_ID> Coalescing::slot_of(CK_SESSION_HANDLE session) {
  return application_.sessions().with(
      session, [](SessionOperations&, KnownInits&, const OpenSession& open) { return std::optional(open.slot); });
}

bool Coalescing::answer_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE* attributes,
                                   CK_ULONG count) {
  Remembered& remembered = application_.remembered();
  const auto slot = slot_of(session);
  if (!slot) return false;
  if (remembered.values.answer(*slot, object, attributes, count, remembered.generations.of(*slot))) return true;
  asks(*slot);
  return false;
}

// After everything else that goes before this call.
void Coalescing::want_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes,
                                 CK_ULONG count) {
  const auto slot = slot_of(session);
  if (!slot || attributes == nullptr) return;
  ObjectValues& values = application_.remembered().values;
  values.note_usual(attributes, count);
  values.wanted(*slot, object, attributes, count, exchange_.wanted());
}

bool Coalescing::answer_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO* info) {
  Remembered& remembered = application_.remembered();
  const auto slot = slot_of(session);
  if (!slot) return false;
  const auto known = remembered.sessions.find(session, remembered.generations.of(*slot), remembered.values);
  if (known) *info = *known;
  else asks(*slot);
  return known.has_value();
}

bool Coalescing::answer_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO* info) {
  Remembered& remembered = application_.remembered();
  const auto known = remembered.mechanisms.find(Signature().add(slot).add(type).value(),
                                                remembered.generations.of(slot), remembered.values);
  if (known) *info = *known;
  else asks(slot);
  return known.has_value();
}

// The answer to what is asked now may be remembered under this stamp.
void Coalescing::asks(CK_SLOT_ID slot) { asks_stamped(&Coalescing::generation, slot); }

std::uint64_t Coalescing::generation(CK_SLOT_ID slot) { return application_.remembered().generations.of(slot); }

void Coalescing::asks_stamped(std::uint64_t (Coalescing::*moving)(CK_SLOT_ID), CK_SLOT_ID slot) {
  if ((this->*moving)(slot) == 0 && application_.config().remember.count() != 0) ask_for_page();
  asked_ = application_.remembered().values.stamp((this->*moving)(slot));
}

// Once for each proxyd, before the first call that may be remembered; again where the question was lost.
void Coalescing::ask_for_page() {
  GenerationView& generations = application_.remembered().generations;
  if (generations.is_claimed() || !application_.connect(exchange_) || !exchange_.socket().is_local() ||
      !generations.claim())
    return;
  const int descriptor = exchange_.ask_for_generations();
  generations.take(descriptor);
  if (descriptor < 0 && !exchange_.socket().is_open()) generations.unclaim();
}

void Coalescing::learn_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, const CK_ATTRIBUTE* attributes,
                                  CK_ULONG count) {
  const auto slot = slot_of(session);
  if (!slot || !asked_ || attributes == nullptr) return;
  ObjectValues& values = application_.remembered().values;
  values.take(*slot, exchange_.reply().values, *asked_);
  values.take_read(*slot, object, attributes, count, *asked_);
}

void Coalescing::learn_session_info(CK_SESSION_HANDLE session, const CK_SESSION_INFO& info) {
  if (asked_) application_.remembered().sessions.add(session, *asked_, info);
}

void Coalescing::learn_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, const CK_MECHANISM_INFO& info) {
  if (asked_) application_.remembered().mechanisms.add(Signature().add(slot).add(type).value(), *asked_, info);
}

}  // namespace p11shim

// What proxyd has to know of a call besides its arguments. One value per call, written in the table.
#pragma once

#include <cstdint>

namespace p11shim {

// Who answers a call.
enum class Where : std::uint8_t {
  shim,    // never leaves the application's process
  proxyd,  // from proxyd's own records (it may ask a worker for parts)
  worker,  // forwarded to the module
};

// The operations that a session can have active (PKCS#11 3.0 §5.7 to §5.17), as bits.
enum class Operation : std::uint16_t {
  none = 0,
  find = 1 << 0,
  encrypt = 1 << 1,
  decrypt = 1 << 2,
  digest = 1 << 3,
  sign = 1 << 4,
  verify = 1 << 5,
  sign_recover = 1 << 6,
  verify_recover = 1 << 7,
  message_encrypt = 1 << 8,
  message_decrypt = 1 << 9,
  message_sign = 1 << 10,
  message_verify = 1 << 11,
  any = 0xffff,
};

// How a call changes the operations of its session.
enum class Effect : std::uint8_t {
  none,
  starts,     // …Init: active after CKR_OK
  continues,  // …Update, …Next: ends it only by failing
  ends,       // single-part call or …Final: ends it, except for a length query and CKR_BUFFER_TOO_SMALL
};

// May the call be executed a second time, when nobody knows whether the first execution took place?
enum class Retry : std::uint8_t { never, always };

// Classes of audit records; each can be switched on and off.
enum class AuditClass : std::uint8_t { none, admin, auth, use, read };

// What the call does with objects.
enum class Objects : std::uint8_t {
  none,
  uses,     // names objects
  creates,  // returns new ones
  destroys,
  changes,  // attributes
  lists,    // returns existing ones
};

struct Policy {
  Where where = Where::worker;
  Effect effect = Effect::none;
  Operation operation = Operation::none;
  Objects objects = Objects::none;
  Retry retry = Retry::never;
  AuditClass audit = AuditClass::none;
  bool slot = false;  // the first handle is a slot, not a session
  bool slow = false;  // key generation and the like: the longer default deadline
};

constexpr Operation operator|(Operation a, Operation b) {
  return static_cast<Operation>(static_cast<std::uint16_t>(a) | static_cast<std::uint16_t>(b));
}
constexpr Operation operator&(Operation a, Operation b) {
  return static_cast<Operation>(static_cast<std::uint16_t>(a) & static_cast<std::uint16_t>(b));
}
constexpr Operation operator~(Operation a) { return static_cast<Operation>(~static_cast<std::uint16_t>(a)); }

// Those of the message functions (3.0 §5.9, 5.11, 5.14, 5.16).
inline constexpr Operation kMessageOperations =
    Operation::message_encrypt | Operation::message_decrypt | Operation::message_sign | Operation::message_verify;

// Operations whose C_…Init may travel together with the call that uses it.
inline constexpr Operation kLedOperations = Operation::encrypt | Operation::decrypt | Operation::digest |
                                            Operation::sign | Operation::verify | Operation::sign_recover |
                                            Operation::verify_recover | kMessageOperations;

// Whether a call may be sent with that Init in front of it, as one step (Request::init). C_FindObjects with its Init is a
// whole search.
constexpr bool may_lead(const Policy& init, const Policy& call) {
  if (init.operation == Operation::find)
    return init.effect == Effect::starts && call.effect == Effect::continues && call.operation == Operation::find;
  return init.effect == Effect::starts && (call.effect == Effect::continues || call.effect == Effect::ends) &&
         (init.operation & kLedOperations) == init.operation && init.operation == call.operation &&
         call.objects == Objects::none;
}

// Whether a call that brought its Init along may also end the operation, if it succeeds (Request::ends).
constexpr bool may_end(const Policy& call) {
  return call.effect == Effect::continues && (call.operation & kMessageOperations) == call.operation;
}

// Whether the data of a call may be used where both sides can change it: what is given to an operation is a string of bytes to
// the module. Wrapped keys, saved states and the like are parsed by it, and are copied first.
constexpr bool carries_bulk(const Policy& call) {
  return (call.effect == Effect::continues || call.effect == Effect::ends) && call.operation != Operation::any &&
         call.operation != Operation::find && call.objects == Objects::none;
}

}  // namespace p11shim

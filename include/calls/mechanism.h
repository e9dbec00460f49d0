// CK_MECHANISM and the untyped parameter of the message functions (3.0 §5.9) as arguments. What is inside a parameter is
// described in mechanism_params.h.
#pragma once

#include "calls/argument.h"
#include "calls/mechanism_codec.h"

namespace p11shim {

// pMechanism; NULL is passed on (in 3.0 it cancels an operation). Fields that the module writes travel back.
struct Mechanism : Unchecked {
  static constexpr std::string_view name{"Mechanism"};
  using C = Types<CK_MECHANISM_PTR>;
  struct Value {
    CK_MECHANISM_PTR mechanism;
  };
  static void put_request(RequestWriter& to, CK_MECHANISM_PTR mechanism) {
    if (mechanism == nullptr) return to.body.nil();
    to.request.has_mechanism = true;
    to.request.mechanism = mechanism->mechanism;
    encode_mechanism(to.body, to.request.handles, *mechanism);
  }
  static void take_request(RequestReader& from, Value& value) {
    value.mechanism = nullptr;
    if (from.body.nil_if()) return;
    value.mechanism = from.arena.make<CK_MECHANISM>();
    decode_mechanism(from.body, from.handles, from.arena, *value.mechanism);
  }
  static std::tuple<CK_MECHANISM_PTR> c(Value& value) { return {value.mechanism}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv == CKR_OK && value.mechanism != nullptr) encode_mechanism_outputs(to.body, to.handles, *value.mechanism);
  }
  static void take_reply(ReplyReader& from, CK_MECHANISM_PTR mechanism) {
    if (from.rv == CKR_OK && mechanism != nullptr) decode_mechanism_outputs(from.body, from.handles, *mechanism);
  }
};

// (pParameter, ulParameterLen) of the message functions: IV or nonce and tag are in-out.
struct MessageParam : Unchecked {
  static constexpr std::string_view name{"MessageParam"};
  using C = Types<CK_VOID_PTR, CK_ULONG>;
  struct Value {
    CK_MECHANISM message;  // the mechanism of C_Message…Init with this call's parameter
  };
  static void put_request(RequestWriter& to, CK_VOID_PTR parameter, CK_ULONG size) {
    encode_message_parameter(to.body, to.request.handles, {to.message_mechanism, parameter, size});
  }
  static void take_request(RequestReader& from, Value& value) {
    value.message = {};
    decode_message_parameter(from.body, from.handles, from.arena, value.message);
  }
  static std::tuple<CK_VOID_PTR, CK_ULONG> c(Value& value) {
    return {value.message.pParameter, value.message.ulParameterLen};
  }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv != CKR_OK) return;
    to.body.uint(value.message.mechanism);
    encode_message_parameter_outputs(to.body, to.handles, value.message);
  }
  static void take_reply(ReplyReader& from, CK_VOID_PTR parameter, CK_ULONG size) {
    if (from.rv != CKR_OK) return;
    const CK_MECHANISM_TYPE type = from.body.uint();
    decode_message_parameter_outputs(from.body, from.handles, {type, parameter, size});
  }
};

}  // namespace p11shim

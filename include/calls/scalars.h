// Arguments that are one number: handles, flags, types; and single numbers or handles that a module returns.
#pragma once

#include "calls/argument.h"

namespace p11shim {

// A handle that the application passes: it travels beside the body. `Tag` keeps the kinds apart.
template <class Tag>
struct HandleIn : InputOnly, Unchecked {
  static constexpr std::string_view name = Tag::name;
  using C = Types<CK_ULONG>;
  struct Value {
    CK_ULONG handle;
  };
  static void put_request(RequestWriter& to, CK_ULONG handle) { to.request.handles.add(handle); }
  static void take_request(RequestReader& from, Value& value) { value.handle = from.handles.take(); }
  static std::tuple<CK_ULONG> c(Value& value) { return {value.handle}; }
};
struct SessionTag {
  static constexpr std::string_view name{"Session"};
};
struct SlotTag {
  static constexpr std::string_view name{"Slot"};
};
struct ObjectTag {
  static constexpr std::string_view name{"Object"};
};
using Session = HandleIn<SessionTag>;
using Slot = HandleIn<SlotTag>;
using Object = HandleIn<ObjectTag>;

// A CK_ULONG or CK_BBOOL by value.
template <class T>
struct NumberIn : InputOnly, Unchecked {
  static constexpr std::string_view name{sizeof(T) == 1 ? "Bool" : "Ulong"};
  using C = Types<T>;
  struct Value {
    T number;
  };
  static void put_request(RequestWriter& to, T number) { to.body.uint(number); }
  static void take_request(RequestReader& from, Value& value) {
    value.number = static_cast<T>(from.body.uint_max(static_cast<T>(~T{0})));
  }
  static std::tuple<T> c(Value& value) { return {value.number}; }
};
using Ulong = NumberIn<CK_ULONG>;
using Bool = NumberIn<CK_BBOOL>;

// A pointer that the standard reserves or that has no meaning beyond the process: it is not sent, the module gets NULL.
struct Reserved : InputOnly, Unchecked {
  static constexpr std::string_view name{"Reserved"};
  using C = Types<CK_VOID_PTR>;
  struct Value {};
  static void put_request(RequestWriter&, CK_VOID_PTR) {}
  static void take_request(RequestReader&, Value&) {}
  static std::tuple<CK_VOID_PTR> c(Value&) { return {nullptr}; }
};
// pApplication and Notify of C_OpenSession. No module in use calls back with anything but CKN_SURRENDER, which the
// standard lets a library leave out (§5.21).
struct Callback : InputOnly, Unchecked {
  static constexpr std::string_view name{"Callback"};
  using C = Types<CK_VOID_PTR, CK_NOTIFY>;
  struct Value {};
  static void put_request(RequestWriter&, CK_VOID_PTR, CK_NOTIFY) {}
  static void take_request(RequestReader&, Value&) {}
  static std::tuple<CK_VOID_PTR, CK_NOTIFY> c(Value&) { return {nullptr, nullptr}; }
};

// A handle that the module returns, beside the body, with CKR_OK.
struct OutHandle {
  static constexpr std::string_view name{"OutHandle"};
  using C = Types<CK_ULONG_PTR>;
  struct Value {
    CK_ULONG handle;
  };
  static CK_RV check(CK_ULONG_PTR place) { return place == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK; }
  static void put_request(RequestWriter&, CK_ULONG_PTR) {}
  static void take_request(RequestReader&, Value& value) { value.handle = CK_INVALID_HANDLE; }
  static std::tuple<CK_ULONG_PTR> c(Value& value) { return {&value.handle}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv == CKR_OK) to.handles.add(value.handle);
  }
  static void take_reply(ReplyReader& from, CK_ULONG_PTR place) {
    if (from.rv == CKR_OK) *place = from.handles.take();
  }
};

// A number that the module returns with CKR_OK.
struct OutUlong {
  static constexpr std::string_view name{"OutUlong"};
  using C = Types<CK_ULONG_PTR>;
  struct Value {
    CK_ULONG number;
  };
  static CK_RV check(CK_ULONG_PTR place) { return place == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK; }
  static void put_request(RequestWriter&, CK_ULONG_PTR) {}
  static void take_request(RequestReader&, Value& value) { value.number = 0; }
  static std::tuple<CK_ULONG_PTR> c(Value& value) { return {&value.number}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv == CKR_OK) to.body.uint(value.number);
  }
  static void take_reply(ReplyReader& from, CK_ULONG_PTR place) {
    if (from.rv != CKR_OK) return;
    const CK_ULONG number = from.body.uint();
    if (from.body.ok()) *place = number;
  }
};

}  // namespace p11shim

// Arguments that are lists of numbers or handles which a module returns: slots, mechanisms, objects found.
#pragma once

#include <algorithm>

#include "calls/argument.h"

namespace p11shim {

// (array, in-out count) with the two-call convention: C_GetSlotList, C_GetMechanismList (§5.2).
struct OutList {
  static constexpr std::string_view name{"OutList"};
  using C = Types<CK_ULONG_PTR, CK_ULONG_PTR>;
  struct Value {
    CK_ULONG_PTR items;
    CK_ULONG count;
    CK_ULONG capacity;
  };
  static CK_RV check(CK_ULONG_PTR, CK_ULONG_PTR count) { return count == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK; }
  static void put_request(RequestWriter& to, CK_ULONG_PTR items, CK_ULONG_PTR count) {
    if (items == nullptr) return to.body.nil();
    to.body.uint(*count);
  }
  static void take_request(RequestReader& from, Value& value) {
    value = {nullptr, 0, 0};
    if (from.body.nil_if()) return;
    value.capacity = std::min<CK_ULONG>(from.body.uint(), limits::kMaxListItems);
    value.count = value.capacity;
    value.items = from.arena.make<CK_ULONG>(value.capacity);
  }
  static std::tuple<CK_ULONG_PTR, CK_ULONG_PTR> c(Value& value) { return {value.items, &value.count}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv != CKR_OK && to.rv != CKR_BUFFER_TOO_SMALL) return;
    to.body.uint(value.count);
    if (to.rv != CKR_OK || value.items == nullptr) return;
    const CK_ULONG given = std::min(value.count, value.capacity);
    to.body.array(given);
    for (CK_ULONG i = 0; i < given; ++i) to.body.uint(value.items[i]);
  }
  static void take_reply(ReplyReader& from, CK_ULONG_PTR items, CK_ULONG_PTR count) {
    if (from.rv != CKR_OK && from.rv != CKR_BUFFER_TOO_SMALL) return;
    const CK_ULONG total = from.body.uint();
    if (from.rv == CKR_OK && items != nullptr) {
      const std::size_t given = from.body.array(std::min<CK_ULONG>(*count, limits::kMaxListItems));
      for (std::size_t i = 0; i < given && from.body.ok(); ++i) items[i] = from.body.uint();
    }
    if (from.body.ok()) *count = total;
  }
};

// (array, capacity, count): C_FindObjects. The objects travel beside the body.
struct FoundObjects {
  static constexpr std::string_view name{"FoundObjects"};
  using C = Types<CK_ULONG_PTR, CK_ULONG, CK_ULONG_PTR>;
  struct Value {
    CK_ULONG_PTR objects;
    CK_ULONG capacity;
    CK_ULONG count;
  };
  static CK_RV check(CK_ULONG_PTR objects, CK_ULONG, CK_ULONG_PTR count) {
    return objects == nullptr || count == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_ULONG_PTR, CK_ULONG capacity, CK_ULONG_PTR) { to.body.uint(capacity); }
  static void take_request(RequestReader& from, Value& value) {
    value.capacity = std::min<CK_ULONG>(from.body.uint(), limits::kMaxListItems);
    value.objects = from.arena.make<CK_ULONG>(value.capacity);
    value.count = 0;
  }
  static std::tuple<CK_ULONG_PTR, CK_ULONG, CK_ULONG_PTR> c(Value& value) {
    return {value.objects, value.capacity, &value.count};
  }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv != CKR_OK) return;
    for (CK_ULONG i = 0; i < std::min(value.count, value.capacity); ++i) to.handles.add(value.objects[i]);
  }
  static void take_reply(ReplyReader& from, CK_ULONG_PTR objects, CK_ULONG capacity, CK_ULONG_PTR count) {
    if (from.rv != CKR_OK) return;
    const CK_ULONG found = from.handles.remaining();
    if (found > capacity) return from.body.fail();
    for (CK_ULONG i = 0; i < found; ++i) objects[i] = from.handles.take();
    *count = found;
  }
};

}  // namespace p11shim

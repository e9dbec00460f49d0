// Arguments that are byte strings: data in, data out with the two-call convention (§5.2), PINs, random data.
#pragma once

#include <algorithm>

#include "calls/argument.h"

namespace p11shim {

// (pointer, length) in. NULL and an empty string stay different, since modules treat them differently.
struct InBytes : InputOnly {
  static constexpr std::string_view name{"InBytes"};
  using C = Types<CK_BYTE_PTR, CK_ULONG>;
  struct Value {
    CK_BYTE_PTR bytes;
    CK_ULONG size;
  };
  // One frame carries at most kMaxBulk bytes.
  static CK_RV check(CK_BYTE_PTR bytes, CK_ULONG size) {
    return bytes != nullptr && size > limits::kMaxBulk ? CKR_DATA_LEN_RANGE : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_BYTE_PTR bytes, CK_ULONG size) {
    if (bytes == nullptr) return to.body.uint(size);  // NULL with the length that was claimed for it
    if (to.bulk == nullptr || !to.bulk->put(to.body, bytes, size)) to.body.bin(bytes, size);
  }
  static void take_request(RequestReader& from, Value& value) {
    value = {nullptr, 0};
    if (from.body.next_is_uint()) {
      value.size = from.body.uint();
      return;
    }
    const auto bytes =
        from.bulk != nullptr ? from.bulk->bytes(from.body, limits::kMaxBulk) : from.body.bin(limits::kMaxBulk);
    static CK_BYTE empty;  // an empty string's pointer is not NULL
    value.bytes = bytes.empty() ? &empty : const_cast<CK_BYTE_PTR>(bytes.data());
    value.size = bytes.size();
  }
  static std::tuple<CK_BYTE_PTR, CK_ULONG> c(Value& value) { return {value.bytes, value.size}; }
};

// A PIN or user name: like InBytes, and the buffers it passes through are wiped.
struct Pin : InBytes {
  static constexpr std::string_view name{"Pin"};
  static CK_RV check(CK_BYTE_PTR bytes, CK_ULONG size) {
    return bytes != nullptr && size > limits::kMaxPin ? CKR_PIN_LEN_RANGE : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_BYTE_PTR bytes, CK_ULONG size) {
    to.body.mark_secret();
    InBytes::put_request(to, bytes, size);
  }
  static void take_request(RequestReader& from, Value& value) {
    from.arena.mark_secret();
    InBytes::take_request(from, value);
  }
};

// The new token's label in C_InitToken: always 32 bytes, blank padded, not terminated (§5.5).
struct Label : InputOnly {
  static constexpr std::string_view name{"Label"};
  static constexpr std::size_t kSize = 32;
  using C = Types<CK_UTF8CHAR_PTR>;
  struct Value {
    CK_UTF8CHAR_PTR label;
  };
  static CK_RV check(CK_UTF8CHAR_PTR label) { return label == nullptr ? CKR_ARGUMENTS_BAD : CKR_OK; }
  static void put_request(RequestWriter& to, CK_UTF8CHAR_PTR label) { to.body.bin(label, kSize); }
  static void take_request(RequestReader& from, Value& value) {
    const auto bytes = from.body.bin(kSize);
    if (bytes.size() != kSize) from.body.fail();
    value.label = const_cast<CK_UTF8CHAR_PTR>(bytes.data());
  }
  static std::tuple<CK_UTF8CHAR_PTR> c(Value& value) { return {value.label}; }
};

// (buffer, in-out length). A NULL buffer asks for the length. The request says what the application's length variable
// holds, the reply what the module left in it, whatever it returned, and the bytes with CKR_OK if there was a buffer.
// `LengthOptional` is for C_SignMessageNext, where the length may be NULL.
template <bool LengthOptional>
struct OutBytesOr {
  static constexpr std::string_view name{LengthOptional ? "OutBytesOptional" : "OutBytes"};
  // NSS writes a whole digest into a buffer that is too small for it: nothing else may be hit.
  static constexpr std::size_t kOverrun = 64;
  using C = Types<CK_BYTE_PTR, CK_ULONG_PTR>;
  struct Value {
    CK_BYTE_PTR buffer;
    CK_ULONG size;
    CK_ULONG capacity;
    CK_ULONG stated;  // capacity as the application stated it
    bool no_length;
  };
  static CK_RV check(CK_BYTE_PTR, CK_ULONG_PTR size) {
    return size == nullptr && !LengthOptional ? CKR_ARGUMENTS_BAD : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_BYTE_PTR buffer, CK_ULONG_PTR size) {
    if (size == nullptr) return to.body.nil();
    if (buffer == nullptr) to.body.array(1);
    to.body.uint(*size);
  }
  static void take_request(RequestReader& from, Value& value) {
    value = {};
    value.no_length = from.body.nil_if();
    if (value.no_length) {
      if (!LengthOptional) from.body.fail();
      return;
    }
    const bool is_query = !from.body.next_is_uint();
    if (is_query) from.body.array_of(1);
    value.stated = from.body.uint();
    value.size = value.stated;
    if (is_query || !from.body.ok()) return;
    value.capacity = std::min<CK_ULONG>(value.stated, limits::kMaxBulk);
    value.size = value.capacity;
    if (from.bulk != nullptr) value.buffer = from.bulk->take(value.capacity + kOverrun);
    if (value.buffer == nullptr) value.buffer = from.arena.bytes(value.capacity + kOverrun);
  }
  static std::tuple<CK_BYTE_PTR, CK_ULONG_PTR> c(Value& value) {
    return {value.buffer, value.no_length ? nullptr : &value.size};
  }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (value.no_length) return;
    const bool untouched = value.buffer != nullptr && to.rv != CKR_OK && value.size == value.capacity;
    to.body.uint(untouched ? value.stated : value.size);
    // A module that claims more than the buffer holds has written beyond it or lies: the bytes that exist are sent.
    if (to.rv != CKR_OK || value.buffer == nullptr) return;
    const CK_ULONG size = std::min(value.size, value.capacity);
    if (to.arena != nullptr) to.arena->only_start_used(value.buffer, size);
    if (to.bulk == nullptr || !to.bulk->put(to.body, value.buffer, size)) to.body.bin(value.buffer, size);
  }
  static void take_reply(ReplyReader& from, CK_BYTE_PTR buffer, CK_ULONG_PTR size) {
    if (size == nullptr) return;
    if (from.rv != CKR_OK && from.body.remaining() == 0) return;  // proxyd's own answer: no module was asked
    const CK_ULONG length = from.body.uint();
    if (from.rv == CKR_OK && buffer != nullptr) {
      const auto bytes = from.bulk != nullptr ? from.bulk->bytes(from.body, *size) : from.body.bin(*size);
      if (from.body.ok()) std::copy(bytes.begin(), bytes.end(), buffer);
    }
    if (from.body.ok()) *size = length;
  }
};
using OutBytes = OutBytesOr<false>;
using OutBytesOptional = OutBytesOr<true>;

// (buffer, length) to be filled entirely: C_GenerateRandom.
struct FillBytes {
  static constexpr std::string_view name{"FillBytes"};
  using C = Types<CK_BYTE_PTR, CK_ULONG>;
  struct Value {
    CK_BYTE_PTR buffer;
    CK_ULONG size;
  };
  static CK_RV check(CK_BYTE_PTR buffer, CK_ULONG size) {
    return buffer != nullptr && size > limits::kMaxBulk ? CKR_DATA_LEN_RANGE : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_BYTE_PTR buffer, CK_ULONG size) {
    to.body.array(2);
    to.body.boolean(buffer != nullptr);
    to.body.uint(size);
  }
  static void take_request(RequestReader& from, Value& value) {
    from.body.array_of(2);
    const bool present = from.body.boolean();
    value.size = from.body.uint();
    if (present && value.size > limits::kMaxBulk) from.body.fail();
    value.buffer = present && from.body.ok() ? from.arena.bytes(value.size) : nullptr;
  }
  static std::tuple<CK_BYTE_PTR, CK_ULONG> c(Value& value) { return {value.buffer, value.size}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (to.rv == CKR_OK && value.buffer != nullptr) to.body.bin(value.buffer, value.size);
  }
  static void take_reply(ReplyReader& from, CK_BYTE_PTR buffer, CK_ULONG size) {
    if (from.rv != CKR_OK || buffer == nullptr) return;
    const auto bytes = from.body.bin(size);
    if (bytes.size() != size) from.body.fail();
    if (from.body.ok()) std::copy(bytes.begin(), bytes.end(), buffer);
  }
};

}  // namespace p11shim

// For each kind of argument: what an application may offer for it (in memory of its own, so that a sanitizer
// sees one byte too many), and a module's function that reads and writes everything it was given.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "calls/table.h"
#include "pkcs11/attributes.h"

namespace p11shim::fuzz {

inline volatile std::uint8_t sink;  // what was read must not be optimised away

inline void read_all(const void* bytes, std::size_t size) {
  std::uint8_t sum = 0;
  for (std::size_t i = 0; bytes != nullptr && i < size; ++i)
    sum = static_cast<std::uint8_t>(sum + static_cast<const std::uint8_t*>(bytes)[i]);
  sink = sum;
}
template <class T>
void write_all(T* place, std::size_t count) {
  if (place != nullptr && count != 0) std::memset(static_cast<void*>(place), 0x5a, count * sizeof(T));
}

inline void read_template(const CK_ATTRIBUTE* attributes, CK_ULONG count) {
  for (CK_ULONG i = 0; attributes != nullptr && i < count; ++i) {
    const bool is_nested = attribute_kind(attributes[i].type) == AttributeKind::attribute_template;
    if (is_nested && attributes[i].ulValueLen % sizeof(CK_ATTRIBUTE) == 0)
      read_template(static_cast<const CK_ATTRIBUTE*>(attributes[i].pValue),
                    attributes[i].ulValueLen / sizeof(CK_ATTRIBUTE));
    else read_all(attributes[i].pValue, attributes[i].ulValueLen);
  }
}
// As a module would: fills most values, leaves some out.
inline void fill_template(CK_ATTRIBUTE* attributes, CK_ULONG count, int depth = 0) {
  for (CK_ULONG i = 0; attributes != nullptr && i < count; ++i) {
    CK_ATTRIBUTE& attribute = attributes[i];
    const bool is_nested = depth == 0 && attribute_kind(attribute.type) == AttributeKind::attribute_template;
    if (attribute.pValue == nullptr) attribute.ulValueLen = 20;
    else if (i % 5 == 4) attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    else if (is_nested)
      fill_template(static_cast<CK_ATTRIBUTE*>(attribute.pValue), attribute.ulValueLen / sizeof(CK_ATTRIBUTE), 1);
    else write_all(static_cast<CK_BYTE*>(attribute.pValue), attribute.ulValueLen);
  }
}

template <class Kind>
struct Argument;

template <class Tag>
struct Argument<HandleIn<Tag>> {
  std::tuple<CK_ULONG> c() { return {1}; }
  static void touch(CK_ULONG) {}
};
template <class T>
struct Argument<NumberIn<T>> {
  std::tuple<T> c() { return {T{1}}; }
  static void touch(T) {}
};
template <>
struct Argument<Callback> {
  std::tuple<CK_VOID_PTR, CK_NOTIFY> c() { return {nullptr, nullptr}; }
  static void touch(CK_VOID_PTR, CK_NOTIFY) {}
};
template <>
struct Argument<InBytes> {
  std::vector<CK_BYTE> bytes = std::vector<CK_BYTE>(16);
  std::tuple<CK_BYTE_PTR, CK_ULONG> c() { return {bytes.data(), bytes.size()}; }
  static void touch(CK_BYTE_PTR seen, CK_ULONG size) { read_all(seen, size); }
};
template <>
struct Argument<Pin> : Argument<InBytes> {};
template <>
struct Argument<Label> {
  std::vector<CK_BYTE> bytes = std::vector<CK_BYTE>(Label::kSize);
  std::tuple<CK_UTF8CHAR_PTR> c() { return {bytes.data()}; }
  static void touch(CK_UTF8CHAR_PTR seen) { read_all(seen, Label::kSize); }
};
template <bool LengthOptional>
struct Argument<OutBytesOr<LengthOptional>> {
  std::vector<CK_BYTE> bytes = std::vector<CK_BYTE>(16);
  CK_ULONG size = bytes.size();
  std::tuple<CK_BYTE_PTR, CK_ULONG_PTR> c() { return {bytes.data(), &size}; }
  static void touch(CK_BYTE_PTR buffer, CK_ULONG_PTR room) {
    if (room != nullptr) write_all(buffer, *room);
  }
};
template <>
struct Argument<FillBytes> {
  std::vector<CK_BYTE> bytes = std::vector<CK_BYTE>(16);
  std::tuple<CK_BYTE_PTR, CK_ULONG> c() { return {bytes.data(), bytes.size()}; }
  static void touch(CK_BYTE_PTR buffer, CK_ULONG size) { write_all(buffer, size); }
};
template <>
struct Argument<OutList> {
  std::vector<CK_ULONG> items = std::vector<CK_ULONG>(4);
  CK_ULONG count = items.size();
  std::tuple<CK_ULONG_PTR, CK_ULONG_PTR> c() { return {items.data(), &count}; }
  static void touch(CK_ULONG_PTR places, CK_ULONG_PTR room) { write_all(places, *room); }
};
template <>
struct Argument<FoundObjects> {
  std::vector<CK_ULONG> objects = std::vector<CK_ULONG>(4);
  CK_ULONG count = 0;
  std::tuple<CK_ULONG_PTR, CK_ULONG, CK_ULONG_PTR> c() { return {objects.data(), objects.size(), &count}; }
  static void touch(CK_ULONG_PTR places, CK_ULONG room, CK_ULONG_PTR found) {
    write_all(places, room);
    *found = room;
  }
};
template <>
struct Argument<OutHandle> {
  std::unique_ptr<CK_ULONG> handle = std::make_unique<CK_ULONG>();
  std::tuple<CK_ULONG_PTR> c() { return {handle.get()}; }
  static void touch(CK_ULONG_PTR place) { write_all(place, 1); }
};
template <>
struct Argument<OutUlong> : Argument<OutHandle> {};
template <class Info>
struct Argument<OutInfo<Info>> {
  std::unique_ptr<Info> info = std::make_unique<Info>();
  std::tuple<Info*> c() { return {info.get()}; }
  static void touch(Info* place) { write_all(place, 1); }
};
template <>
struct Argument<InTemplate> {
  CK_ULONG number = 1;
  std::vector<CK_ATTRIBUTE> attributes{{CKA_CLASS, &number, sizeof number}};
  std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c() { return {attributes.data(), attributes.size()}; }
  static void touch(CK_ATTRIBUTE_PTR seen, CK_ULONG count) { read_template(seen, count); }
};
template <>
struct Argument<QueryTemplate> {
  std::vector<CK_BYTE> label = std::vector<CK_BYTE>(16), inner = std::vector<CK_BYTE>(16);
  std::unique_ptr<CK_ULONG> number = std::make_unique<CK_ULONG>();
  std::vector<CK_ATTRIBUTE> nested{{CKA_LABEL, inner.data(), inner.size()}};
  std::vector<CK_ATTRIBUTE> attributes{{CKA_CLASS, number.get(), sizeof(CK_ULONG)},
                                       {CKA_LABEL, label.data(), label.size()},
                                       {CKA_VALUE, nullptr, 0},
                                       {CKA_WRAP_TEMPLATE, nested.data(), sizeof(CK_ATTRIBUTE)}};
  std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c() { return {attributes.data(), attributes.size()}; }
  static void touch(CK_ATTRIBUTE_PTR seen, CK_ULONG count) { fill_template(seen, count); }
};
template <>
struct Argument<Mechanism> {
  std::vector<CK_BYTE> iv = std::vector<CK_BYTE>(8), password = iv;
  CK_PBE_PARAMS parameter{iv.data(), password.data(), password.size(), password.data(), password.size(), 1};
  CK_MECHANISM mechanism{CKM_PBE_MD5_DES_CBC, &parameter, sizeof parameter};
  std::tuple<CK_MECHANISM_PTR> c() { return {&mechanism}; }
  static void touch(CK_MECHANISM_PTR seen) {
    if (seen != nullptr) read_all(seen->pParameter, seen->pParameter == nullptr ? 0 : seen->ulParameterLen);
  }
};
template <>
struct Argument<MessageParam> {
  std::vector<CK_BYTE> iv = std::vector<CK_BYTE>(12), tag = std::vector<CK_BYTE>(16);
  CK_GCM_MESSAGE_PARAMS parameter{iv.data(), iv.size(), 32, CKG_GENERATE_COUNTER, tag.data(), 128};
  std::tuple<CK_VOID_PTR, CK_ULONG> c() { return {&parameter, sizeof parameter}; }
  static void touch(CK_VOID_PTR seen, CK_ULONG size) { read_all(seen, seen == nullptr ? 0 : size); }
};

// A function of a module that touches all its arguments.
template <class Call, class C = typename Call::C>
struct Toucher;
template <class Call, class... Parameter>
struct Toucher<Call, Types<Parameter...>> {
  static CK_RV function(Parameter... arguments) {
    std::tuple<Parameter...> flat(arguments...);
    each_argument([]<class Kind>(auto... c) { Argument<Kind>::touch(c...); }, flat, typename Call::Arguments{});
    return CKR_OK;
  }
};

}  // namespace p11shim::fuzz

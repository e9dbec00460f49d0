// For each kind of argument: what an application passes, what the module must then be called with, what the
// module answers, and what the application must find afterwards. Every value depends on a seed, so that
// swapped arguments show.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <numeric>
#include <vector>

#include "calls/table.h"

namespace p11shim {

enum class Variant {
  full,   // everything there, and buffers that suffice
  null,   // NULL wherever the standard has a meaning for it
  empty,  // nothing in the arrays
};

struct ProbeContext {
  Variant variant;
  CK_RV rv;  // what the module returns
  CK_ULONG seed;
  [[nodiscard]] bool writes_lengths() const { return rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL; }
};

inline std::vector<CK_BYTE> some_bytes(CK_ULONG seed, std::size_t size) {
  std::vector<CK_BYTE> bytes(size);
  std::iota(bytes.begin(), bytes.end(), static_cast<CK_BYTE>(seed * 16 + 1));
  return bytes;
}

constexpr CK_BYTE kUntouched = 0xee;

template <class K>
struct Probe;

struct ProbeBase {
  explicit ProbeBase(const ProbeContext& in) : context(in) {}
  template <class... C>
  void module_sees(C...) {}
  void application_sees() {}
  const ProbeContext& context;
};

template <class Tag>
struct Probe<HandleIn<Tag>> : ProbeBase {
  using ProbeBase::ProbeBase;
  CK_ULONG handle = 1000 + context.seed;
  std::tuple<CK_ULONG> c() { return {handle}; }
  void module_sees(CK_ULONG seen) { EXPECT_EQ(seen, handle); }
};

template <class T>
struct Probe<NumberIn<T>> : ProbeBase {
  using ProbeBase::ProbeBase;
  T number = static_cast<T>(context.variant == Variant::full ? T(~T{0}) - context.seed : context.seed);
  std::tuple<T> c() { return {number}; }
  void module_sees(T seen) { EXPECT_EQ(seen, number); }
};

template <>
struct Probe<Callback> : ProbeBase {
  using ProbeBase::ProbeBase;
  static CK_RV notify(CK_SESSION_HANDLE, CK_NOTIFICATION, CK_VOID_PTR) { return CKR_OK; }
  std::tuple<CK_VOID_PTR, CK_NOTIFY> c() { return {this, &notify}; }
  void module_sees(CK_VOID_PTR application, CK_NOTIFY callback) {
    EXPECT_EQ(application, nullptr) << "a pointer means nothing in another process";
    EXPECT_EQ(callback, nullptr);
  }
};

template <>
struct Probe<InBytes> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> bytes = some_bytes(context.seed, context.variant == Variant::full ? 40 + context.seed : 0);
  CK_BYTE nothing = 0;
  std::tuple<CK_BYTE_PTR, CK_ULONG> c() {
    if (context.variant == Variant::null) return {nullptr, 7 + context.seed};
    return {bytes.empty() ? &nothing : bytes.data(), bytes.size()};
  }
  void module_sees(CK_BYTE_PTR seen, CK_ULONG size) {
    if (context.variant == Variant::null) {
      EXPECT_EQ(seen, nullptr);
      EXPECT_EQ(size, 7 + context.seed) << "the length that was claimed";
      return;
    }
    ASSERT_NE(seen, nullptr);
    EXPECT_EQ(std::vector<CK_BYTE>(seen, seen + size), bytes);
  }
};
template <>
struct Probe<Pin> : Probe<InBytes> {
  using Probe<InBytes>::Probe;
};

template <>
struct Probe<Label> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> label = some_bytes(context.seed, Label::kSize);
  std::tuple<CK_UTF8CHAR_PTR> c() { return {label.data()}; }
  void module_sees(CK_UTF8CHAR_PTR seen) { EXPECT_EQ(std::vector<CK_BYTE>(seen, seen + Label::kSize), label); }
};

template <bool LengthOptional>
struct Probe<OutBytesOr<LengthOptional>> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> answer = some_bytes(context.seed, context.variant == Variant::empty ? 0 : 24);
  std::vector<CK_BYTE> buffer = std::vector<CK_BYTE>(context.variant == Variant::empty ? 1 : 30, kUntouched);
  CK_ULONG stated = context.variant == Variant::empty ? 0 : 28, size = stated;
  bool was_called = false;
  bool has_length = !(LengthOptional && context.variant == Variant::null);
  bool has_buffer = context.variant != Variant::null;
  std::tuple<CK_BYTE_PTR, CK_ULONG_PTR> c() {
    return {has_buffer ? buffer.data() : nullptr, has_length ? &size : nullptr};
  }
  void module_sees(CK_BYTE_PTR place, CK_ULONG_PTR length) {
    was_called = true;
    ASSERT_EQ(length != nullptr, has_length);
    EXPECT_EQ(place != nullptr, has_buffer);
    if (!has_length) return;
    EXPECT_EQ(*length, stated);
    if (has_buffer) std::copy(answer.begin(), answer.end(), place);
    *length = answer.size();
  }
  void application_sees() {
    if (!has_length) return;
    EXPECT_EQ(size, was_called ? answer.size() : stated) << "what the module left there, whatever it returned";
    const bool given = context.rv == CKR_OK && has_buffer;
    for (std::size_t i = 0; i < buffer.size(); ++i)
      EXPECT_EQ(buffer[i], given && i < answer.size() ? answer[i] : kUntouched) << "byte " << i;
  }
};

template <>
struct Probe<FillBytes> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> buffer = std::vector<CK_BYTE>(33, kUntouched);
  CK_ULONG size = context.variant == Variant::empty ? 0 : 32;
  std::tuple<CK_BYTE_PTR, CK_ULONG> c() { return {context.variant == Variant::null ? nullptr : buffer.data(), size}; }
  void module_sees(CK_BYTE_PTR place, CK_ULONG seen) {
    EXPECT_EQ(seen, size);
    ASSERT_EQ(place == nullptr, context.variant == Variant::null);
    if (place != nullptr) std::fill(place, place + size, CK_BYTE{0x11});
  }
  void application_sees() {
    const bool given = context.rv == CKR_OK && context.variant == Variant::full;
    for (std::size_t i = 0; i < buffer.size(); ++i) EXPECT_EQ(buffer[i], given && i < size ? 0x11 : kUntouched);
  }
};

template <>
struct Probe<OutList> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_ULONG> items = std::vector<CK_ULONG>(5, kUntouched);
  CK_ULONG count = context.variant == Variant::empty ? 0 : 4;
  std::vector<CK_ULONG> answer =
      context.variant == Variant::empty ? std::vector<CK_ULONG>{} : std::vector<CK_ULONG>{1, 0x80000001, ~0ul};
  std::tuple<CK_ULONG_PTR, CK_ULONG_PTR> c() {
    return {context.variant == Variant::null ? nullptr : items.data(), &count};
  }
  void module_sees(CK_ULONG_PTR places, CK_ULONG_PTR room) {
    ASSERT_EQ(places == nullptr, context.variant == Variant::null);
    if (places != nullptr) {
      EXPECT_EQ(*room, count);
      std::copy(answer.begin(), answer.end(), places);
    }
    *room = answer.size();
  }
  void application_sees() {
    EXPECT_EQ(count, context.writes_lengths() ? answer.size() : (context.variant == Variant::empty ? 0 : 4));
    const bool given = context.rv == CKR_OK && context.variant == Variant::full;
    for (std::size_t i = 0; i < items.size(); ++i)
      EXPECT_EQ(items[i], given && i < answer.size() ? answer[i] : kUntouched);
  }
};

template <>
struct Probe<FoundObjects> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_ULONG> objects = std::vector<CK_ULONG>(4, kUntouched);
  CK_ULONG count = kUntouched;
  CK_ULONG capacity = context.variant == Variant::full ? 3 : 0;
  CK_ULONG found = context.variant == Variant::full ? 2 : 0;
  std::tuple<CK_ULONG_PTR, CK_ULONG, CK_ULONG_PTR> c() { return {objects.data(), capacity, &count}; }
  void module_sees(CK_ULONG_PTR places, CK_ULONG room, CK_ULONG_PTR number) {
    EXPECT_EQ(room, capacity);
    for (CK_ULONG i = 0; i < found; ++i) places[i] = 70 + i;
    *number = found;
  }
  void application_sees() {
    EXPECT_EQ(count, context.rv == CKR_OK ? found : kUntouched);
    for (CK_ULONG i = 0; i < objects.size(); ++i)
      EXPECT_EQ(objects[i], context.rv == CKR_OK && i < found ? 70 + i : kUntouched);
  }
};

template <>
struct Probe<OutHandle> : ProbeBase {
  using ProbeBase::ProbeBase;
  CK_ULONG handle = kUntouched;
  std::tuple<CK_ULONG_PTR> c() { return {&handle}; }
  void module_sees(CK_ULONG_PTR place) { *place = 500 + context.seed; }
  void application_sees() { EXPECT_EQ(handle, context.rv == CKR_OK ? 500 + context.seed : kUntouched); }
};
template <>
struct Probe<OutUlong> : Probe<OutHandle> {
  using Probe<OutHandle>::Probe;
};

template <class Info>
struct Probe<OutInfo<Info>> : ProbeBase {
  explicit Probe(const ProbeContext& in) : ProbeBase(in) {
    std::memset(&info, kUntouched, sizeof info);
    // Through the fields, so that padding stays as it is.
    std::memset(&answer, 0, sizeof answer);
    CK_BYTE next = static_cast<CK_BYTE>(in.seed);
    std::apply([&](auto... field) { (std::memset(&(answer.*field), ++next, sizeof(answer.*field)), ...); },
               InfoFields<Info>::list);
  }
  Info info, answer;
  std::tuple<Info*> c() { return {&info}; }
  void module_sees(Info* place) { *place = answer; }
  void application_sees() {
    Info untouched;
    std::memset(&untouched, kUntouched, sizeof untouched);
    const Info& expected = context.rv == CKR_OK ? answer : untouched;
    const auto is_as_expected = [&](auto field) {
      return std::memcmp(&(info.*field), &(expected.*field), sizeof(info.*field)) == 0;
    };
    EXPECT_TRUE(std::apply([&](auto... field) { return (is_as_expected(field) && ...); }, InfoFields<Info>::list));
  }
};

template <>
struct Probe<InTemplate> : ProbeBase {
  using ProbeBase::ProbeBase;
  CK_ULONG object_class = CKO_SECRET_KEY + context.seed;
  std::vector<CK_BYTE> label = some_bytes(context.seed, 10);
  CK_ATTRIBUTE wrapped[1] = {{CKA_CLASS, &object_class, sizeof object_class}};
  std::array<CK_ATTRIBUTE, 4> attributes{{{CKA_CLASS, &object_class, sizeof object_class},
                                          {CKA_LABEL, label.data(), label.size()},
                                          {CKA_VENDOR_DEFINED + 3, nullptr, 5},
                                          {CKA_WRAP_TEMPLATE, wrapped, sizeof wrapped}}};
  std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c() {
    if (context.variant == Variant::null) return {nullptr, 3};
    return {attributes.data(), context.variant == Variant::empty ? 0 : attributes.size()};
  }
  void module_sees(CK_ATTRIBUTE_PTR seen, CK_ULONG count) {
    if (context.variant != Variant::full) {
      EXPECT_EQ(seen == nullptr, context.variant == Variant::null);
      EXPECT_EQ(count, context.variant == Variant::null ? 3u : 0u);
      return;
    }
    ASSERT_EQ(count, attributes.size());
    for (CK_ULONG i = 0; i < count; ++i) EXPECT_EQ(seen[i].type, attributes[i].type);
    for (CK_ULONG i = 0; i < count; ++i) EXPECT_EQ(seen[i].ulValueLen, attributes[i].ulValueLen);
    EXPECT_EQ(*static_cast<CK_ULONG*>(seen[0].pValue), object_class);
    EXPECT_EQ(std::memcmp(seen[1].pValue, label.data(), label.size()), 0);
    EXPECT_EQ(seen[2].pValue, nullptr);
    const auto* inner = static_cast<const CK_ATTRIBUTE*>(seen[3].pValue);
    EXPECT_EQ(inner->type, CKA_CLASS);
    EXPECT_EQ(*static_cast<CK_ULONG*>(inner->pValue), object_class);
  }
};

template <>
struct Probe<QueryTemplate> : ProbeBase {
  using ProbeBase::ProbeBase;
  CK_ULONG key_type = kUntouched;
  std::vector<CK_BYTE> label = std::vector<CK_BYTE>(12, kUntouched);
  std::array<CK_ATTRIBUTE, 4> attributes{{{CKA_KEY_TYPE, &key_type, sizeof key_type},
                                          {CKA_LABEL, label.data(), label.size()},
                                          {CKA_ID, nullptr, 0},
                                          {CKA_VALUE, nullptr, 0}}};
  std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c() {
    if (context.variant == Variant::null) return {nullptr, 2};
    return {attributes.data(), context.variant == Variant::empty ? 0 : attributes.size()};
  }
  void module_sees(CK_ATTRIBUTE_PTR seen, CK_ULONG count) {
    if (context.variant != Variant::full) {
      EXPECT_EQ(seen == nullptr, context.variant == Variant::null);
      EXPECT_EQ(count, context.variant == Variant::null ? 2u : 0u);
      return;
    }
    ASSERT_EQ(count, attributes.size());
    EXPECT_EQ(seen[1].ulValueLen, label.size());
    *static_cast<CK_ULONG*>(seen[0].pValue) = CKK_AES;
    std::memcpy(seen[1].pValue, "label", 5);
    seen[1].ulValueLen = 5;
    EXPECT_EQ(seen[2].pValue, nullptr);
    seen[2].ulValueLen = 20;
    seen[3].ulValueLen = CK_UNAVAILABLE_INFORMATION;
  }
  void application_sees() {
    const bool given = context.variant == Variant::full && answers_attributes(context.rv);
    EXPECT_EQ(key_type, given ? CKK_AES : kUntouched);
    EXPECT_EQ(std::memcmp(label.data(), given ? "label\xee" : "\xee\xee\xee\xee\xee\xee", 6), 0);
    EXPECT_EQ(attributes[1].ulValueLen, given ? 5u : 12u);
    EXPECT_EQ(attributes[2].ulValueLen, given ? 20u : 0u);
    EXPECT_EQ(attributes[3].ulValueLen, given ? CK_UNAVAILABLE_INFORMATION : 0u);
  }
};

// A mechanism whose parameter has a part that modules write: the IV of password-based encryption.
template <>
struct Probe<Mechanism> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> password = some_bytes(context.seed, 6), salt = some_bytes(context.seed + 1, 8);
  std::vector<CK_BYTE> iv = std::vector<CK_BYTE>(8, kUntouched);
  CK_PBE_PARAMS parameter{iv.data(), password.data(), password.size(), salt.data(), salt.size(), 1000 + context.seed};
  CK_MECHANISM mechanism = context.variant == Variant::full
                               ? CK_MECHANISM{CKM_PBE_MD5_DES_CBC, &parameter, sizeof parameter}
                               : CK_MECHANISM{CKM_VENDOR_DEFINED + context.seed, nullptr, 0};
  std::tuple<CK_MECHANISM_PTR> c() { return {context.variant == Variant::null ? nullptr : &mechanism}; }
  void module_sees(CK_MECHANISM_PTR seen) {
    ASSERT_EQ(seen == nullptr, context.variant == Variant::null);
    if (seen == nullptr) return;
    EXPECT_EQ(seen->mechanism, mechanism.mechanism);
    ASSERT_EQ(seen->ulParameterLen, mechanism.ulParameterLen);
    ASSERT_EQ(seen->pParameter == nullptr, context.variant == Variant::empty);
    if (context.variant == Variant::empty) return;
    const auto* given = static_cast<const CK_PBE_PARAMS*>(seen->pParameter);
    EXPECT_EQ(std::vector<CK_BYTE>(given->pPassword, given->pPassword + given->ulPasswordLen), password);
    EXPECT_EQ(std::vector<CK_BYTE>(given->pSalt, given->pSalt + given->ulSaltLen), salt);
    EXPECT_EQ(given->ulIteration, parameter.ulIteration);
    std::memset(given->pInitVector, 0x22, 8);
  }
  void application_sees() {
    const bool given = context.rv == CKR_OK && context.variant == Variant::full;
    EXPECT_EQ(iv, std::vector<CK_BYTE>(8, given ? 0x22 : kUntouched));
  }
};

constexpr CK_MECHANISM_TYPE kMessageMechanism = CKM_AES_GCM;

template <>
struct Probe<MessageParam> : ProbeBase {
  using ProbeBase::ProbeBase;
  std::vector<CK_BYTE> iv = some_bytes(context.seed, 12), sent_iv = iv;
  std::vector<CK_BYTE> tag = std::vector<CK_BYTE>(16, kUntouched);
  CK_GCM_MESSAGE_PARAMS parameter{iv.data(), iv.size(), 32, CKG_GENERATE_COUNTER, tag.data(), 128};
  std::tuple<CK_VOID_PTR, CK_ULONG> c() {
    if (context.variant == Variant::full) return {&parameter, sizeof parameter};
    return {nullptr, 0};
  }
  void module_sees(CK_VOID_PTR seen, CK_ULONG size) {
    if (context.variant != Variant::full) {
      EXPECT_EQ(seen, nullptr);
      EXPECT_EQ(size, 0u);
      return;
    }
    ASSERT_EQ(size, sizeof parameter);
    const auto* given = static_cast<const CK_GCM_MESSAGE_PARAMS*>(seen);
    EXPECT_EQ(std::vector<CK_BYTE>(given->pIv, given->pIv + given->ulIvLen), iv);
    EXPECT_EQ(given->ulIvFixedBits, 32u);
    EXPECT_EQ(given->ivGenerator, CKG_GENERATE_COUNTER);
    EXPECT_EQ(given->ulTagBits, 128u);
    std::memset(given->pIv, 0x33, given->ulIvLen);
    std::memset(given->pTag, 0x44, 16);
  }
  void application_sees() {
    const bool given = context.rv == CKR_OK && context.variant == Variant::full;
    EXPECT_EQ(iv, given ? std::vector<CK_BYTE>(12, 0x33) : sent_iv);
    EXPECT_EQ(tag, std::vector<CK_BYTE>(16, given ? 0x44 : kUntouched));
  }
};

}  // namespace p11shim

// A pointer and a length whose meaning depends on a type: the parameter of a mechanism, a data parameter of a
// KDF, … It is one of a few structs, told apart by the length, or flat bytes. On the wire:
//
//   nil                     NULL, length 0
//   n                       NULL, with a length of n claimed for it; also lengths that no frame could carry
//   bin                     flat bytes
//   [layout, field, …]      the struct of that number in the list of layouts
//   [nil, n]                not NULL, but n fits no layout: the receiver makes n zero bytes, so that the
//   module's own check of
//                           the length answers, and no pointer of one process is ever read in another
//
// For the same reason a worker refuses flat bytes and zero bytes of a layout's size where layouts are known.
#pragma once

#include "calls/parameter_structs.h"

namespace p11shim::params {

// The last of a list of layouts, for parameters that are also, or only, plain bytes.
struct Flat {};

template <class... L>
struct Layouts {
  static constexpr bool kFlat = (std::is_same_v<L, Flat> || ...);
  static constexpr CK_ULONG kMaxZeroes = 64 << 10;

  static void put(Writer& to, const void* parameter, CK_ULONG size) {
    if (parameter == nullptr) return size == 0 ? to.out.nil() : to.out.uint(size);
    std::size_t number = 0;
    if ((put_if<L>(to, parameter, size, number++) || ...)) return;
    if (kFlat ? size > limits::kMaxBulk : size > kMaxZeroes) return to.out.uint(size);
    if constexpr (kFlat) return to.out.bin(parameter, size);
    to.out.array(2);
    to.out.nil();
    to.out.uint(size);
  }

  static void take(Reader& from, CK_VOID_PTR& parameter, CK_ULONG& size) {
    parameter = nullptr;
    size = 0;
    if (from.in.nil_if()) return;
    if (from.in.next_is_uint()) {
      size = from.in.uint();
      return;
    }
    if (is_bin(from.in.peek())) return take_flat(from, parameter, size);
    const std::size_t count = from.in.array(kMaxItems);
    if (from.in.nil_if()) return take_zeroes(from, count, parameter, size);
    const std::uint64_t wanted = from.in.uint_max(sizeof...(L) - 1);
    std::uint64_t number = 0;
    if (!from.in.ok() || !(take_if<L>(from, wanted, number++, count, parameter, size) || ...)) return from.in.fail();
    // Whoever looks at the struct later must come to the same layout as the sender.
    if (from.in.ok() && find(parameter, size, 1) != wanted) from.in.fail();
    if (from.in.ok()) return;
    parameter = nullptr;
    size = 0;
  }

  static void put_outputs(OutputWriter& to, const void* parameter, CK_ULONG size) {
    const std::size_t wanted = find(parameter, size, 1);
    std::size_t number = 0;
    if (!(put_outputs_if<L>(to, parameter, wanted, number++) || ...)) to.out.nil();
  }
  static void take_outputs(OutputReader& from, CK_VOID_PTR parameter, CK_ULONG size) {
    const std::size_t wanted = find(parameter, size, 0);
    std::size_t number = 0;
    if (!(take_outputs_if<L>(from, parameter, wanted, number++) || ...)) from.in.nil();
  }

  static void describe(Text& to, const void* parameter, CK_ULONG size) {
    const std::size_t wanted = find(parameter, size, 0);
    std::size_t number = 0;
    if ((describe_if<L>(to, parameter, wanted, number++) || ...)) return;
    if (parameter != nullptr || size != 0) to.add_bytes(parameter, size);
  }

 private:
  static constexpr std::size_t kMaxItems = 32;  // a layout's number and its values
  static constexpr std::size_t kNone = sizeof...(L);

  static constexpr bool is_bin(std::uint8_t tag) { return tag == 0xc4 || tag == 0xc5 || tag == 0xc6; }

  template <class S>
  static bool matches(const void* parameter, CK_ULONG size, std::size_t copy) {
    if constexpr (std::is_same_v<S, Flat>) return false;
    else return size == sizeof(S) && fits(static_cast<const S*>(parameter)[copy]);
  }
  // The number of the layout, or kNone. In a worker copy 1 of the struct is looked at, which the module does
  // not know.
  static std::size_t find(const void* parameter, CK_ULONG size, std::size_t copy) {
    std::size_t number = 0;
    if (parameter != nullptr && ((matches<L>(parameter, size, copy) || (++number, false)) || ...)) return number;
    return kNone;
  }
  template <class S>
  static constexpr CK_ULONG size_of() {
    if constexpr (std::is_same_v<S, Flat>) return CK_UNAVAILABLE_INFORMATION;
    else return sizeof(S);
  }
  static constexpr bool is_size_of_layout(CK_ULONG size) { return ((size == size_of<L>()) || ...); }

  template <class S>
  static bool put_if(Writer& to, const void* parameter, CK_ULONG size, std::size_t number) {
    if constexpr (std::is_same_v<S, Flat>) return false;
    else {
      using Fields = FieldsOf<Params<S>>;
      static_assert(Fields::values + 1 <= kMaxItems);
      if (!matches<S>(parameter, size, 0)) return false;
      to.out.array(1 + Fields::values);
      to.out.uint(number);
      Fields::put(to, *static_cast<const S*>(parameter));
      return true;
    }
  }
  template <class S>
  static bool take_if(Reader& from, std::uint64_t wanted, std::uint64_t number, std::size_t count,
                      CK_VOID_PTR& parameter, CK_ULONG& size) {
    if constexpr (std::is_same_v<S, Flat>) return false;
    else {
      using Fields = FieldsOf<Params<S>>;
      if (wanted != number || count != 1 + Fields::values) return false;
      S* structs = from.arena.make<S>(2);
      Fields::take(from, structs[0]);
      structs[1] = structs[0];
      parameter = structs;
      size = sizeof(S);
      return true;
    }
  }
  static void take_flat(Reader& from, CK_VOID_PTR& parameter, CK_ULONG& size) {
    const auto bytes = from.in.bin(limits::kMaxBulk);
    if (!kFlat || is_size_of_layout(bytes.size())) from.in.fail();
    if (!from.in.ok()) return;
    parameter = copy_bytes(from, bytes);
    size = bytes.size();
  }
  static void take_zeroes(Reader& from, std::size_t count, CK_VOID_PTR& parameter, CK_ULONG& size) {
    const CK_ULONG zeroes = from.in.uint_max(kMaxZeroes);
    if (count != 2 || kFlat || is_size_of_layout(zeroes)) from.in.fail();
    if (!from.in.ok()) return;
    parameter = from.arena.make<std::uint8_t>(zeroes);
    size = zeroes;
  }
  template <class S>
  static bool put_outputs_if(OutputWriter& to, const void* parameter, std::size_t wanted, std::size_t number) {
    if constexpr (!writes_back<S>()) return false;
    else {
      if (wanted != number) return false;
      const S* structs = static_cast<const S*>(parameter);
      to.out.array(FieldsOf<Params<S>>::outputs);
      FieldsOf<Params<S>>::put_outputs(to, structs[0], structs[1]);
      return true;
    }
  }
  template <class S>
  static bool take_outputs_if(OutputReader& from, CK_VOID_PTR parameter, std::size_t wanted, std::size_t number) {
    if constexpr (!writes_back<S>()) return false;
    else {
      if (wanted != number) return false;
      from.in.array_of(FieldsOf<Params<S>>::outputs);
      FieldsOf<Params<S>>::take_outputs(from, *static_cast<S*>(parameter));
      return true;
    }
  }
  template <class S>
  static bool describe_if(Text& to, const void* parameter, std::size_t wanted, std::size_t number) {
    if constexpr (std::is_same_v<S, Flat>) return false;
    else {
      if (wanted != number) return false;
      FieldsOf<Params<S>>::describe(to, *static_cast<const S*>(parameter));
      return true;
    }
  }
  template <class S>
  static constexpr bool writes_back() {
    if constexpr (std::is_same_v<S, Flat>) return false;
    else return FieldsOf<Params<S>>::writes_back;
  }
};

// (type, pointer, length) inside a struct: the type says which layouts the pointer may have; without a case,
// flat bytes.
template <CK_ULONG Type, class CaseLayouts>
struct Case {
  static constexpr CK_ULONG type = Type;
  using Codec = CaseLayouts;
};
template <auto Type, auto Member, auto Length, class... C>
struct Typed : InputField {
  using S = StructOf<Type>;
  static constexpr std::string_view kind = "typed value";
  static constexpr auto member = Type;
  static constexpr std::size_t values = 2;
  static void put(Writer& to, const S& s) {
    to.out.uint(s.*Type);
    if (((s.*Type == C::type && (C::Codec::put(to, s.*Member, s.*Length), true)) || ...)) return;
    Layouts<Flat>::put(to, s.*Member, s.*Length);
  }
  static void take(Reader& from, S& s) {
    s.*Type = from.in.uint();
    if (((s.*Type == C::type && (C::Codec::take(from, s.*Member, s.*Length), true)) || ...)) return;
    Layouts<Flat>::take(from, s.*Member, s.*Length);
  }
  static void describe(Text&, const S&) {}
};

}  // namespace p11shim::params

// Fields that hold more than bytes: structs inside structs, arrays, nested mechanisms and templates, returned
// key material; and how a whole parameter travels when its struct depends on a type or a length.
#pragma once

#include <array>
#include <utility>

#include "calls/parameter_fields.h"

namespace p11shim::params {

// The description of a struct: its name and its fields. mechanism_params.h has them all.
template <class S>
struct Params;

// A struct that a parameter may be, if its length fits, can be told from others of the same size by its
// content.
template <class S>
bool fits(const S&) {
  return true;
}

// All fields of a described struct, in order.
template <class Description, class Fields = typename Description::Fields>
struct FieldsOf;
template <class D, class... F>
struct FieldsOf<D, Types<F...>> {
  using S = typename D::Struct;
  static constexpr std::size_t values = (std::size_t{0} + ... + F::values);
  static constexpr std::size_t outputs = (std::size_t{0} + ... + F::outputs);
  static constexpr bool writes_back = (false || ... || F::writes_back);
  static void put(Writer& to, const S& s) { (F::put(to, s), ...); }
  static void take(Reader& from, S& s) { (F::take(from, s), ...); }
  static void put_outputs(OutputWriter& to, const S& now, const S& asked) { (F::put_outputs(to, now, asked), ...); }
  static void take_outputs(OutputReader& from, S& s) { (F::take_outputs(from, s), ...); }
  static void describe(Text& to, const S& s) { (F::describe(to, s), ...); }
};

// A struct inside a struct.
template <auto Member, class Description = Params<TypeOf<Member>>>
struct Inline {
  using S = StructOf<Member>;
  using Inner = FieldsOf<Description>;
  static constexpr std::string_view kind = Description::name;
  static constexpr auto member = Member;
  static constexpr std::size_t values = Inner::values;
  static constexpr std::size_t outputs = Inner::outputs;
  static constexpr bool writes_back = Inner::writes_back;
  static void put(Writer& to, const S& s) { Inner::put(to, s.*Member); }
  static void take(Reader& from, S& s) { Inner::take(from, s.*Member); }
  static void put_outputs(OutputWriter& to, const S& now, const S& asked) {
    Inner::put_outputs(to, now.*Member, asked.*Member);
  }
  static void take_outputs(OutputReader& from, S& s) { Inner::take_outputs(from, s.*Member); }
  static void describe(Text& to, const S& s) { Inner::describe(to, s.*Member); }
};

// A pointer to one struct, or NULL.
template <auto Member>
struct Pointer : InputField {
  using S = StructOf<Member>;
  using T = std::remove_pointer_t<TypeOf<Member>>;
  using Inner = FieldsOf<Params<T>>;
  static_assert(!Inner::writes_back);
  static constexpr const char* form = "pointer to ";
  static constexpr std::string_view kind = Params<T>::name;
  static constexpr auto member = Member;
  static void put(Writer& to, const S& s) {
    if (s.*Member == nullptr) return to.out.nil();
    to.out.array(Inner::values);
    Inner::put(to, *(s.*Member));
  }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    if (from.in.nil_if()) return;
    from.in.array_of(Inner::values);
    s.*Member = from.arena.make<T>();
    Inner::take(from, *(s.*Member));
  }
  static void describe(Text& to, const S& s) {
    s.*Member == nullptr ? to.add("NULL") : Inner::describe(to, *(s.*Member));
  }
};

// A pointer to `Count` structs. NULL, and more of them than anyone needs, keep the number that was claimed.
template <auto Member, auto Count>
struct ArrayOf : InputField {
  using S = StructOf<Member>;
  using T = std::remove_pointer_t<TypeOf<Member>>;
  using Inner = FieldsOf<Params<T>>;
  static_assert(Inner::outputs == 0, "the items of an array give back handles only");
  static constexpr const char* form = "array of ";
  static constexpr std::string_view kind = Params<T>::name;
  static constexpr auto member = Member;
  static constexpr bool writes_back = Inner::writes_back;
  static void put(Writer& to, const S& s) {
    if (s.*Member == nullptr || s.*Count > limits::kMaxParameterItems) return to.out.uint(s.*Count);
    to.out.array(s.*Count);
    for (CK_ULONG i = 0; i < s.*Count; ++i) {
      to.out.array(Inner::values);
      Inner::put(to, (s.*Member)[i]);
    }
  }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    if (from.in.next_is_uint()) {
      s.*Count = from.in.uint();
      return;
    }
    s.*Count = from.in.array(limits::kMaxParameterItems);
    if (!from.in.ok()) return;
    s.*Member = from.arena.make<T>(2 * s.*Count);
    for (CK_ULONG i = 0; i < s.*Count && from.in.ok(); ++i) {
      from.in.array_of(Inner::values);
      Inner::take(from, (s.*Member)[i]);
      (s.*Member)[s.*Count + i] = (s.*Member)[i];
    }
  }
  static void put_outputs(OutputWriter& to, const S&, const S& asked) {
    if constexpr (writes_back)
      for (CK_ULONG i = 0; asked.*Member != nullptr && i < asked.*Count; ++i)
        Inner::put_outputs(to, (asked.*Member)[i], (asked.*Member)[asked.*Count + i]);
  }
  static void take_outputs(OutputReader& from, S& s) {
    if constexpr (writes_back)
      for (CK_ULONG i = 0; s.*Member != nullptr && s.*Count <= limits::kMaxParameterItems && i < s.*Count; ++i)
        Inner::take_outputs(from, (s.*Member)[i]);
  }
  static void describe(Text& to, const S& s) { to.add(std::to_string(s.*Count) + " " + std::string(kind)); }
};

// The elements of nested mechanisms and of whole parameters; mechanism_encode.cpp and its neighbours define
// them.
void put_mechanism(Writer& to, const CK_MECHANISM& mechanism);
void take_mechanism(Reader& from, CK_MECHANISM& mechanism);
std::string mechanism_text(const CK_MECHANISM& mechanism, std::size_t depth);

template <auto Member>
struct MechanismPointer : InputField {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "mechanism";
  static constexpr auto member = Member;
  static void put(Writer& to, const S& s) {
    if (s.*Member == nullptr || to.depth == limits::kMaxMechanismDepth) return to.out.nil();
    Writer inner{to.out, to.handles, to.depth + 1};
    put_mechanism(inner, *(s.*Member));
  }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    if (from.in.nil_if()) return;
    if (from.depth == limits::kMaxMechanismDepth) return from.in.fail();
    s.*Member = from.arena.make<CK_MECHANISM>();
    Reader inner{from.in, from.handles, from.arena, from.depth + 1};
    take_mechanism(inner, *(s.*Member));
  }
  static void describe(Text& to, const S& s) {
    to.add(s.*Member == nullptr ? "NULL" : mechanism_text(*(s.*Member), to.depth() + 1));
  }
};

template <auto Member>
struct CString : InputField {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "string";
  static constexpr auto member = Member;
  static constexpr std::size_t kMaxLength = 64 << 10;
  static std::size_t length(const S& s) { return strnlen(reinterpret_cast<const char*>(s.*Member), kMaxLength); }
  static void put(Writer& to, const S& s) { s.*Member == nullptr ? to.out.nil() : to.out.bin(s.*Member, length(s)); }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    if (from.in.nil_if()) return;
    const auto bytes = from.in.bin(kMaxLength);
    auto* text = from.arena.make<std::uint8_t>(bytes.size() + 1);
    if (!bytes.empty()) std::memcpy(text, bytes.data(), bytes.size());
    s.*Member = text;
  }
  static void describe(Text& to, const S& s) {
    s.*Member == nullptr ? to.add("NULL") : to.add_bytes(s.*Member, length(s));
  }
};

template <auto Member, auto Count>
struct Template : InputField {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "template";
  static constexpr auto member = Member;
  static void put(Writer& to, const S& s) {
    to.out.mark_secret();
    encode_template(to.out, s.*Count > limits::kMaxAttributes ? nullptr : s.*Member, s.*Count);
  }
  static void take(Reader& from, S& s) {
    from.arena.mark_secret();
    decode_template(from.in, from.arena, s.*Member, s.*Count);
  }
  static void describe(Text& to, const S& s) { to.add(std::to_string(s.*Count) + " attributes"); }
};

// A pointer to a handle that the module returns.
template <auto Member>
struct OutHandlePointer {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "out handle";
  static constexpr auto member = Member;
  static constexpr std::size_t values = 1;
  static constexpr std::size_t outputs = 0;
  static constexpr bool writes_back = true;
  static void put(Writer& to, const S& s) { to.out.boolean(s.*Member != nullptr); }
  static void take(Reader& from, S& s) {
    s.*Member = from.in.boolean() ? from.arena.make<CK_OBJECT_HANDLE>() : nullptr;
  }
  static void put_outputs(OutputWriter& to, const S&, const S& asked) {
    if (asked.*Member != nullptr) to.handles.add(*(asked.*Member));
  }
  static void take_outputs(OutputReader& from, S& s) {
    if (s.*Member == nullptr) return;
    const CK_OBJECT_HANDLE handle = from.handles.take();
    if (from.in.ok() && !from.handles.exhausted()) *(s.*Member) = handle;
  }
  static void describe(Text&, const S&) {}
};

// The struct of handles and IVs that SSL, TLS and WTLS key derivation returns. The IVs' size is in the outer
// struct.
template <auto... Member>
struct OutHandles {};
template <auto... Member>
struct OutIvs {};

template <auto Member, class IvSize, class Ivs, class Handles>
struct KeyMaterial;
template <auto Member, class IvSize, auto... Iv, auto... Returned>
struct KeyMaterial<Member, IvSize, OutIvs<Iv...>, OutHandles<Returned...>> {
  using S = StructOf<Member>;
  using T = std::remove_pointer_t<TypeOf<Member>>;
  static constexpr std::string_view kind = "key material";
  static constexpr auto member = Member;
  static constexpr std::size_t values = 1;
  static constexpr std::size_t outputs = 1;
  static constexpr bool writes_back = true;

  static void put(Writer& to, const S& s) {
    if (s.*Member == nullptr) return to.out.nil();
    to.out.array(sizeof...(Iv));
    (to.out.boolean((s.*Member)->*Iv != nullptr && IvSize::of(s) <= limits::kMaxBulk), ...);
  }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    if (from.in.nil_if()) return;
    from.in.array_of(sizeof...(Iv));
    T* material = from.arena.make<T>(2);
    (take_iv(from, s, material->*Iv), ...);
    material[1] = material[0];
    s.*Member = material;
  }
  static void put_outputs(OutputWriter& to, const S&, const S& asked) {
    const T* material = asked.*Member;
    if (material == nullptr) return to.out.nil();
    (to.handles.add(material->*Returned), ...);
    to.out.array(sizeof...(Iv));
    (put_iv(to, material[1].*Iv, IvSize::of(asked)), ...);
  }
  static void take_outputs(OutputReader& from, S& s) {
    if (from.in.nil_if()) return;
    if (s.*Member == nullptr) return from.in.fail();
    (take_handle(from, (s.*Member)->*Returned), ...);
    from.in.array_of(sizeof...(Iv));
    (take_written_iv(from, (s.*Member)->*Iv, IvSize::of(s)), ...);
  }
  static void describe(Text&, const S&) {}

 private:
  static void take_iv(Reader& from, const S& s, CK_BYTE_PTR& iv) {
    if (!from.in.boolean()) return;
    if (IvSize::of(s) > limits::kMaxBulk) return from.in.fail();
    iv = from.arena.make<CK_BYTE>(IvSize::of(s));
  }
  static void put_iv(OutputWriter& to, const CK_BYTE* iv, CK_ULONG size) {
    iv == nullptr ? to.out.nil() : to.out.bin(iv, size);
  }
  static void take_handle(OutputReader& from, CK_OBJECT_HANDLE& place) {
    const CK_OBJECT_HANDLE handle = from.handles.take();
    if (from.in.ok() && !from.handles.exhausted()) place = handle;
  }
  static void take_written_iv(OutputReader& from, CK_BYTE_PTR iv, CK_ULONG size) {
    if (from.in.nil_if()) return;
    const auto bytes = from.in.bin(limits::kMaxBulk);
    if (iv == nullptr || bytes.size() != size) return from.in.fail();
    write_back(iv, bytes);
  }
};

// A buffer to be filled, with its capacity, then its length, in the struct itself.
template <auto Member, auto Length>
struct SizedOutput {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "out buffer";
  static constexpr auto member = Member;
  static constexpr std::size_t values = 1;
  static constexpr std::size_t outputs = 2;
  static constexpr bool writes_back = true;
  static void put(Writer& to, const S& s) { s.*Member == nullptr ? to.out.nil() : to.out.uint(s.*Length); }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    s.*Length = 0;
    if (from.in.nil_if()) return;
    s.*Length = std::min<CK_ULONG>(from.in.uint(), limits::kMaxAttributeCapacity);
    s.*Member = from.arena.make<CK_BYTE>(s.*Length);
  }
  static void put_outputs(OutputWriter& to, const S& now, const S& asked) {
    to.out.uint(now.*Length);
    if (asked.*Member == nullptr) return to.out.nil();
    to.out.bin(asked.*Member, std::min(now.*Length, asked.*Length));
  }
  static void take_outputs(OutputReader& from, S& s) {
    const CK_ULONG length = from.in.uint();
    if (!from.in.nil_if()) {
      const auto bytes = from.in.bin(s.*Length);
      if (s.*Member == nullptr) return from.in.fail();
      if (from.in.ok()) write_back(s.*Member, bytes);
    }
    if (from.in.ok()) s.*Length = length;
  }
  static void describe(Text& to, const S& s) { to.add_bytes(s.*Member, s.*Length); }
};

// The same with a pointer to the length. In the worker the capacity is kept behind the length.
template <auto Member, auto LengthPointer>
struct PointedOutput {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "out buffer";
  static constexpr auto member = Member;
  static constexpr std::size_t values = 1;
  static constexpr std::size_t outputs = 2;
  static constexpr bool writes_back = true;
  static void put(Writer& to, const S& s) {
    if (s.*LengthPointer == nullptr) return to.out.nil();
    if (s.*Member == nullptr) to.out.array(1);  // a length without a buffer
    to.out.uint(*(s.*LengthPointer));
  }
  static void take(Reader& from, S& s) {
    s.*Member = nullptr;
    s.*LengthPointer = nullptr;
    if (from.in.nil_if()) return;
    const bool has_buffer = from.in.next_is_uint();
    if (!has_buffer) from.in.array_of(1);
    const CK_ULONG capacity = std::min<CK_ULONG>(from.in.uint(), limits::kMaxAttributeCapacity);
    s.*LengthPointer = from.arena.make<CK_ULONG>(2);
    (s.*LengthPointer)[0] = (s.*LengthPointer)[1] = capacity;
    if (has_buffer) s.*Member = from.arena.make<CK_BYTE>(capacity);
    from.arena.mark_secret();
  }
  static void put_outputs(OutputWriter& to, const S&, const S& asked) {
    const CK_ULONG* length = asked.*LengthPointer;
    length == nullptr ? to.out.nil() : to.out.uint(*length);
    if (length == nullptr || asked.*Member == nullptr) return to.out.nil();
    to.out.mark_secret();
    to.out.bin(asked.*Member, std::min(length[0], length[1]));
  }
  static void take_outputs(OutputReader& from, S& s) {
    if (s.*LengthPointer == nullptr) {
      from.in.nil();
      return from.in.nil();
    }
    const CK_ULONG length = from.in.uint();
    if (!from.in.nil_if()) {
      const auto bytes = from.in.bin(*(s.*LengthPointer));
      if (s.*Member == nullptr) return from.in.fail();
      if (from.in.ok()) write_back(s.*Member, bytes);
    }
    if (from.in.ok()) *(s.*LengthPointer) = length;
  }
  static void describe(Text& to, const S& s) {
    to.add_bytes(s.*Member, s.*LengthPointer == nullptr ? 0 : *(s.*LengthPointer));
  }
};

}  // namespace p11shim::params

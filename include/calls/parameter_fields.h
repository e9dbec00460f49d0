// The kinds of fields that mechanism-parameter structs are made of. Each kind knows the directions in which a
// field travels, and how it is shown; mechanism_params.h lists the fields of every struct, once.
//
//   shim:    put                        worker: take
//   shim:    take_outputs             ← worker: put_outputs      (fields that a module writes)
//   logs:    describe                   numbers by name or value; of bytes only how many there are
//
// `kind`, `member` and `form` say what a field is (for the list of the protocol);
// `values` is how many msgpack values a field adds to the request, `outputs` how many to the reply,
// `writes_back` whether a module writes it at all (handles travel beside the body). A worker's structs come
// in pairs: the second one keeps what was asked (`asked`), since a module may overwrite pointers and lengths
// in the first (`now`).
#pragma once

#include <cstring>
#include <limits>
#include <string>

#include "calls/arena.h"
#include "calls/templates.h"
#include "pkcs11/names.h"

namespace p11shim::params {

struct Writer {
  Out& out;
  Handles& handles;
  std::size_t depth = 0;  // of nested mechanisms
};
struct Reader {
  In& in;
  Handles& handles;
  Arena& arena;
  std::size_t depth = 0;
};
struct OutputWriter {
  Out& out;
  Handles& handles;
};
struct OutputReader {
  In& in;
  Handles& handles;
};

// "a, b, c", never the content of a byte string.
class Text {
 public:
  explicit Text(std::size_t depth) : depth_(depth) {}
  void add(const std::string& item) { text_ += (text_.empty() ? "" : ", ") + item; }
  void add_bytes(const void* bytes, CK_ULONG size) {
    if (size == 0) return add(bytes == nullptr ? "NULL" : "0 bytes");
    add(std::to_string(size) + (size == 1 ? " byte" : " bytes") + (bytes == nullptr ? " at NULL" : ""));
  }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::size_t depth() const { return depth_; }  // of nested mechanisms

 private:
  std::size_t depth_;
  std::string text_;
};

template <class>
struct MemberTraits;
template <class S, class T>
struct MemberTraits<T S::*> {
  using Struct = S;
  using Type = T;
};
template <auto Member>
using StructOf = typename MemberTraits<decltype(Member)>::Struct;
template <auto Member>
using TypeOf = typename MemberTraits<decltype(Member)>::Type;

inline void* copy_bytes(Reader& from, std::span<const std::uint8_t> bytes) {
  void* place = from.arena.allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
  return place;
}
// Leaves alone what does not change: an application may pass constant memory where the standard only may
// write.
inline void write_back(void* place, std::span<const std::uint8_t> bytes) {
  if (!bytes.empty() && std::memcmp(place, bytes.data(), bytes.size()) != 0)
    std::memcpy(place, bytes.data(), bytes.size());
}

struct InputField {
  static constexpr std::size_t values = 1;
  static constexpr std::size_t outputs = 0;
  static constexpr bool writes_back = false;
  template <class S>
  static void put_outputs(OutputWriter&, const S&, const S&) {}
  template <class S>
  static void take_outputs(OutputReader&, S&) {}
};

// A CK_ULONG, CK_BBOOL or CK_BYTE by value.
template <auto Member>
struct Number : InputField {
  using S = StructOf<Member>;
  using T = TypeOf<Member>;
  static constexpr std::string_view kind = "number";
  static constexpr auto member = Member;
  static void put(Writer& to, const S& s) { to.out.uint(s.*Member); }
  static void take(Reader& from, S& s) { s.*Member = static_cast<T>(from.in.uint_max(std::numeric_limits<T>::max())); }
  static void describe(Text& to, const S& s) { to.add(std::to_string(s.*Member)); }
};

// A number that has names.
template <auto Member, NameKind Kind>
struct Named : Number<Member> {
  static void describe(Text& to, const StructOf<Member>& s) { to.add(display(Kind, s.*Member)); }
};

// An object handle. It travels with the handles; CK_INVALID_HANDLE does too.
template <auto Member>
struct Handle : InputField {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "handle";
  static constexpr auto member = Member;
  static constexpr std::size_t values = 0;
  static void put(Writer& to, const S& s) { to.handles.add(s.*Member); }
  static void take(Reader& from, S& s) { s.*Member = from.handles.take(); }
  static void describe(Text& to, const S& s) { to.add("object " + std::to_string(s.*Member)); }
};

// Bytes inside the struct.
template <auto Member>
struct Octets : InputField {
  using S = StructOf<Member>;
  static constexpr std::string_view kind = "octets";
  static constexpr auto member = Member;
  static constexpr std::size_t kSize = sizeof(TypeOf<Member>);
  static void put(Writer& to, const S& s) { to.out.bin(s.*Member, kSize); }
  static void take(Reader& from, S& s) {
    const auto bytes = from.in.bin(kSize);
    if (bytes.size() != kSize) return from.in.fail();
    std::memcpy(s.*Member, bytes.data(), kSize);
  }
  static void describe(Text& to, const S& s) { to.add_bytes(s.*Member, kSize); }
};

// A pointer with its own length. NULL keeps the length that was claimed for it.
template <auto Pointer, auto Length>
struct Buffer : InputField {
  using S = StructOf<Pointer>;
  static constexpr std::string_view kind = "buffer";
  static constexpr auto member = Pointer;
  static void put(Writer& to, const S& s) {
    if (s.*Pointer == nullptr || s.*Length > limits::kMaxBulk) return to.out.uint(s.*Length);
    to.out.bin(s.*Pointer, s.*Length);
  }
  static void take(Reader& from, S& s) {
    s.*Pointer = nullptr;
    if (from.in.next_is_uint()) {
      s.*Length = from.in.uint();
      return;
    }
    const auto bytes = from.in.bin(limits::kMaxBulk);
    s.*Pointer = static_cast<TypeOf<Pointer>>(copy_bytes(from, bytes));
    s.*Length = bytes.size();
  }
  static void describe(Text& to, const S& s) { to.add_bytes(s.*Pointer, s.*Length); }
};

// A password or other key material: the memory that it passes through is wiped.
template <class Field>
struct Secret : Field {
  template <class S>
  static void put(Writer& to, const S& s) {
    to.out.mark_secret();
    Field::put(to, s);
  }
  template <class S>
  static void take(Reader& from, S& s) {
    from.arena.mark_secret();
    Field::take(from, s);
  }
};

// CK_PKCS5_PBKD2_PARAMS points to the length of its password.
template <auto Pointer, auto LengthPointer>
struct BufferWithPointedLength : InputField {
  using S = StructOf<Pointer>;
  static constexpr std::string_view kind = "buffer";
  static constexpr auto member = Pointer;
  static CK_ULONG length(const S& s) { return s.*LengthPointer == nullptr ? 0 : *(s.*LengthPointer); }
  static void put(Writer& to, const S& s) {
    if (s.*Pointer == nullptr || length(s) > limits::kMaxBulk) return to.out.uint(length(s));
    to.out.bin(s.*Pointer, length(s));
  }
  static void take(Reader& from, S& s) {
    s.*LengthPointer = from.arena.make<CK_ULONG>();
    s.*Pointer = nullptr;
    if (from.in.next_is_uint()) {
      *(s.*LengthPointer) = from.in.uint();
      return;
    }
    const auto bytes = from.in.bin(limits::kMaxBulk);
    s.*Pointer = static_cast<TypeOf<Pointer>>(copy_bytes(from, bytes));
    *(s.*LengthPointer) = bytes.size();
  }
  static void describe(Text& to, const S& s) { to.add_bytes(s.*Pointer, length(s)); }
};

// How many bytes a pointer without a length of its own points to. The number stands before it in the list of
// fields.
template <auto Length>
struct BytesIn {
  template <class S>
  static CK_ULONG of(const S& s) {
    return s.*Length;
  }
};
template <auto Length>
struct BitsIn {
  template <class S>
  static CK_ULONG of(const S& s) {
    return s.*Length / 8 + (s.*Length % 8 != 0 ? 1 : 0);
  }
};
template <CK_ULONG Size>
struct Exactly {
  template <class S>
  static CK_ULONG of(const S&) {
    return Size;
  }
};

// Bytes in, of a size that is known otherwise.
template <auto Pointer, class Size>
struct Input : InputField {
  using S = StructOf<Pointer>;
  static constexpr std::string_view kind = "bytes";
  static constexpr auto member = Pointer;
  static void put(Writer& to, const S& s) {
    if (s.*Pointer == nullptr || Size::of(s) > limits::kMaxBulk) return to.out.nil();
    to.out.bin(s.*Pointer, Size::of(s));
  }
  static void take(Reader& from, S& s) {
    s.*Pointer = nullptr;
    if (from.in.nil_if()) return;
    const auto bytes = from.in.bin(limits::kMaxBulk);
    if (bytes.size() != Size::of(s)) return from.in.fail();
    s.*Pointer = static_cast<TypeOf<Pointer>>(copy_bytes(from, bytes));
  }
  static void describe(Text& to, const S& s) {
    s.*Pointer == nullptr ? to.add("NULL") : to.add_bytes(s.*Pointer, Size::of(s));
  }
};

// What a module writes behind a pointer, and how it comes back.
template <auto Pointer, class Size>
struct WrittenBytes {
  using S = StructOf<Pointer>;
  static constexpr std::size_t outputs = 1;
  static constexpr bool writes_back = true;
  static void put_outputs(OutputWriter& to, const S&, const S& asked) {
    if (asked.*Pointer == nullptr) return to.out.nil();
    to.out.bin(asked.*Pointer, Size::of(asked));
  }
  static void take_outputs(OutputReader& from, S& s) {
    if (from.in.nil_if()) return;
    const auto bytes = from.in.bin(limits::kMaxBulk);
    if (s.*Pointer == nullptr || bytes.size() != Size::of(s)) return from.in.fail();
    write_back(s.*Pointer, bytes);
  }
};

// Bytes that a module may read and write: the IV and tag of a message.
template <auto Pointer, class Size>
struct InOut : Input<Pointer, Size>, WrittenBytes<Pointer, Size> {
  static constexpr std::string_view kind = "in-out bytes";
  using WrittenBytes<Pointer, Size>::outputs;
  using WrittenBytes<Pointer, Size>::writes_back;
  using WrittenBytes<Pointer, Size>::put_outputs;
  using WrittenBytes<Pointer, Size>::take_outputs;
};

// Bytes that a module only writes: whether there is a place for them is all that the request says.
template <auto Pointer, class Size>
struct Output : WrittenBytes<Pointer, Size> {
  using S = StructOf<Pointer>;
  static constexpr std::string_view kind = "out bytes";
  static constexpr auto member = Pointer;
  static constexpr std::size_t values = 1;
  static void put(Writer& to, const S& s) { to.out.boolean(s.*Pointer != nullptr && Size::of(s) <= limits::kMaxBulk); }
  static void take(Reader& from, S& s) {
    s.*Pointer = nullptr;
    if (!from.in.boolean()) return;
    if (Size::of(s) > limits::kMaxBulk) return from.in.fail();
    s.*Pointer = static_cast<TypeOf<Pointer>>(static_cast<void*>(from.arena.make<std::uint8_t>(Size::of(s))));
  }
  static void describe(Text& to, const S& s) {
    s.*Pointer == nullptr ? to.add("NULL") : to.add_bytes(s.*Pointer, Size::of(s));
  }
};

// A field that counts only if another one, before it in the list, has this value (a flag: is set). Otherwise
// it may be uninitialised memory: nobody looks at it.
template <auto Condition, TypeOf<Condition> Value, class Field>
struct When : InputField {
  using S = StructOf<Condition>;
  static constexpr const char* form = "optional ";
  static constexpr std::string_view kind = Field::kind;
  static constexpr auto member = Field::member;
  static constexpr std::size_t values = Field::values;
  static_assert(!Field::writes_back);
  static bool holds(const S& s) {
    if constexpr (sizeof(TypeOf<Condition>) == sizeof(CK_BBOOL)) return (s.*Condition != 0) == (Value != 0);
    return s.*Condition == Value;
  }
  static void put(Writer& to, const S& s) {
    if (holds(s)) return Field::put(to, s);
    if constexpr (values == 1) to.out.nil();
  }
  static void take(Reader& from, S& s) {
    if (holds(s)) return Field::take(from, s);
    if constexpr (values == 1) from.in.nil();
  }
  static void describe(Text& to, const S& s) { holds(s) ? Field::describe(to, s) : to.add("-"); }
};

}  // namespace p11shim::params

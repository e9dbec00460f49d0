// The kinds of arguments that PKCS#11 functions take, as the recorder passes and writes them down.
// Each kind knows the C arguments it stands for (c), what to show of them before the call (show) and what
// to report after it (report). Kinds that can be used against the standard's word say whether they are (misused). Buffers are guarded, and report says so when a module wrote where it must not.
#pragma once

#include <string>
#include <tuple>

#include "attributes.h"
#include "handle_names.h"
#include "mechanism.h"
#include "transcript.h"

namespace p11shim::compare {

struct Names {
  HandleNames slots{'t'};
  HandleNames sessions{'s'};
  HandleNames objects{'o'};
};

struct Report {
  Json& out;
  CK_RV rv;
  bool blurred;  // contents differ from run to run: only lengths count
  Names& names;
};

inline constexpr CK_ULONG kUntouched = 0x5a5a5a5aUL;

// Where an application wants an output: how much room it offers and in which way.
struct Room {
  enum class Kind { kBuffer, kNull, kNoLength, kInPlace };
  Kind kind = Kind::kBuffer;
  CK_ULONG size = 0;

  static Room of(CK_ULONG size) { return {Kind::kBuffer, size}; }
  static Room query(CK_ULONG claimed = 0) { return {Kind::kNull, claimed}; }
  static Room no_length(CK_ULONG size) { return {Kind::kNoLength, size}; }
  // The output goes over the input, in a buffer of `size` bytes.
  static Room in_place(CK_ULONG size) { return {Kind::kInPlace, size}; }
};

template <class Value>
struct Plain {
  const char* name;
  Value value;
  auto c() { return std::make_tuple(value); }
  void show(Json& in, const Names&) const {
    if constexpr (std::is_pointer_v<Value>) in[name] = value != nullptr;
    else in[name] = value;
  }
  void report(Report&) const {}
};

struct HandleArgument {
  const char* name;
  CK_ULONG value;
  HandleNames Names::*kind;
  auto c() { return std::make_tuple(value); }
  void show(Json& in, const Names& names) const { in[name] = (names.*kind).of(value); }
  void report(Report&) const {}
};
inline HandleArgument slot_argument(CK_SLOT_ID slot) { return {"slot", slot, &Names::slots}; }
inline HandleArgument session_argument(CK_SESSION_HANDLE session) { return {"session", session, &Names::sessions}; }
inline HandleArgument object_argument(CK_OBJECT_HANDLE object, const char* name = "object") {
  return {name, object, &Names::objects};
}

// (pointer, length) that the module reads.
struct InputArgument {
  const char* name;
  Input input;
  auto c() { return std::make_tuple(const_cast<CK_BYTE_PTR>(input.data), input.size); }
  void show(Json& in, const Names&) const;
  void report(Report&) const {}
  bool misused() const { return !input.data && input.size > 0; }
};

// (pointer, *length) that the module fills, by the convention of section 5.2.
class OutputArgument {
 public:
  OutputArgument(const char* name, Room room) : name_(name), room_(room), length_(room.size), buffer_(room.size) {}
  // With Room::in_place, where the input of the same call now lies.
  Input over(const Input& input);

  auto c() {
    return std::make_tuple(room_.kind == Room::Kind::kNull ? nullptr : buffer_.data(),
                           room_.kind == Room::Kind::kNoLength ? nullptr : &length_);
  }
  void show(Json& in, const Names&) const;
  void report(Report& report) const;
  bool misused() const { return room_.kind == Room::Kind::kNoLength; }

  CK_ULONG length() const { return length_; }
  Bytes bytes() const { return room_.kind == Room::Kind::kNull ? Bytes{} : buffer_.front(length_); }

 private:
  const char* name_;
  Room room_;
  CK_ULONG length_;
  GuardedBuffer buffer_;
};

// (pointer, length) that the module fills to the last byte.
class FillArgument {
 public:
  explicit FillArgument(Room room) : room_(room), buffer_(room.kind == Room::Kind::kNull ? 0 : room.size) {}
  auto c() { return std::make_tuple(room_.kind == Room::Kind::kNull ? nullptr : buffer_.data(), room_.size); }
  void show(Json& in, const Names&) const { in["room"] = room_.size; }
  void report(Report& report) const;
  bool misused() const { return room_.kind == Room::Kind::kNull && room_.size > 0; }
  Bytes bytes() const { return buffer_.front(buffer_.size()); }

 private:
  Room room_;
  GuardedBuffer buffer_;
};

// A handle or number that the module returns; NULL if the application gave no place.
class NumberOutArgument {
 public:
  NumberOutArgument(const char* name, CK_ULONG* place, HandleNames Names::*kind = nullptr)
      : name_(name), place_(place), kind_(kind) {}
  auto c() { return std::make_tuple(place_ ? &value_ : nullptr); }
  void show(Json& in, const Names&) const {
    if (!place_) in[name_] = nullptr;
  }
  void report(Report& report) const;
  bool misused() const { return !place_; }

 private:
  const char* name_;
  CK_ULONG* place_;
  HandleNames Names::*kind_;
  CK_ULONG value_ = kUntouched;
};

class TemplateArgument {
 public:
  TemplateArgument(const char* name, const Template* source)
      : name_(name), source_(source), memory_(source ? *source : Template{}) {}
  auto c() { return std::make_tuple(source_ ? memory_.data() : nullptr, count()); }
  // A NULL template still claims one attribute.
  CK_ULONG count() const { return source_ ? memory_.size() : 1; }
  void show(Json& in, const Names&) const;
  void report(Report&) const {}
  // NULL, or a value shorter than what every reader of its type will read.
  bool misused() const;

 private:
  const char* name_;
  const Template* source_;
  TemplateMemory memory_;
};

class QueryArgument {
 public:
  explicit QueryArgument(const Query& query);
  auto c() { return std::make_tuple(attributes_.data(), static_cast<CK_ULONG>(attributes_.size())); }
  void show(Json& in, const Names&) const;
  void report(Report& report) const;
  std::vector<Answer> answers() const;

 private:
  Query query_;
  std::list<GuardedBuffer> buffers_;
  std::vector<CK_ATTRIBUTE> attributes_;
};

struct MechanismArgument {
  Mechanism* mechanism;  // may be null
  auto c() { return std::make_tuple(mechanism ? mechanism->get() : nullptr); }
  void show(Json& in, const Names&) const {
    in["mechanism"] = mechanism ? Json(mechanism_name(mechanism->type())) : Json(nullptr);
  }
  void report(Report&) const {}
  // NULL, or a parameter of which only the length is there.
  bool misused() const { return !mechanism || (!mechanism->get()->pParameter && mechanism->get()->ulParameterLen > 0); }
};

}  // namespace p11shim::compare

// Attribute templates: what an application gives (Template) and what it asks for (Query).
#pragma once

#include <concepts>
#include <list>
#include <optional>
#include <string_view>
#include <vector>

#include "guarded_buffer.h"

namespace p11shim::compare {

class Template;

// One attribute with its value. Integers are CK_ULONGs, bools CK_BBOOLs.
struct Attribute {
  CK_ATTRIBUTE_TYPE type;
  Bytes value;
  std::optional<CK_ULONG> claimed_length;  // instead of the value's own
  bool null_pointer = false;
  std::vector<Attribute> nested;

  Attribute(CK_ATTRIBUTE_TYPE t, const Bytes& bytes) : type(t), value(bytes) {}
  Attribute(CK_ATTRIBUTE_TYPE t, const char* text) : type(t), value(from_text(text)) {}
  Attribute(CK_ATTRIBUTE_TYPE t, std::same_as<bool> auto flag) : type(t), value(1, flag ? CK_TRUE : CK_FALSE) {}
  template <std::integral Number>
  requires(!std::same_as<Number, bool>) Attribute(CK_ATTRIBUTE_TYPE t, Number number)
      : type(t), value(bytes_of(static_cast<CK_ULONG>(number))) {}
  Attribute(CK_ATTRIBUTE_TYPE t, const Template& inner);

  static Attribute null(CK_ATTRIBUTE_TYPE type, CK_ULONG length);
  static Attribute with_length(CK_ATTRIBUTE_TYPE type, const Bytes& value, CK_ULONG length);

 private:
  static Bytes bytes_of(CK_ULONG number);
};

class Template {
 public:
  Template() = default;
  Template(std::initializer_list<Attribute> attributes) : attributes_(attributes) {}

  // The same with `more` added, or put in the place of the attribute of that type.
  Template with(std::initializer_list<Attribute> more) const;
  Template without(CK_ATTRIBUTE_TYPE type) const;
  bool has(CK_ATTRIBUTE_TYPE type) const;

  const std::vector<Attribute>& attributes() const { return attributes_; }

 private:
  std::vector<Attribute> attributes_;
};

// A template as C sees it, with the memory behind it.
class TemplateMemory {
 public:
  explicit TemplateMemory(const Template& source) : TemplateMemory(source.attributes()) {}
  explicit TemplateMemory(const std::vector<Attribute>& attributes);
  CK_ATTRIBUTE* data() { return attributes_.data(); }
  CK_ULONG size() const { return static_cast<CK_ULONG>(attributes_.size()); }

 private:
  std::vector<CK_ATTRIBUTE> attributes_;
  std::list<Bytes> values_;
  std::list<TemplateMemory> nested_;
};

// One attribute that is asked for: a length (no room), or a value into `room` bytes.
struct Wanted {
  CK_ATTRIBUTE_TYPE type;
  std::optional<CK_ULONG> room;  // none: NULL pointer
  Wanted(CK_ATTRIBUTE_TYPE t) : type(t) {}
  Wanted(CK_ATTRIBUTE_TYPE t, CK_ULONG bytes) : type(t), room(bytes) {}
};
using Query = std::vector<Wanted>;

// The same query with room for anything usual in every place.
Query roomy(std::initializer_list<CK_ATTRIBUTE_TYPE> types, CK_ULONG room = 1024);
Query lengths(std::initializer_list<CK_ATTRIBUTE_TYPE> types);

// What came back for one attribute.
struct Answer {
  CK_ATTRIBUTE_TYPE type;
  CK_ULONG length;  // CK_UNAVAILABLE_INFORMATION where refused
  Bytes value;
};

}  // namespace p11shim::compare

// CK_ATTRIBUTE arrays: as input (search, create, generate …) and to be filled (C_GetAttributeValue, §5.7).
// On the wire an attribute is [type, value]. A CK_ULONG value travels as an integer, an array attribute (CKA_WRAP_TEMPLATE …)
// as a nested template, every other value, also of vendor-defined types, as bytes. A NULL value pointer keeps its length.
#pragma once

#include "calls/argument.h"

namespace p11shim {

// Input templates. `handles` are not involved: no attribute of the standard is a handle.
void encode_template(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth = 0);
// Gives NULL with a count for a NULL template that claimed attributes.
void decode_template(In& in, Arena& arena, CK_ATTRIBUTE_PTR& attributes, CK_ULONG& count, std::size_t depth = 0);

// Query templates: the request says type and capacity, the reply length and value. decode_query gives an array of twice
// `count`: behind the attributes for the module stand copies that keep what was asked, since a module overwrites lengths.
void encode_query(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth = 0);
void decode_query(In& in, Arena& arena, CK_ATTRIBUTE_PTR& attributes, CK_ULONG& count, std::size_t depth = 0);
// Takes an array of decode_query after the module has filled it.
void encode_answers(Out& out, const CK_ATTRIBUTE* attributes, CK_ULONG count, std::size_t depth = 0);
// Writes lengths and values into the application's template; a value never exceeds the capacity the application stated.
void decode_answers(In& in, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, std::size_t depth = 0);

// Codes with which C_GetAttributeValue still fills in what it can.
constexpr bool answers_attributes(CK_RV rv) {
  return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
         rv == CKR_BUFFER_TOO_SMALL;
}

struct InTemplate : InputOnly {
  static constexpr std::string_view name{"InTemplate"};
  using C = Types<CK_ATTRIBUTE_PTR, CK_ULONG>;
  struct Value {
    CK_ATTRIBUTE_PTR attributes;
    CK_ULONG count;
  };
  static CK_RV check(CK_ATTRIBUTE_PTR attributes, CK_ULONG count) {
    return attributes != nullptr && count > limits::kMaxAttributes ? CKR_ARGUMENTS_BAD : CKR_OK;
  }
  static void put_request(RequestWriter& to, CK_ATTRIBUTE_PTR attributes, CK_ULONG count) {
    to.body.mark_secret();  // CKA_VALUE and its kin
    encode_template(to.body, attributes, count);
  }
  static void take_request(RequestReader& from, Value& value) {
    from.arena.mark_secret();
    decode_template(from.body, from.arena, value.attributes, value.count);
  }
  static std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c(Value& value) { return {value.attributes, value.count}; }
};

struct QueryTemplate {
  static constexpr std::string_view name{"QueryTemplate"};
  using C = Types<CK_ATTRIBUTE_PTR, CK_ULONG>;
  struct Value {
    CK_ATTRIBUTE_PTR attributes;
    CK_ULONG count;
  };
  static CK_RV check(CK_ATTRIBUTE_PTR attributes, CK_ULONG count) { return InTemplate::check(attributes, count); }
  static void put_request(RequestWriter& to, CK_ATTRIBUTE_PTR attributes, CK_ULONG count) {
    encode_query(to.body, attributes, count);
  }
  static void take_request(RequestReader& from, Value& value) {
    from.arena.mark_secret();
    decode_query(from.body, from.arena, value.attributes, value.count);
  }
  static std::tuple<CK_ATTRIBUTE_PTR, CK_ULONG> c(Value& value) { return {value.attributes, value.count}; }
  static void put_reply(ReplyWriter& to, const Value& value) {
    if (!answers_attributes(to.rv) || value.attributes == nullptr) return;
    to.body.mark_secret();
    encode_answers(to.body, value.attributes, value.count);
  }
  static void take_reply(ReplyReader& from, CK_ATTRIBUTE_PTR attributes, CK_ULONG count) {
    if (answers_attributes(from.rv) && attributes != nullptr) decode_answers(from.body, attributes, count);
  }
};

}  // namespace p11shim

#include "tools/shimctl/keys/key_row.h"

#include <array>

#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_type.h"

namespace p11shim {

namespace {

constexpr std::array<CK_ATTRIBUTE_TYPE, 9> kUsages{CKA_SIGN,    CKA_VERIFY,       CKA_ENCRYPT,
                                                   CKA_DECRYPT, CKA_WRAP,         CKA_UNWRAP,
                                                   CKA_DERIVE,  CKA_SIGN_RECOVER, CKA_VERIFY_RECOVER};

constexpr std::array<CK_ATTRIBUTE_TYPE, 20> kWanted{
    CKA_CLASS,        CKA_LABEL,          CKA_ID,        CKA_KEY_TYPE,    CKA_MODULUS, CKA_EC_PARAMS, CKA_VALUE_LEN,
    CKA_SIGN,         CKA_VERIFY,         CKA_ENCRYPT,   CKA_DECRYPT,     CKA_WRAP,    CKA_UNWRAP,    CKA_DERIVE,
    CKA_SIGN_RECOVER, CKA_VERIFY_RECOVER, CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_LOCAL,   CKA_TOKEN};

Value truth(const ObjectAttributes& attributes, CK_ATTRIBUTE_TYPE type) {
  const auto value = attributes.truth(type);
  return value ? Value(*value) : Value();
}

CK_ULONG bit_length(std::string_view number) {
  while (!number.empty() && number.front() == '\0') number.remove_prefix(1);
  if (number.empty()) return 0;
  CK_ULONG bits = 8 * (number.size() - 1);
  for (auto first = static_cast<unsigned char>(number.front()); first != 0; first >>= 1) ++bits;
  return bits;
}

}  // namespace

std::span<const CK_ATTRIBUTE_TYPE> key_row_attributes() { return kWanted; }

Value key_size(const ObjectAttributes& attributes) {
  if (const auto modulus = attributes.bytes(CKA_MODULUS); modulus && !modulus->empty()) return bit_length(*modulus);
  if (const auto params = attributes.bytes(CKA_EC_PARAMS); params && !params->empty()) return curve_name(*params);
  const auto type = attributes.number(CKA_KEY_TYPE);
  if (type == CKK_DES3) return 192;
  if (const auto length = attributes.number(CKA_VALUE_LEN); length && *length > 0) return 8 * *length;
  return {};
}

Value key_row(CK_OBJECT_HANDLE object, const ObjectAttributes& attributes) {
  const auto object_class = attributes.number(CKA_CLASS);
  const auto type = attributes.number(CKA_KEY_TYPE);
  const auto id = attributes.bytes(CKA_ID);
  Value usage = Value::List{};
  for (const auto each : kUsages) {
    if (attributes.is(each)) usage.push_back(attribute_name(each));
  }
  Value row;
  row.set("label", attributes.text(CKA_LABEL)).set("id", id ? Value(hex(*id)) : Value());
  row.set("class", object_class ? Value(class_name(*object_class)) : Value());
  row.set("type", type ? Value(key_type_name(*type)) : Value()).set("size", key_size(attributes));
  row.set("usage", std::move(usage)).set("sensitive", truth(attributes, CKA_SENSITIVE));
  row.set("extractable", truth(attributes, CKA_EXTRACTABLE)).set("local", truth(attributes, CKA_LOCAL));
  row.set("token", truth(attributes, CKA_TOKEN)).set("handle", object);
  return row;
}

std::vector<ReportColumn> key_columns() {
  return {{"LABEL", "label"},
          {"ID", "id"},
          {"CLASS", "class"},
          {"TYPE", "type"},
          {"SIZE", "size"},
          {"USAGE", "usage"},
          {"EXTRACTABLE", "extractable"}};
}

}  // namespace p11shim

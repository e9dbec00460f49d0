#include "tools/shimctl/keys/attribute_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <sstream>

#include "config/nearest.h"
#include "config/problem.h"
#include "pkcs11/attributes.h"
#include "pkcs11/names.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"

namespace p11shim {

namespace {

constexpr std::string_view kPrefix = "CKA_";

std::string upper(std::string_view text) {
  std::string name;
  for (const char c : text) name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string lower(std::string_view text) {
  std::string name;
  for (const char c : text) name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

std::optional<NameKind> values_of(CK_ATTRIBUTE_TYPE type) {
  switch (type) {
    case CKA_CLASS: return NameKind::cko;
    case CKA_KEY_TYPE: return NameKind::ckk;
    case CKA_CERTIFICATE_TYPE: return NameKind::ckc;
    case CKA_KEY_GEN_MECHANISM:
    case CKA_MECHANISM_TYPE: return NameKind::ckm;
    case CKA_PROFILE_ID: return NameKind::ckp;
    default: return std::nullopt;
  }
}

CK_ULONG as_number(std::string_view bytes) {
  CK_ULONG value = 0;
  if (bytes.size() == sizeof value) bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

Value number_value(CK_ATTRIBUTE_TYPE type, std::string_view bytes) {
  if (bytes.size() != sizeof(CK_ULONG)) return hex(bytes);
  const CK_ULONG value = as_number(bytes);
  if (const auto kind = values_of(type)) return display(*kind, value);
  return value == CK_UNAVAILABLE_INFORMATION ? Value() : Value(value);
}

Value list_of_numbers(std::string_view bytes, bool mechanisms) {
  Value list = Value::List{};
  for (; bytes.size() >= sizeof(CK_ULONG); bytes.remove_prefix(sizeof(CK_ULONG))) {
    const CK_ULONG value = as_number(bytes.substr(0, sizeof(CK_ULONG)));
    list.push_back(mechanisms ? Value(display(NameKind::ckm, value)) : Value(value));
  }
  return list;
}

Value date_value(std::string_view bytes) {
  if (bytes.size() != sizeof(CK_DATE)) return {};
  const std::string text(bytes);
  return text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2);
}

[[noreturn]] void refuse(const std::string& word, const std::string& why) {
  throw Failure(ExitCode::kUsage, {.what = "cannot use the attribute " + in_quotes(word),
                                   .why = why,
                                   .fix = "for example --attr 'sign !extractable id=0a1b'"});
}

std::string parse_number(CK_ATTRIBUTE_TYPE type, const std::string& word, const std::string& text) {
  CK_ULONG value = 0;
  const bool hexadecimal = text.starts_with("0x");
  const char* begin = text.data() + (hexadecimal ? 2 : 0);
  const auto parsed = std::from_chars(begin, text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) {
    const auto kind = values_of(type);
    const auto named = kind ? value_of(*kind, text) : std::nullopt;
    if (!named) refuse(word, "a number is expected");
    value = *named;
  }
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string parse_value(CK_ATTRIBUTE_TYPE type, const std::string& word, const std::string& text) {
  switch (attribute_kind(type)) {
    case AttributeKind::boolean:
      if (text == "true" || text == "yes" || text == "1") return std::string(1, CK_TRUE);
      if (text == "false" || text == "no" || text == "0") return std::string(1, CK_FALSE);
      refuse(word, "true or false is expected");
    case AttributeKind::ulong: return parse_number(type, word, text);
    case AttributeKind::utf8: return text;
    case AttributeKind::date: {
      std::string digits;
      std::copy_if(text.begin(), text.end(), std::back_inserter(digits), [](char c) { return c != '-'; });
      if (digits.size() != sizeof(CK_DATE) || digits.find_first_not_of("0123456789") != std::string::npos) {
        refuse(word, "a date as 2031-12-31 is expected");
      }
      return digits;
    }
    default: {
      const auto bytes = parse_hex(text);
      if (!bytes) refuse(word, "hexadecimal digits are expected");
      return *bytes;
    }
  }
}

void parse_word(const std::string& word, Template& attributes) {
  const bool negated = word[0] == '!';
  const auto equals = word.find('=');
  const std::string name = word.substr(negated ? 1 : 0, equals - (negated && equals != std::string::npos ? 1 : 0));
  const CK_ATTRIBUTE_TYPE type = parse_attribute_name(name);
  if (equals != std::string::npos) {
    if (negated) refuse(word, "! and = do not go together");
    attributes.set(type, parse_value(type, word, word.substr(equals + 1)));
    return;
  }
  if (attribute_kind(type) != AttributeKind::boolean) refuse(word, "it needs a value: " + name + "=…");
  attributes.set(type, !negated);
}

}  // namespace

std::string attribute_name(CK_ATTRIBUTE_TYPE type) {
  const auto name = cka_name(type);
  return name ? lower(name->substr(kPrefix.size())) : hexadecimal(type, 8);
}

Value attribute_value(CK_ATTRIBUTE_TYPE type, std::string_view bytes) {
  switch (attribute_kind(type)) {
    case AttributeKind::boolean: return bytes.size() == 1 ? Value(bytes[0] != CK_FALSE) : Value(hex(bytes));
    case AttributeKind::ulong: return number_value(type, bytes);
    case AttributeKind::utf8: return bytes;
    case AttributeKind::date: return date_value(bytes);
    case AttributeKind::mechanism_list: return list_of_numbers(bytes, true);
    case AttributeKind::ulong_array: return list_of_numbers(bytes, false);
    case AttributeKind::attribute_template: return bytes.size() / sizeof(CK_ATTRIBUTE);
    default: return hex(bytes);
  }
}

CK_ATTRIBUTE_TYPE parse_attribute_name(const std::string& name) {
  std::string full = upper(name);
  if (!full.starts_with(kPrefix)) full = std::string(kPrefix) + full;
  if (const auto type = cka_value(full)) return *type;
  std::vector<std::string> names;
  for (const Name& known : all(NameKind::cka)) names.push_back(lower(known.text.substr(kPrefix.size())));
  const std::vector<std::string_view> known(names.begin(), names.end());
  throw Failure(ExitCode::kUsage, "there is no attribute " + in_quotes(name) + did_you_mean(lower(name), known), "");
}

Template parse_attributes(const std::vector<std::string>& words) {
  Template attributes;
  for (const auto& text : words) {
    std::istringstream separate(text);
    for (std::string word; separate >> word;) parse_word(word, attributes);
  }
  return attributes;
}

}  // namespace p11shim

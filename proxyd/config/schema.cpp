#include "proxyd/config/schema.h"

#include <algorithm>
#include <charconv>

#include "pkcs11/names.h"

namespace p11shim {
namespace {

constexpr ChoiceKind<CK_FLAGS, 2> kInitializeFlag{
    {{{"CKF_OS_LOCKING_OK", CKF_OS_LOCKING_OK},
      {"CKF_LIBRARY_CANT_CREATE_OS_THREADS", CKF_LIBRARY_CANT_CREATE_OS_THREADS}}}};
constexpr ListKind<ChoiceKind<CK_FLAGS, 2>> kInitializeFlags{kInitializeFlag, "flags such as \"CKF_OS_LOCKING_OK\""};

}  // namespace

std::string InitializeFlagsKind::expected() { return kInitializeFlags.expected(); }

void InitializeFlagsKind::read(const ConfigValue& value, const std::string& path, CK_FLAGS& flags,
                               ConfigReport& report) {
  if (!value.get<ConfigValue::List>()) return report.error(value.place, wrong_type(path, value, expected()));
  std::vector<CK_FLAGS> list;
  kInitializeFlags.read(value, path, list, report);
  flags = 0;
  for (const CK_FLAGS flag : list) flags |= flag;
}

std::string InitializeFlagsKind::show(CK_FLAGS flags) {
  std::vector<CK_FLAGS> list;
  for (const auto& [word, flag] : kInitializeFlag.choices) {
    if (flags & flag) list.push_back(flag);
  }
  return kInitializeFlags.show(list);
}

void CommandKind::read(const ConfigValue& value, const std::string& path, std::vector<std::string>& command,
                       ConfigReport& report) {
  const auto* items = value.get<ConfigValue::List>();
  if (!items || items->empty()) {
    const std::string message = items ? refused(path, "empty", expected()) : wrong_type(path, value, expected());
    return report.error(value.place, message);
  }
  command.clear();
  for (const ConfigValue& item : *items) {
    const bool is_program = command.empty();
    const auto* text = item.get<std::string>();
    const bool valid = text && text->find('\0') == std::string::npos && (!is_program || text->starts_with('/'));
    if (!valid) {
      command.clear();
      return report.error(item.place, "an item of " + in_quotes(key_name(path)) + " is wrong (expected " +
                                          (is_program ? "the absolute path of a program" : "text") + ')');
    }
    command.push_back(*text);
  }
}

std::string CommandKind::show(const std::vector<std::string>& command) {
  if (command.empty()) return "[]";
  return '[' + in_quotes(command.front()) + (command.size() > 1 ? ", …]" : "]");
}

std::optional<CK_ATTRIBUTE_TYPE> AttributeTypeKind::parse(const std::string& text) {
  if (const auto named = cka_value(text)) return *named;
  CK_ATTRIBUTE_TYPE number = 0;
  const char* end = text.data() + text.size();
  if (!text.starts_with("0x") || text.size() == 2) return std::nullopt;
  const auto [stop, error] = std::from_chars(text.data() + 2, end, number, 16);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::string AttributeTypeKind::show(CK_ATTRIBUTE_TYPE type) { return in_quotes(display(NameKind::cka, type)); }

std::optional<std::string> Sha256Kind::parse(const std::string& text) {
  if (!text.empty() && text.size() != 64) return std::nullopt;
  std::string lower;
  for (const char c : text) {
    if (c >= 'A' && c <= 'F') {
      lower += static_cast<char>(c - 'A' + 'a');
    } else if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')) {
      lower += c;
    } else {
      return std::nullopt;
    }
  }
  return lower;
}

}  // namespace p11shim

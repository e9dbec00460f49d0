#include "tools/shimctl/token/uri.h"

#include <array>
#include <charconv>
#include <string_view>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/pkcs11/module.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

constexpr std::string_view kPrefix = "pkcs11:";

[[noreturn]] void refuse(const std::string& why) {
  throw Failure(ExitCode::kUsage, {.what = "that is no usable PKCS#11 URI",
                                   .why = why,
                                   .fix = "for example pkcs11:token=test;object=k;type=private"});
}

std::string decoded(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes += text[i];
      continue;
    }
    unsigned value = 0;
    const auto digits = text.substr(i + 1, 2);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (digits.size() != 2 || parsed.ptr != digits.data() + 2) refuse("% is not followed by two digits");
    bytes += static_cast<char>(value);
    i += 2;
  }
  return bytes;
}

unsigned long number(const std::string& text) {
  unsigned long value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) refuse("slot-id is no number");
  return value;
}

void set(TokenUri& uri, std::string_view name, const std::string& value) {
  constexpr std::array<std::string_view, 14> kNames{"token",
                                                    "serial",
                                                    "manufacturer",
                                                    "model",
                                                    "object",
                                                    "id",
                                                    "type",
                                                    "slot-id",
                                                    "module-path",
                                                    "pin-source",
                                                    "library-manufacturer",
                                                    "library-description",
                                                    "library-version",
                                                    "module-name"};
  if (name == "token") {
    uri.token = value;
  } else if (name == "serial") {
    uri.serial = value;
  } else if (name == "manufacturer") {
    uri.manufacturer = value;
  } else if (name == "model") {
    uri.model = value;
  } else if (name == "object") {
    uri.object = value;
  } else if (name == "id") {
    uri.id = value;
  } else if (name == "type") {
    uri.type = value;
  } else if (name == "slot-id") {
    uri.slot = number(value);
  } else if (name == "module-path") {
    uri.module_path = value;
  } else if (name == "pin-source") {
    uri.pin_source = value.starts_with('/') ? "file:" + value : value;
  } else if (name == "pin-value") {
    refuse("pin-value would show the PIN to every process of the machine; use pin-source or --pin-from");
  } else if (!name.starts_with("x-") && !name.starts_with("library-") && !name.starts_with("slot-") &&
             name != "module-name") {
    refuse("unknown attribute " + in_quotes(name) + did_you_mean(name, kNames));
  }
}

void parse_attributes(TokenUri& uri, std::string_view text, char separator) {
  while (!text.empty()) {
    const auto end = std::min(text.find(separator), text.size());
    const auto attribute = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (attribute.empty()) continue;
    const auto equals = attribute.find('=');
    if (equals == std::string_view::npos) refuse(in_quotes(attribute) + " has no =");
    set(uri, attribute.substr(0, equals), decoded(attribute.substr(equals + 1)));
  }
}

}  // namespace

TokenUri parse_token_uri(const std::string& text) {
  if (!text.starts_with(kPrefix)) refuse("it does not begin with pkcs11:");
  const std::string_view rest = std::string_view(text).substr(kPrefix.size());
  const auto query = std::min(rest.find('?'), rest.size());
  TokenUri uri;
  parse_attributes(uri, rest.substr(0, query), ';');
  parse_attributes(uri, rest.substr(std::min(query + 1, rest.size())), '&');
  return uri;
}

bool names_token(const TokenUri& uri, CK_SLOT_ID slot, const CK_TOKEN_INFO& info) {
  const auto same = [](const std::string& wanted, const std::string& is) { return wanted.empty() || wanted == is; };
  return (!uri.slot || *uri.slot == slot) && same(uri.token, padded_text(info.label)) &&
         same(uri.serial, padded_text(info.serialNumber)) && same(uri.manufacturer, padded_text(info.manufacturerID)) &&
         same(uri.model, padded_text(info.model));
}

}  // namespace p11shim

// What is known about return codes, mechanisms, attributes, functions and checks: the texts of data/, joined with the
// numbers of include/pkcs11. Read when asked for; a text that does not fit its form is a defect (std::logic_error).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

// In which a return code can have causes of its own, separated by blanks.
inline constexpr std::string_view kContexts =
    "sign verify encrypt decrypt login wrap generate find derive digest session random set";
inline constexpr std::string_view kFaults = "none caller state authentication token transport vendor";
inline constexpr std::string_view kRetries = "no backoff after-change after-login other-member";

// How it shows through other software; empty: by its number or not at all.
struct ClientTexts {
  std::string openssl;  // libp11's words
  std::string gnutls;   // GNUTLS_E_…
  std::string java;     // what SunPKCS11 throws
  std::string python;   // class of python-pkcs11
};

struct ReturnCodeText {
  std::string name;
  CK_RV value = 0;
  std::string vendor;  // of the profile that it comes from; empty: the standard
  std::string means;
  std::string fault;
  std::vector<std::string> causes;
  std::vector<std::pair<std::string, std::vector<std::string>>> in;  // by context, in the order of kContexts
  std::vector<std::string> fix;
  std::string retry;
  std::string retry_why;
  std::vector<std::string> proxy;  // when proxyd makes it itself
  std::string shim;                // what the shim does with it, if it is more than passing it on
  std::string section;
  std::vector<std::string> functions;
  ClientTexts clients;
};

struct FunctionText {
  std::string name;
  std::string does;
  std::vector<std::string> arguments;
  std::vector<std::string> conventions;  // whole sentences
  std::vector<std::string> returns;
  std::vector<std::string> pitfalls;
  std::string section;
};

struct MechanismText {
  std::string name;
  CK_MECHANISM_TYPE value = 0;
  std::string does;
  std::string family;
  std::vector<std::string> keys;
  std::vector<std::string> used_for;
  std::string parameter;
  std::vector<std::string> pitfalls;
  std::string section;
};

struct AttributeText {
  std::string name;
  CK_ATTRIBUTE_TYPE value = 0;
  std::string kind;  // "boolean", "bytes", …
  bool sensitive = false;
  std::string on;
  std::string means;
  std::string set_by;
  std::string by_default;
  std::string pitfall;
};

// What doctor and audit keys look at.
struct CheckText {
  std::string name;  // "user-pin"
  unsigned number = 0;
  std::string of;  // "doctor", "readiness", "audit"
  std::string area;
  std::string looks_at;
  std::string why;
  std::vector<std::string> fix;
  std::string severity;  // of audit's
  std::string code;      // that a failure goes with: "CKR_PIN_LOCKED"
};
inline constexpr std::string_view kSeverities = "info low medium high critical";

std::vector<CheckText> known_checks();             // ascending by number
std::vector<ReturnCodeText> known_return_codes();  // ascending by value
std::vector<FunctionText> known_functions();       // by name
std::vector<MechanismText> known_mechanisms();     // ascending by value
std::vector<AttributeText> known_attributes();     // ascending by value

class TextTable;
// One code's table, of ours or of a profile; `text.name` is its name already.
void read_return_code(TextTable& table, ReturnCodeText& text, class ConfigReport& report);

}  // namespace p11shim

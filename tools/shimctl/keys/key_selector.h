// Which object is meant: "k" (its label), "id:0a1b", "handle:7" or "pkcs11:object=k;type=private".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/pkcs11/session.h"
#include "tools/shimctl/token/uri.h"

namespace p11shim {

struct KeySelector {
  std::string text;  // as it was given
  std::optional<std::string> label{};
  std::optional<std::string> id{};
  std::optional<CK_OBJECT_HANDLE> handle{};
  std::optional<CK_OBJECT_CLASS> object_class{};
  std::optional<TokenUri> uri{};  // whose token must be the session's

  // Throws Failure (kUsage).
  static KeySelector parse(const std::string& text, const std::string& object_class = "");
};

// "private", "public", "secret", "cert", "data"; empty: none. Throws Failure (kUsage).
std::optional<CK_OBJECT_CLASS> parse_class(const std::string& text);
std::string class_name(CK_OBJECT_CLASS object_class);

// All that match, of the classes given (all key classes, certificates and data if none are). Throws Failure (kNotFound):
// the selector's URI names another token.
std::vector<CK_OBJECT_HANDLE> find_all(const Session& session, const KeySelector& selector,
                                       const std::vector<CK_OBJECT_CLASS>& classes);

// The one of the first class that has any. Throws Failure (kNotFound): none, with the nearest labels; or
// several, with their ids.
CK_OBJECT_HANDLE find_one(const Session& session, const KeySelector& selector,
                          const std::vector<CK_OBJECT_CLASS>& classes);

}  // namespace p11shim

#include "proxyd/tokens/token_problems.h"

#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/tokens/member.h"

namespace p11shim {
namespace {

std::string version_text(const CK_VERSION& version) {
  const std::string minor = std::to_string(version.minor);
  return std::to_string(version.major) + "." + (minor.size() == 1 ? "0" : "") + minor;
}

std::string pin_rules(const CK_TOKEN_INFO& token) {
  std::string text = std::to_string(token.ulMinPinLen) + " to " + std::to_string(token.ulMaxPinLen) + " bytes";
  if ((token.flags & CKF_LOGIN_REQUIRED) == 0) text += ", no login required";
  if ((token.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0) text += ", typed in at the device";
  return text;
}

template <std::size_t N>
bool same(const CK_UTF8CHAR (&a)[N], const CK_UTF8CHAR (&b)[N]) {
  return std::equal(std::begin(a), std::end(a), std::begin(b));
}

}  // namespace

std::vector<std::string> token_problems(const std::vector<SeenToken>& seen) {
  std::vector<std::string> all;
  struct Seen {
    std::string name;
    const CK_TOKEN_INFO* token;
  };
  std::vector<Seen> tokens;
  for (const SeenToken& each : seen) {
    const std::string name = "member " + each.member;
    if (each.entry == nullptr)
      all.push_back(name + " has no such token: its module shows none of this label, serial number or slot");
    else if (each.entry->token_rv != CKR_OK)
      all.push_back(name + " has no token now: C_GetTokenInfo: " + display(NameKind::ckr, each.entry->token_rv));
    else if ((each.entry->token.flags & CKF_TOKEN_INITIALIZED) == 0)
      all.push_back(name + " has a token that is not initialised");
    else tokens.push_back({name, &each.entry->token});
  }
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    const CK_TOKEN_INFO& first = *tokens[0].token;
    const CK_TOKEN_INFO& token = *tokens[i].token;
    const std::string both = tokens[0].name + " and " + tokens[i].name;
    const auto is_product = [&](const Seen& other) {
      return same(other.token->manufacturerID, token.manufacturerID) && same(other.token->model, token.model);
    };
    const Seen& of_product = *std::ranges::find_if(tokens, is_product);  // itself at the latest
    const CK_VERSION& its = of_product.token->firmwareVersion;
    if (its.major != token.firmwareVersion.major || its.minor != token.firmwareVersion.minor)
      all.push_back(of_product.name + " and " + tokens[i].name + " have different firmware: " + version_text(its) +
                    " and " + version_text(token.firmwareVersion));
    if (pin_rules(first) != pin_rules(token))
      all.push_back(both + " have different PIN rules: " + pin_rules(first) + "; " + pin_rules(token));
    for (std::size_t j = 0; j < i; ++j) {
      const CK_TOKEN_INFO& other = *tokens[j].token;
      const bool one = same(other.manufacturerID, token.manufacturerID) && same(other.model, token.model) &&
                       same(other.serialNumber, token.serialNumber) && same(other.label, token.label) &&
                       !unpadded(token.serialNumber).empty();
      if (one)
        all.push_back(tokens[j].name + " and " + tokens[i].name + " show the same serial number " +
                      unpadded(token.serialNumber) +
                      ": they are copies of one token, or one token twice, which gives no safety");
    }
  }
  return all;
}

}  // namespace p11shim

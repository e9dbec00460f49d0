// What is wrong with a pool's members as they are seen, each in one line for the operator.
#include <spdlog/spdlog.h>

#include <algorithm>

#include "pkcs11/names.h"
#include "proxyd/tokens/pool.h"

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

std::vector<std::string> Pool::problems() {
  std::vector<std::string> all;
  if (!balanced()) return all;
  struct Seen {
    std::string name;
    const CK_TOKEN_INFO* token;
  };
  std::vector<Seen> tokens;
  for (const auto& each : members) {
    if (each->member.backend().worker().state() != Worker::State::ready) continue;
    const std::string name = "member " + each->member.name();
    const SlotEntry* entry = each->member.entry();
    if (entry == nullptr)
      all.push_back(name + " has no such token: its module shows none of this label, serial number or slot");
    else if (entry->token_rv != CKR_OK)
      all.push_back(name + " has no token now: C_GetTokenInfo: " + display(NameKind::ckr, entry->token_rv));
    else if ((entry->token.flags & CKF_TOKEN_INITIALIZED) == 0)
      all.push_back(name + " has a token that is not initialised");
    else tokens.push_back({name, &entry->token});
  }
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    const CK_TOKEN_INFO& first = *tokens[0].token;
    const CK_TOKEN_INFO& token = *tokens[i].token;
    const std::string both = tokens[0].name + " and " + tokens[i].name;
    const bool same_product = same(first.manufacturerID, token.manufacturerID) && same(first.model, token.model);
    const auto firmware = version_text(first.firmwareVersion) + " and " + version_text(token.firmwareVersion);
    const bool other_firmware = first.firmwareVersion.major != token.firmwareVersion.major ||
                                first.firmwareVersion.minor != token.firmwareVersion.minor;
    if (same_product && other_firmware) all.push_back(both + " have different firmware: " + firmware);
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
  if (const std::string why = why_nobody_serves(); !why.empty())
    all.push_back("no member can serve (" + why +
                  (config.balance.removable ? "): its token is gone"
                                            : "): calls wait for their deadline, then fail with CKR_DEVICE_ERROR"));
  return all;
}

// Empty: some member can, or is on its way.
std::string Pool::why_nobody_serves() {
  std::string why;
  for (const auto& each : members) {
    note_health(*each);  // so that what is down counts as down while it is tried
    const bool wanted = each->health.wanted == Wanted::ready;
    const std::string state = wanted ? health_of(*each).state : each->history.administrative().state;
    if (wanted && state != "down" && state != "ejected") return {};
    why += (why.empty() ? "" : ", ") + each->member.name() + ": " + state;
  }
  return why;
}

void Pool::tell_problems() {
  const std::vector<std::string> now = problems();
  for (const std::string& problem : now)
    if (!std::ranges::count(told_problems_, problem)) runtime_.log.warn("pool {}: {}", config.name, problem);
  for (const std::string& problem : told_problems_)
    if (!std::ranges::count(now, problem)) runtime_.log.info("pool {}: no longer: {}", config.name, problem);
  told_problems_ = now;
}

}  // namespace p11shim

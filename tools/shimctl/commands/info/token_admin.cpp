#include "tools/shimctl/commands/info/token_admin.h"

#include <algorithm>
#include <optional>

#include "config/problem.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/confirm.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/pin_source.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

CK_UTF8CHAR* bytes(const Secret& secret) {
  return reinterpret_cast<CK_UTF8CHAR*>(const_cast<char*>(secret.reveal().data()));
}

void require_source(const std::string& source, const char* option, const std::string& whose) {
  if (!source.empty()) return;
  throw Failure(ExitCode::kPermission, "this needs the " + whose,
                std::string("give its source: ") + option + " env:NAME, file:PATH, fd:N or prompt");
}

Secret required_pin(const std::string& source, const char* option, const std::string& whose) {
  require_source(source, option, whose);
  return read_pin(source, option, whose);
}

Secret new_pin(const std::string& source, const std::string& whose) {
  require_source(source, "--new-pin-from", whose);
  return read_new_pin(source, "--new-pin-from", whose);
}

std::string padded_label(const std::string& label) {
  if (label.empty() || label.size() > 32 || has_control_characters(label)) {
    throw Failure(ExitCode::kUsage, in_quotes(label) + " cannot be a token's label",
                  "1 to 32 bytes without control characters");
  }
  return label + std::string(32 - label.size(), ' ');
}

// The slot that was chosen, or the only one whose token is not initialised.
CK_SLOT_ID slot_for_init(TokenAccess& access, const Invocation& invocation) {
  const auto& choice = invocation.token;
  if (choice.slot || !choice.token.empty() || !choice.uri.empty()) return access.slot();
  std::optional<CK_SLOT_ID> found;
  for (const CK_SLOT_ID slot : access.module().slots(true)) {
    if ((access.module().token_info(slot).flags & CKF_TOKEN_INITIALIZED) != 0) continue;
    if (found) {
      throw Failure(ExitCode::kNotFound, "several tokens are not initialised", "choose with --slot; shimctl slot list");
    }
    found = slot;
  }
  if (!found) throw Failure(ExitCode::kNotFound, "every token is initialised", "choose one to be wiped with --slot");
  return *found;
}

void init_token(const Module& module, CK_SLOT_ID slot, const Secret& pin, const std::string& label) {
  std::string padded = padded_label(label);
  try {
    check("C_InitToken",
          module->C_InitToken(slot, bytes(pin), pin.size(), reinterpret_cast<CK_UTF8CHAR*>(padded.data())));
  } catch (const CallError& error) {
    throw failure_of(error, "cannot initialise the token in slot " + std::to_string(slot));
  }
}

// Its slot may have another number now.
CK_TOKEN_INFO token_by_label(const Module& module, CK_SLOT_ID& slot, const std::string& label) {
  for (const CK_SLOT_ID each : module.slots(true)) {
    const auto info = module.token_info(each);
    if (padded_text(info.label) != label || (info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    slot = each;
    return info;
  }
  return module.token_info(slot);
}

ExitCode initialize(const Invocation& invocation, TokenAccess& access, CK_SLOT_ID slot, const std::string& label,
                    const char* command) {
  const Secret pin = required_pin(invocation.token.so_pin_from, "--so-pin-from", "security officer's PIN");
  Report report{.name = command};
  if (!invocation.dry_run) init_token(access.module(), slot, pin, label);
  const auto info = token_by_label(access.module(), slot, label);
  report.data.set("slot", slot).set("label", label).set("serial", padded_text(info.serialNumber));
  report.data.set("dry_run", invocation.dry_run);
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode done(const Invocation& invocation, TokenAccess& access, const char* command) {
  Report report{.name = command};
  report.data.set("slot", access.slot()).set("label", access.label()).set("dry_run", invocation.dry_run);
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace

ExitCode initialize_token(const Invocation& invocation, const TokenAdminOptions& options) {
  padded_label(options.label);
  TokenAccess access(invocation);
  const CK_SLOT_ID slot = slot_for_init(access, invocation);
  const auto info = access.module().token_info(slot);
  if ((info.flags & CKF_TOKEN_INITIALIZED) != 0) {
    throw Failure(ExitCode::kNegative, "the token " + in_quotes(padded_text(info.label)) + " is initialised already",
                  "shimctl token wipe destroys all that is on it");
  }
  return initialize(invocation, access, slot, options.label, "token.init");
}

ExitCode wipe_token(const Invocation& invocation, const TokenAdminOptions& options) {
  TokenAccess access(invocation);
  const CK_SLOT_ID slot = access.slot();
  const std::string label = access.label();
  if (!invocation.dry_run) {
    confirm(invocation, "destroys every key and object on token " + in_quotes(label), label);
  }
  return initialize(invocation, access, slot, options.label.empty() ? label : options.label, "token.wipe");
}

ExitCode initialize_pin(const Invocation& invocation, const TokenAdminOptions& options) {
  TokenAccess access(invocation);
  const Secret pin = new_pin(options.new_pin_from, "user's new PIN");
  const Session& session = access.session(Session::Access::kReadWrite, Login::kSecurityOfficer);
  try {
    if (!invocation.dry_run) {
      check("C_InitPIN", access.module()->C_InitPIN(session.handle(), bytes(pin), pin.size()));
    }
  } catch (const CallError& error) {
    throw failure_of(error, "cannot set the user's PIN");
  }
  return done(invocation, access, "token.init-pin");
}

ExitCode change_pin(const Invocation& invocation, const TokenAdminOptions& options) {
  TokenAccess access(invocation);
  const auto& choice = invocation.token;
  const Secret old = options.so ? required_pin(choice.so_pin_from, "--so-pin-from", "security officer's PIN")
                                : required_pin(choice.pin_from, "--pin-from", "user's PIN");
  const Secret pin = new_pin(options.new_pin_from, "new PIN");
  // The old PIN is checked by C_SetPIN; only the security officer must be logged in for it.
  const Session& session =
      access.session(Session::Access::kReadWrite, options.so ? Login::kSecurityOfficer : Login::kNone);
  try {
    if (!invocation.dry_run) {
      check("C_SetPIN", access.module()->C_SetPIN(session.handle(), bytes(old), old.size(), bytes(pin), pin.size()));
    }
  } catch (const CallError& error) {
    throw failure_of(error, "cannot change the PIN");
  }
  return done(invocation, access, "token.set-pin");
}

}  // namespace p11shim

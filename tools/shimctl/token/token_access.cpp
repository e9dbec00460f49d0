#include "tools/shimctl/token/token_access.h"

#include <array>
#include <filesystem>

#include "config/problem.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/run/installation.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/pin_source.h"

namespace p11shim {

namespace {

// What the options leave open, the URI fills in.
TokenChoice completed(TokenChoice choice, const TokenUri& uri) {
  if (choice.module.empty()) choice.module = uri.module_path;
  if (choice.token.empty()) choice.token = uri.token;
  if (!choice.slot) choice.slot = uri.slot;
  if (choice.pin_from.empty()) choice.pin_from = uri.pin_source;
  return choice;
}

std::unique_ptr<Module> load(const TokenChoice& choice) {
  const bool proxied = choice.module.empty();
  std::string path = proxied ? Installation::find_shim().string() : choice.module;
  std::error_code error;
  if (std::filesystem::exists(path, error)) {
    path = std::filesystem::absolute(path).string();  // a mere name would be looked for elsewhere
  } else if (path.find('/') != std::string::npos) {
    throw Failure(ExitCode::kConfiguration, "there is no module " + path,
                  "--module takes the path of a PKCS#11 library");
  }
  try {
    return std::make_unique<Module>(path, choice.library_parameters);
  } catch (const LoadError& why) {
    throw Failure(ExitCode::kConfiguration, {.what = path + " is no PKCS#11 module",
                                             .why = why.what(),
                                             .fix = "--module takes the path of a PKCS#11 library"});
  } catch (const CallError& why) {
    if (proxied) {
      throw Failure(ExitCode::kUnreachable, {.what = "cannot reach proxyd",
                                             .why = why.what(),
                                             .fix = "systemctl status proxyd, or name a module with --module PATH"});
    }
    throw failure_of(why, "cannot initialise " + path);
  }
}

std::string quoted_label(const CK_TOKEN_INFO& info) { return in_quotes(padded_text(info.label)); }

}  // namespace

TokenAccess::TokenAccess(const Invocation& invocation) : invocation_(invocation) {
  choice_ = invocation.token;
  if (choice_.uri.empty() && choice_.token.empty() && !choice_.slot) choice_.uri = choice_.key_uri;
  if (!choice_.uri.empty()) uri_ = parse_token_uri(choice_.uri);
  choice_ = completed(choice_, uri_);
}

TokenAccess::TokenAccess(const Invocation& invocation, TokenChoice choice, Module& module)
    : invocation_(invocation), choice_(std::move(choice)), module_(&module) {}

Module& TokenAccess::module() {
  if (module_ == nullptr) {
    loaded_ = load(choice_);
    module_ = loaded_.get();
    // Without proxyd the shim has no slots at all, rather than an error.
    if (goes_through_proxyd() && module_->slots(false).empty()) {
      throw Failure(ExitCode::kUnreachable,
                    {.what = "proxyd shows no slots",
                     .why = "it does not run, or not for this user",
                     .fix = "systemctl status proxyd, P11SHIM_ENDPOINT names its socket, or name a module with "
                            "--module PATH"});
    }
  }
  return *module_;
}

bool TokenAccess::matches(CK_SLOT_ID slot, const CK_TOKEN_INFO& info) const {
  TokenUri wanted = uri_;
  wanted.token = choice_.token;
  wanted.slot = choice_.slot;
  return names_token(wanted, slot, info);
}

CK_SLOT_ID TokenAccess::slot() {
  if (slot_) return *slot_;
  if (choice_.slot && choice_.token.empty() && choice_.uri.empty()) {
    module().slot_info(*choice_.slot);  // it may have no token yet
    slot_ = choice_.slot;
    return *slot_;
  }
  const bool any = choice_.token.empty() && choice_.uri.empty();
  std::vector<CK_SLOT_ID> found;
  std::string candidates;
  std::string all;
  for (const CK_SLOT_ID slot : module().slots(true)) {
    const auto info = module().token_info(slot);
    if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
    const std::string name = quoted_label(info) + " (slot " + std::to_string(slot) + ", serial " +
                             printable(padded_text(info.serialNumber)) + ")";
    all += (all.empty() ? "" : ", ") + name;
    if (!matches(slot, info)) continue;
    found.push_back(slot);
    candidates += (candidates.empty() ? "" : ", ") + name;
  }
  if (found.size() == 1) return slot_.emplace(found.front());
  if (all.empty()) {
    throw Failure(ExitCode::kToken, "the module has no initialised token",
                  "shimctl slot list shows the slots, shimctl token init initialises a token");
  }
  if (found.size() > 1) {
    throw Failure(ExitCode::kNotFound, {.what = any ? "the module has several tokens" : "several tokens match",
                                        .why = candidates,
                                        .fix = "choose with --token, --slot or --uri"});
  }
  const std::string wanted = choice_.token.empty() ? "as the URI wants" : in_quotes(choice_.token);
  throw Failure(ExitCode::kNotFound,
                {.what = "there is no token " + wanted, .why = "the tokens are " + all, .fix = {}});
}

std::string TokenAccess::label() { return padded_text(module().token_info(slot()).label); }

Session& TokenAccess::session(Session::Access access, Login kind) {
  if (session_) return *session_;
  auto session = std::make_unique<Session>(module(), slot(), access);
  login(*session, kind);
  session_ = std::move(session);
  return *session_;
}

void TokenAccess::check_tries(const CK_TOKEN_INFO& info, bool security_officer) const {
  const CK_FLAGS locked = security_officer ? CKF_SO_PIN_LOCKED : CKF_USER_PIN_LOCKED;
  const CK_FLAGS last = security_officer ? CKF_SO_PIN_FINAL_TRY : CKF_USER_PIN_FINAL_TRY;
  if ((info.flags & locked) != 0) {
    throw Failure(ExitCode::kPermission,
                  {.what = "the PIN of token " + quoted_label(info) + " is locked",
                   .why = "too many wrong tries",
                   .fix = security_officer ? "" : "the security officer can set a new one: shimctl token init-pin",
                   .explain = "CKR_PIN_LOCKED"});
  }
  if ((info.flags & last) != 0 && !invocation_.yes) {
    throw Failure(ExitCode::kPermission,
                  {.what = "token " + quoted_label(info) + " has one try left before it locks its PIN",
                   .why = {},
                   .fix = "if you are sure of the PIN, say so with --yes"});
  }
}

void TokenAccess::login(Session& session, Login kind) {
  if (kind == Login::kNone || (kind == Login::kIfGiven && choice_.pin_from.empty())) return;
  const bool officer = kind == Login::kSecurityOfficer;
  const auto info = module().token_info(slot());
  if (!officer && (info.flags & CKF_LOGIN_REQUIRED) == 0 && choice_.pin_from.empty()) return;
  check_tries(info, officer);
  const std::string option = officer ? "--so-pin-from" : "--pin-from";
  const std::string& source = officer ? choice_.so_pin_from : choice_.pin_from;
  const CK_USER_TYPE user = officer ? CKU_SO : CKU_USER;
  try {
    if ((info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0 && source.empty()) {
      check("C_Login", module()->C_Login(session.handle(), user, nullptr, 0));
    } else {
      if (source.empty()) {
        throw Failure(ExitCode::kPermission, "this needs a login to token " + quoted_label(info),
                      "give the PIN's source: " + option + " env:NAME, file:PATH, fd:N or prompt");
      }
      const Secret pin =
          read_pin(source, option, std::string(officer ? "SO PIN" : "PIN") + " of token " + quoted_label(info));
      session.login(user, pin.reveal());
    }
  } catch (const CallError& error) {
    if (error.rv() != CKR_USER_ALREADY_LOGGED_IN) {
      throw failure_of(error, "cannot log in to token " + quoted_label(info));
    }
  }
}

void TokenAccess::authenticate_operation(CK_OBJECT_HANDLE key) {
  if (!session_->read(key, std::array{CKA_ALWAYS_AUTHENTICATE}).is(CKA_ALWAYS_AUTHENTICATE)) return;
  const Secret pin = read_pin(choice_.pin_from, "--pin-from", "PIN, once more for this key");
  try {
    session_->login(CKU_CONTEXT_SPECIFIC, pin.reveal());
  } catch (const CallError& error) {
    throw failure_of(error, "cannot log in for this operation");
  }
}

}  // namespace p11shim

#include "tools/shimctl/commands/key/wrap.h"

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/crypto/hash.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestWrapped = 256 << 10;

struct Wrapping {
  std::string_view name;
  CK_MECHANISM_TYPE mechanism;
};
constexpr std::array<Wrapping, 4> kWrappings{{{"aes-kwp", CKM_AES_KEY_WRAP_PAD},
                                              {"aes-kw", CKM_AES_KEY_WRAP},
                                              {"rsa-oaep", CKM_RSA_PKCS_OAEP},
                                              {"rsa-pkcs", CKM_RSA_PKCS}}};

// The mechanism with its parameter, which it points to.
struct WrapMechanism {
  CK_RSA_PKCS_OAEP_PARAMS oaep{};
  CK_MECHANISM mechanism{};
};

void choose(WrapMechanism& chosen, const Session& session, CK_OBJECT_HANDLE key, const std::string& name,
            const std::string& hash) {
  const auto type = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE);
  const std::string wanted = !name.empty() ? name : type == CKK_RSA ? "rsa-oaep" : "aes-kwp";
  const auto* found = std::find_if(kWrappings.begin(), kWrappings.end(),
                                   [&](const Wrapping& each) { return each.name == wanted; });
  if (found == kWrappings.end()) {
    throw Failure(ExitCode::kUsage, "there is no way of wrapping called " + in_quotes(wanted),
                  "aes-kwp, aes-kw, rsa-oaep and rsa-pkcs are");
  }
  require_mechanism(session, found->mechanism, CKF_WRAP | CKF_UNWRAP, "wrap keys this way");
  chosen.mechanism = {found->mechanism, nullptr, 0};
  if (found->mechanism != CKM_RSA_PKCS_OAEP) return;
  chosen.oaep = oaep_parameters(parse_hash(hash));
  chosen.mechanism.pParameter = &chosen.oaep;
  chosen.mechanism.ulParameterLen = sizeof chosen.oaep;
}

std::string wrap(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with, CK_OBJECT_HANDLE key) {
  const Module& module = session.module();
  CK_ULONG length = 0;
  check("C_WrapKey", module->C_WrapKey(session.handle(), &how.mechanism, with, key, nullptr, &length));
  std::string wrapped(length, '\0');
  check("C_WrapKey", module->C_WrapKey(session.handle(), &how.mechanism, with, key,
                                       reinterpret_cast<CK_BYTE*>(wrapped.data()), &length));
  wrapped.resize(std::min<std::size_t>(length, wrapped.size()));
  return wrapped;
}

CK_OBJECT_HANDLE unwrap(const Session& session, WrapMechanism& how, CK_OBJECT_HANDLE with,
                        std::string wrapped, Template attributes) {
  auto view = attributes.view();
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  check("C_UnwrapKey", session.module()->C_UnwrapKey(session.handle(), &how.mechanism, with,
                                                     reinterpret_cast<CK_BYTE*>(wrapped.data()),
                                                     wrapped.size(), view.data(), view.size(), &key));
  return key;
}

Template unwrapped_template(const KeyType& type, const KeyNames& names) {
  return type.pair ? private_key_template(names, type.type) : secret_key_template(names, type.type);
}

}  // namespace

ExitCode wrap_key(const Invocation& invocation, const WrapOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto key = find_one(session, KeySelector::parse(options.key), {CKO_SECRET_KEY, CKO_PRIVATE_KEY});
  const auto with = find_one(session, KeySelector::parse(options.with), {CKO_SECRET_KEY, CKO_PUBLIC_KEY});
  try {
    WrapMechanism how;
    choose(how, session, with, options.mechanism, options.hash);
    write_file(options.out, wrap(session, how, with, key));
  } catch (const CallError& error) {
    throw failure_of(error, "cannot wrap " + in_quotes(options.key) + " with " + in_quotes(options.with));
  }
  return ExitCode::kOk;
}

ExitCode unwrap_key(const Invocation& invocation, const WrapOptions& options) {
  const KeyType type = parse_key_type(options.type);
  const KeyNames names{.label = options.label, .id = id_or_random(options.id), .token = true};
  const Template changes = parse_attributes(options.attributes);
  const std::string wrapped = read_file(invocation, options.in, kLargestWrapped, "a wrapped key");
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto with = find_one(session, KeySelector::parse(options.with), {CKO_SECRET_KEY, CKO_PRIVATE_KEY});
  if (!options.allow_duplicate) refuse_duplicate(session, options.label);
  Report report{.name = "key.unwrap", .rows_key = "keys", .columns = key_columns()};
  try {
    WrapMechanism how;
    choose(how, session, with, options.mechanism, options.hash);
    if (!invocation.dry_run) {
      const auto key = unwrap(session, how, with, wrapped, unwrapped_template(type, names).set_all(changes));
      report.rows.push_back(key_row(key, session.read(key, key_row_attributes())));
    }
  } catch (const CallError& error) {
    throw failure_of(error, "cannot unwrap the key with " + in_quotes(options.with));
  }
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode rewrap_key(const Invocation& invocation, const WrapOptions& options) {
  const KeyType type = parse_key_type(options.type);
  const std::string wrapped = read_file(invocation, options.in, kLargestWrapped, "a wrapped key");
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto with = find_one(session, KeySelector::parse(options.with), {CKO_SECRET_KEY, CKO_PRIVATE_KEY});
  const auto to = find_one(session, KeySelector::parse(options.to), {CKO_SECRET_KEY, CKO_PUBLIC_KEY});
  try {
    WrapMechanism from_how;
    WrapMechanism to_how;
    choose(from_how, session, with, options.mechanism, options.hash);
    choose(to_how, session, to, options.to_mechanism, options.hash);
    // It lives in this session alone, for as long as it takes.
    const KeyNames names{.label = "shimctl rewrap", .id = id_or_random(""), .token = false};
    const auto key =
        unwrap(session, from_how, with, wrapped, unwrapped_template(type, names).set(CKA_EXTRACTABLE, true));
    const std::string again = wrap(session, to_how, to, key);
    session.destroy(key);
    write_file(options.out, again);
  } catch (const CallError& error) {
    throw failure_of(error, "cannot rewrap the key");
  }
  return ExitCode::kOk;
}

}  // namespace p11shim

#include "tools/shimctl/commands/key/change.h"

#include <array>
#include <functional>

#include "config/problem.h"
#include "pkcs11/attributes.h"
#include "tools/shimctl/commands/key/migrate.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/output/confirm.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

// What a key's name means when it is changed: the key, and the other half of a pair.
std::vector<CK_OBJECT_HANDLE> key_and_half(const Session& session, const KeySelector& selector) {
  const std::vector<CK_OBJECT_CLASS> classes{CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE,
                                             CKO_DATA};
  const CK_OBJECT_HANDLE object = find_one(session, selector, classes);
  std::vector<CK_OBJECT_HANDLE> objects{object};
  const auto attributes = session.read(object, std::array{CKA_CLASS, CKA_ID, CKA_LABEL});
  if (selector.object_class || selector.handle || attributes.number(CKA_CLASS) != CKO_PRIVATE_KEY) return objects;
  Template half;
  half.set(CKA_CLASS, CKO_PUBLIC_KEY).set(CKA_ID, attributes.text(CKA_ID)).set(CKA_LABEL, attributes.text(CKA_LABEL));
  const auto halves = session.find(std::move(half));
  if (halves.size() == 1) objects.push_back(halves.front());
  return objects;
}

Report rows_of(const char* name, const Session& session, const std::vector<CK_OBJECT_HANDLE>& objects) {
  Report report{.name = name, .rows_key = "keys", .columns = key_columns()};
  for (const auto object : objects) report.rows.push_back(key_row(object, session.read(object, key_row_attributes())));
  return report;
}

void change_all(const Session& session, const std::vector<CK_OBJECT_HANDLE>& objects, const Template& changes,
                const std::string& key) {
  std::size_t done = 0;
  try {
    for (const auto object : objects) {
      session.set(object, changes);
      ++done;
    }
  } catch (const CallError& error) {
    const auto failure = failure_of(error, "cannot change " + in_quotes(key));
    if (done == 0) throw failure;
    FailureReason reason = failure.reason();
    reason.what = "only one half of the pair " + in_quotes(key) + " was changed";
    throw Failure(ExitCode::kPartial, reason);
  }
}

}  // namespace

ExitCode copy_key(const Invocation& invocation, const ChangeOptions& options) {
  if (!options.to.empty()) return migrate_key(invocation, options);
  if (options.label.empty()) {
    throw Failure(ExitCode::kUsage, "a copy on the same token needs another label", "--label, or --to another token");
  }
  Template changes = parse_attributes(options.attributes);
  if (!options.label.empty()) changes.set(CKA_LABEL, options.label);
  if (!options.id.empty()) changes.set(CKA_ID, id_or_random(options.id));
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto selector = KeySelector::parse(options.key, options.object_class);
  const auto object = find_one(session, selector, {CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_DATA});
  if (!options.allow_duplicate && !options.label.empty()) refuse_duplicate(session, options.label);
  if (invocation.dry_run) return present(invocation, rows_of("key.copy", session, {object})), ExitCode::kOk;
  try {
    present(invocation, rows_of("key.copy", session, {session.copy(object, changes)}));
  } catch (const CallError& error) {
    throw failure_of(error, "cannot copy " + in_quotes(options.key));
  }
  return ExitCode::kOk;
}

ExitCode rename_key(const Invocation& invocation, const ChangeOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto objects = key_and_half(session, KeySelector::parse(options.key, options.object_class));
  if (!options.allow_duplicate) refuse_duplicate(session, options.label);
  Template changes;
  changes.set(CKA_LABEL, options.label);
  if (!invocation.dry_run) change_all(session, objects, changes, options.key);
  present(invocation, rows_of("key.rename", session, objects));
  return ExitCode::kOk;
}

ExitCode set_attributes(const Invocation& invocation, const ChangeOptions& options) {
  const Template changes = parse_attributes(options.attributes);
  if (changes.empty()) throw Failure(ExitCode::kUsage, "no attribute to set", "shimctl key set k '!sign id=0a1b'");
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto selector = KeySelector::parse(options.key, options.object_class);
  const auto object =
      find_one(session, selector, {CKO_PRIVATE_KEY, CKO_SECRET_KEY, CKO_PUBLIC_KEY, CKO_CERTIFICATE, CKO_DATA});
  if (!invocation.dry_run) change_all(session, {object}, changes, options.key);
  present(invocation, rows_of("key.set", session, {object}));
  return ExitCode::kOk;
}

ExitCode delete_key(const Invocation& invocation, const DeleteOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const auto objects = key_and_half(session, KeySelector::parse(options.key, options.object_class));
  const Report report = rows_of("key.delete", session, objects);
  if (!invocation.dry_run) {
    confirm(invocation, "destroys " + std::to_string(objects.size()) + " object(s) named " + in_quotes(options.key) +
                            " on token " + in_quotes(access.label()));
    try {
      for (const auto object : objects) session.destroy(object);
    } catch (const CallError& error) {
      throw failure_of(error, "cannot delete " + in_quotes(options.key));
    }
  }
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode show_kcv(const Invocation& invocation, const KcvOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto key = find_one(session, KeySelector::parse(options.key), {CKO_SECRET_KEY});
  const auto type = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  if (type != CKK_AES && type != CKK_DES3) {
    throw Failure(ExitCode::kUsage, in_quotes(options.key) + " is no AES or DES3 key, so it has no check value", "");
  }
  const bool cmac = options.method == "cmac";
  CK_MECHANISM mechanism{type == CKK_AES ? (cmac ? CKM_AES_CMAC : CKM_AES_ECB) : (cmac ? CKM_DES3_CMAC : CKM_DES3_ECB),
                         nullptr, 0};
  require_mechanism(session, mechanism.mechanism, cmac ? CKF_SIGN : CKF_ENCRYPT, "compute this check value");
  const Module& module = session.module();
  std::array<CK_BYTE, 16> zeros{};
  std::array<CK_BYTE, 32> result{};
  CK_ULONG length = result.size();
  const CK_ULONG block = type == CKK_AES ? 16 : 8;
  try {
    if (cmac) {
      check("C_SignInit", module->C_SignInit(session.handle(), &mechanism, key));
      check("C_Sign", module->C_Sign(session.handle(), zeros.data(), block, result.data(), &length));
    } else {
      check("C_EncryptInit", module->C_EncryptInit(session.handle(), &mechanism, key));
      check("C_Encrypt", module->C_Encrypt(session.handle(), zeros.data(), block, result.data(), &length));
    }
  } catch (const CallError& error) {
    throw failure_of(error, "cannot use " + in_quotes(options.key));
  }
  const std::size_t shown = cmac ? 5 : 3;
  Report report{.name = "key.kcv", .primary = "kcv"};
  report.data.set("key", options.key).set("method", options.method);
  report.data.set("kcv", hex(std::string_view(reinterpret_cast<const char*>(result.data()), shown)));
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim

#include "tools/shimctl/commands/key/migrate.h"

#include <array>

#include "config/problem.h"
#include "tools/shimctl/automate/bundle_object.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

using nlohmann::json;

namespace {

// A token's label, or a pkcs11: URI that may also name its module and its PIN's source.
TokenChoice choice_of(const std::string& text, const TokenChoice& otherwise) {
  TokenChoice choice = otherwise;
  choice.token.clear();
  choice.slot.reset();
  choice.uri.clear();
  choice.key_uri.clear();
  if (!text.starts_with("pkcs11:")) {
    choice.token = text;
    return choice;
  }
  const TokenUri uri = parse_token_uri(text);
  choice.token = uri.token;
  choice.slot = uri.slot;
  if (!uri.pin_source.empty()) choice.pin_from = uri.pin_source;
  if (!uri.module_path.empty()) choice.module = uri.module_path;
  return choice;
}

// The public half first: the private one is proved with it.
std::vector<CK_OBJECT_HANDLE> halves_of(const Session& session, CK_OBJECT_HANDLE key) {
  const auto attributes = session.read(key, std::array{CKA_CLASS, CKA_ID, CKA_LABEL});
  std::vector<CK_OBJECT_HANDLE> halves;
  if (attributes.number(CKA_CLASS) == CKO_PRIVATE_KEY) {
    halves = session.find(Template()
                              .set(CKA_CLASS, CKO_PUBLIC_KEY)
                              .set(CKA_ID, attributes.text(CKA_ID))
                              .set(CKA_LABEL, attributes.text(CKA_LABEL)));
    if (halves.size() > 1) halves.clear();
  }
  halves.push_back(key);
  return halves;
}

}  // namespace

ExitCode migrate_key(const Invocation& invocation, const ChangeOptions& options) {
  Invocation source = invocation;
  if (!options.from.empty()) source.token = choice_of(options.from, invocation.token);
  Invocation target = source;
  target.token = choice_of(options.to, source.token);
  if (!options.to_pin_from.empty()) target.token.pin_from = options.to_pin_from;
  TokenAccess from(source);
  const Session& from_session = from.session(Session::Access::kReadWrite, Login::kUser);
  const bool same_module = target.token.module == source.token.module;
  TokenAccess to = same_module ? TokenAccess(target, target.token, from.module()) : TokenAccess(target);
  const Session& to_session = to.session(Session::Access::kReadWrite, Login::kUser);
  const auto key =
      find_one(from_session, KeySelector::parse(options.key, options.object_class), {CKO_PRIVATE_KEY, CKO_SECRET_KEY});
  const auto label =
      options.label.empty() ? from_session.read(key, std::array{CKA_LABEL}).text(CKA_LABEL) : options.label;
  if (!options.allow_duplicate) refuse_duplicate(to_session, label);
  Report report{.name = "key.copy", .rows_key = "keys", .columns = key_columns()};
  std::vector<CK_OBJECT_HANDLE> made;
  const auto take_back = [&] {
    for (const auto object : made) to_session.module()->C_DestroyObject(to_session.handle(), object);
  };
  try {
    const Secret secret = random_secret();
    const BackupKek here(from_session, secret);
    const BackupKek there(to_session, secret);
    for (const auto half : halves_of(from_session, key)) {
      json entry = object_entry(from_session, here, half);
      if (entry.contains("why")) {
        throw Failure(ExitCode::kPkcs11, {.what = in_quotes(options.key) + " cannot be copied to another token",
                                          .why = entry["why"].get<std::string>(),
                                          .fix = "only a key made with extractable can leave its token"});
      }
      entry["attributes"][hexadecimal(CKA_LABEL, 8)] = hex(label);
      if (!options.id.empty()) entry["attributes"][hexadecimal(CKA_ID, 8)] = hex(id_or_random(options.id));
      if (invocation.dry_run) continue;
      std::string loss;
      made.push_back(restore_object(to_session, there, entry, true, &loss));
      if (!loss.empty()) note(invocation, in_quotes(label) + ": " + loss);
      report.rows.push_back(key_row(made.back(), to_session.read(made.back(), key_row_attributes())));
    }
  } catch (const CallError& error) {
    take_back();
    throw failure_of(error, "cannot copy " + in_quotes(options.key));
  } catch (const Failure&) {
    take_back();
    throw;
  }
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim

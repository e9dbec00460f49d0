#include "tools/shimctl/commands/automate/backup_commands.h"

#include <CLI/CLI.hpp>

#include <array>
#include <filesystem>

#include "config/problem.h"
#include "tools/shimctl/automate/bundle_match.h"
#include "tools/shimctl/automate/bundle_object.h"
#include "tools/shimctl/commands/subcommand.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/value_json.h"
#include "tools/shimctl/token/call_failure.h"

namespace p11shim {

using nlohmann::json;

namespace {

struct BackupOptions {
  std::string file;
  std::string kek;
  std::string custodians;           // "2-of-3"
  std::string shares_folder = ".";  // where create puts the shares
  std::vector<std::string> shares;  // files
  std::string sign_with;
  std::string public_key;  // a file
  bool require_all = false;
};

json head_of(TokenAccess& access, const std::string& kek) {
  const auto info = access.module().token_info(access.slot());
  return {{"id", new_bundle_id()},
          {"token", {{"label", padded_text(info.label)}, {"serial", padded_text(info.serialNumber)}}},
          {"kek", kek.empty() ? json() : json(kek)},
          {"custodians", nullptr}};
}

// Who signed, as reports have it.
Value signer_of(const json& bundle) {
  const json signer = bundle.value("signer", json());
  if (!signer.is_object()) return {};
  Value value;
  return value.set("label", signer.value("label", "")).set("spki_sha256", signer.value("spki_sha256", ""));
}

Report report_of(const std::string& name, const json& bundle) {
  Report report{.name = name, .rows_key = "objects", .if_empty = "no objects"};
  report.columns = {{"CLASS", "class"}, {"LABEL", "label"}, {"ID", "id"}, {"STATE", "state"}, {"NOTE", "why"}};
  report.data.set("bundle", bundle["id"].get<std::string>()).set("created", bundle["created"].get<std::string>());
  report.data.set("signer", signer_of(bundle));
  return report;
}

Value row_of(const json& object, const std::string& state) {
  Value row;
  for (const char* key : {"class", "label", "id"}) row.set(key, object[key].get<std::string>());
  row.set("state", state);
  return row.set("why", object.contains("why") ? Value(object["why"].get<std::string>()) : Value());
}

// Who reads it can still do something about it.
std::string kek_warning(const BackupKek& kek, const std::string& label) {
  const std::string who = "only the KEK " + in_quotes(label) + " opens this backup";
  if (kek.can_leave()) return who + ": keep a copy of it outside this token";
  return who +
         ", and it cannot leave this token: if the token is lost or wiped and no other one has this KEK, the backup "
         "is lost with it (--custodians 2-of-3 makes one that opens on any token)";
}

std::size_t keys_left_out(const json& bundle) {
  std::size_t keys = 0;
  for (const auto& object : bundle["left_out"])
    keys += object["why"].get<std::string>().starts_with("it is the KEK") ? 0 : 1;
  return keys;
}

ExitCode create_backup(const Invocation& invocation, const BackupOptions& options) {
  if (options.kek.empty() == options.custodians.empty())
    throw Failure(ExitCode::kUsage, "either --kek or --custodians says who can open the backup", "");
  TokenAccess access(invocation);
  Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  json head = head_of(access, options.kek);
  const std::string id = head["id"].get<std::string>();
  std::string text;
  std::string warning;
  try {
    const auto signer =
        options.sign_with.empty() ? nullptr : std::make_unique<BundleSigner>(session, options.sign_with);
    if (!options.kek.empty()) {
      const BackupKek kek(session, options.kek);
      text = create_bundle(session, kek, head, signer.get());
      warning = kek_warning(kek, options.kek);
    } else {
      const Custodians custodians = Custodians::parse(options.custodians);
      const Secret secret = random_secret();
      head["custodians"] = {{"threshold", custodians.threshold}, {"shares", custodians.shares}};
      text = create_bundle(session, BackupKek(session, secret), head, signer.get());
      const auto shares = divide_secret(secret, custodians, id);
      for (std::size_t i = 0; i < shares.size() && !invocation.dry_run; ++i) {
        const std::string file = "share-" + id + "-" + std::to_string(i + 1) + ".txt";
        write_durable_file((std::filesystem::path(options.shares_folder) / file).string(), shares[i].reveal());
      }
    }
  } catch (const CallError& error) {
    throw failure_of(error, "cannot back up the token");
  }
  if (!invocation.dry_run) write_durable_file(options.file, text);
  const json bundle = bundle_head(text);
  Report report = report_of("backup.create", bundle);
  report.data.set("file", options.file).set("warning", warning.empty() ? Value() : Value(warning));
  for (const auto& object : bundle["objects"]) report.rows.push_back(row_of(object, "saved"));
  for (const auto& object : bundle["left_out"]) report.rows.push_back(row_of(object, "left out"));
  present(invocation, report);
  if (!warning.empty() && invocation.format != OutputFormat::kTable) note(invocation, warning);  // the table has it
  const std::size_t keys = keys_left_out(bundle);
  if (keys == 0) return ExitCode::kOk;
  note(invocation, std::to_string(keys) + " key(s) cannot leave the token and are not in the backup");
  return options.require_all ? ExitCode::kPartial : ExitCode::kOk;
}

std::unique_ptr<BackupKek> kek_for(const Invocation& invocation, const Session& session, const BackupOptions& options,
                                   const json& head) {
  if (!options.shares.empty()) {
    std::vector<Secret> texts;
    for (const auto& file : options.shares) {
      std::string text = read_file(invocation, file, 4096, "a share");
      texts.emplace_back(text);
      wipe(text.data(), text.size());
    }
    return std::make_unique<BackupKek>(session, join_secret(texts, head["id"].get<std::string>()));
  }
  if (!options.kek.empty()) return std::make_unique<BackupKek>(session, options.kek);
  if (head["kek"].is_string()) return std::make_unique<BackupKek>(session, head["kek"].get<std::string>());
  throw Failure(ExitCode::kUsage, "this backup is opened by its custodians", "--share FILE, once for each of them");
}

std::string public_key_in(const Invocation& invocation, const BackupOptions& options) {
  return options.public_key.empty() ? "" : read_file(invocation, options.public_key, 1 << 16, "a public key");
}

// Without any token: who wrote it, and that nothing was changed. What is wrapped stays so.
ExitCode verify_signature(const Invocation& invocation, const BackupOptions& options, const std::string& text) {
  const json bundle = signed_bundle(text, public_key_in(invocation, options));
  Report report = report_of("backup.verify", bundle);
  report.data.set("authentic", true);
  for (const auto& object : bundle["objects"]) report.rows.push_back(row_of(object, "signed"));
  for (const auto& object : bundle["left_out"]) report.rows.push_back(row_of(object, "left out"));
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode verify_backup(const Invocation& invocation, const BackupOptions& options) {
  const std::string text = read_file(invocation, options.file, kLargestBundle, "a backup");
  const json head = bundle_head(text);
  if (!options.public_key.empty() && options.kek.empty() && options.shares.empty())
    return verify_signature(invocation, options, text);
  TokenAccess access(invocation);
  Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  try {
    const auto kek = kek_for(invocation, session, options, head);
    const json bundle = opened_bundle(text, *kek, public_key_in(invocation, options));
    Report report = report_of("backup.verify", bundle);
    report.data.set("authentic", true);
    for (const auto& object : bundle["objects"]) {
      // Every key is unwrapped for a moment, in this session alone.
      if (!object["wrapped"].get<std::string>().empty())
        session.module()->C_DestroyObject(session.handle(), restore_object(session, *kek, object, false));
      report.rows.push_back(row_of(object, "good"));
    }
    for (const auto& object : bundle["left_out"]) report.rows.push_back(row_of(object, "left out"));
    present(invocation, report);
  } catch (const CallError& error) {
    throw failure_of(error, "cannot verify the backup");
  }
  return ExitCode::kOk;
}

std::string state_of(Presence presence, bool dry_run) {
  switch (presence) {
    case Presence::kMissing: return dry_run ? "missing" : "restored";
    case Presence::kSame: return "was there";
    case Presence::kOther: return "differs";
    case Presence::kUnproven: return "unproven";
  }
  return {};
}

ExitCode restore_backup(const Invocation& invocation, const BackupOptions& options) {
  const std::string text = read_file(invocation, options.file, kLargestBundle, "a backup");
  const json head = bundle_head(text);
  TokenAccess access(invocation);
  Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  std::vector<CK_OBJECT_HANDLE> made;
  try {
    const auto kek = kek_for(invocation, session, options, head);
    const json bundle = opened_bundle(text, *kek, public_key_in(invocation, options));
    Report report = report_of("backup.restore", bundle);
    // Before anything is made: what this run restores is nothing that was there.
    const auto matches = match_bundle(session, *kek, bundle["objects"]);
    std::size_t doubtful = 0;
    for (std::size_t i = 0; i < matches.size(); ++i) {
      const json& object = bundle["objects"][i];
      const auto presence = matches[i].presence;
      std::string why = matches[i].why;
      if (presence == Presence::kMissing && !invocation.dry_run)
        made.push_back(restore_object(session, *kek, object, true, &why));
      doubtful += presence == Presence::kOther || presence == Presence::kUnproven || !why.empty() ? 1 : 0;
      report.rows.push_back(row_of(object, state_of(presence, invocation.dry_run)));
      if (!why.empty()) report.rows.back().set("why", why);
    }
    for (const auto& object : bundle["left_out"]) report.rows.push_back(row_of(object, "left out"));
    present(invocation, report);
    if (doubtful == 0) return ExitCode::kOk;
    note(invocation, std::to_string(doubtful) + " object(s) of the token are not as they are in the backup");
    return ExitCode::kPartial;
  } catch (const CallError& error) {
    for (const auto object : made) session.module()->C_DestroyObject(session.handle(), object);
    throw failure_of(error, "cannot restore the backup; what was restored is taken back");
  } catch (const Failure&) {
    for (const auto object : made) session.module()->C_DestroyObject(session.handle(), object);
    throw;
  }
}

void add_opening(CLI::App& app, BackupOptions& options) {
  app.add_option("bundle", options.file, "What backup create wrote")->required();
  app.add_option("--kek", options.kek, "The key that it is under; otherwise the one that it names")->option_text("KEY");
  app.add_option("--share", options.shares, "A custodian's share; as many as are needed")
      ->option_text("FILE")
      ->allow_extra_args(false);
  app.add_option("--public-key", options.public_key, "It must be signed by this key; alone it is enough to verify")
      ->option_text("FILE");
}

}  // namespace

void write_backup(const Invocation& invocation, const Session& session, TokenAccess& access,
                  const BackupRequest& request) {
  const BackupKek kek(session, request.kek);
  const auto signer = request.sign_with.empty() ? nullptr : std::make_unique<BundleSigner>(session, request.sign_with);
  const std::string text = create_bundle(session, kek, head_of(access, request.kek), signer.get());
  write_durable_file(request.file, text);
  note(invocation, "backup: " + request.file);
  note(invocation, kek_warning(kek, request.kek));
  const auto left_out = keys_left_out(bundle_head(text));
  if (left_out > 0)
    note(invocation,
         std::to_string(left_out) + " object(s), among them keys that cannot leave the token, are not in the backup");
}

void add_backup_commands(CLI::App& root, Invocation& invocation) {
  auto& backup = add_noun(root, "backup", "A token's keys and objects in a file, wrapped");
  const auto create = add_command(backup, invocation, "create", "Write a backup", &create_backup);
  create.app->add_option("--out", create.options->file, "The file")->required()->option_text("FILE");
  create.app->add_option("--kek", create.options->kek, "An AES key of the token that may wrap and sign")
      ->option_text("KEY");
  create.app
      ->add_option("--custodians", create.options->custodians,
                   "A new KEK, divided: 2-of-3 people are needed to open the backup")
      ->option_text("M-of-N");
  create.app->add_option("--shares-to", create.options->shares_folder, "Where the custodians' shares are written")
      ->capture_default_str()
      ->option_text("FOLDER");
  create.app->add_option("--sign-with", create.options->sign_with, "Sign it too, with this private key of the token")
      ->option_text("KEY");
  create.app->add_flag("--require-all", create.options->require_all, "Exit with 9 if a key cannot leave the token");
  const auto verify = add_command(backup, invocation, "verify", "See whether a backup can be restored", &verify_backup);
  add_opening(*verify.app, *verify.options);
  const auto restore =
      add_command(backup, invocation, "restore", "Put what is missing back on the token", &restore_backup);
  add_opening(*restore.app, *restore.options);
}

}  // namespace p11shim

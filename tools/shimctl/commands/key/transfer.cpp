#include "tools/shimctl/commands/key/transfer.h"

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_file.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestKeyFile = 256 << 10;

std::vector<Template> secret_in(const std::string& file, const std::string& type_text) {
  const KeyType type = parse_key_type(type_text);
  if (type.pair) throw Failure(ExitCode::kUsage, "--type is for secret keys; a file of a pair says its type", "");
  const bool sized = type_text.find(':') != std::string::npos;
  if (file.empty() || (sized && file.size() != type.bits / 8) || (type.type == CKK_DES3 && file.size() != 24) ||
      (type.type == CKK_AES && file.size() != 16 && file.size() != 24 && file.size() != 32)) {
    throw Failure(
        ExitCode::kUsage,
        "the file has " + std::to_string(file.size()) + " bytes, which is no " + in_quotes(type_text) + " key",
        "it holds the bytes of the key and nothing else");
  }
  return {Template().set(CKA_CLASS, CKO_SECRET_KEY).set(CKA_KEY_TYPE, type.type).set(CKA_VALUE, file)};
}

CK_ULONG number_in(const Template& object, CK_ATTRIBUTE_TYPE type) {
  ObjectAttributes attributes;
  for (const auto& entry : object.entries()) {
    if (entry.type == type) attributes.set(type, entry.value);
  }
  return attributes.number(type).value_or(CK_UNAVAILABLE_INFORMATION);
}

Template with_defaults(const Template& object, const KeyNames& names) {
  const CK_KEY_TYPE type = number_in(object, CKA_KEY_TYPE);
  switch (number_in(object, CKA_CLASS)) {
    case CKO_PRIVATE_KEY: return private_key_template(names, type).set_all(object);
    case CKO_PUBLIC_KEY: return public_key_template(names, type).set_all(object);
    case CKO_SECRET_KEY: return secret_key_template(names, type).set_all(object);
    default: break;
  }
  Template certificate = object;
  return certificate.set(CKA_TOKEN, names.token)
      .set(CKA_PRIVATE, false)
      .set(CKA_LABEL, names.label)
      .set(CKA_ID, names.id);
}

// All of them or none. The changes are for the first, the half that is worth protecting.
std::vector<Value> create_all(const Session& session, const std::vector<Template>& objects, const KeyNames& names,
                              const Template& changes) {
  std::vector<CK_OBJECT_HANDLE> made;
  std::vector<Value> rows;
  try {
    for (const auto& object : objects) {
      Template whole = with_defaults(object, names);
      if (made.empty()) whole.set_all(changes);
      made.push_back(session.create(std::move(whole)));
      rows.push_back(key_row(made.back(), session.read(made.back(), key_row_attributes())));
    }
  } catch (const CallError& error) {
    for (const auto object : made) session.module()->C_DestroyObject(session.handle(), object);
    throw failure_of(error, "cannot import " + in_quotes(names.label));
  }
  return rows;
}

}  // namespace

ExitCode import_key(const Invocation& invocation, const ImportOptions& options) {
  std::string file = read_file(invocation, options.file, kLargestKeyFile, "a key's file");
  const auto objects = options.type.empty() ? objects_in(file) : secret_in(file, options.type);
  wipe(file.data(), file.size());
  const Template changes = parse_attributes(options.attributes);
  const KeyNames names{.label = options.label, .id = id_or_random(options.id), .token = true};
  const bool certificate = number_in(objects.front(), CKA_CLASS) == CKO_CERTIFICATE;
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  if (!options.allow_duplicate && !certificate) refuse_duplicate(session, options.label);
  Report report{.name = "key.import", .rows_key = "keys", .columns = key_columns()};
  if (!invocation.dry_run) report.rows = create_all(session, objects, names, changes);
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode export_public_key(const Invocation& invocation, const ExportOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto object =
      find_one(session, KeySelector::parse(options.key), {CKO_PUBLIC_KEY, CKO_PRIVATE_KEY, CKO_CERTIFICATE});
  const auto key = public_key_of(session, object);
  if (!key) {
    throw Failure(ExitCode::kNotFound, "the token does not show the public half of " + in_quotes(options.key),
                  "shimctl key show tells what there is");
  }
  const std::string spki = spki_of(key);
  const std::string pem = pem_of("PUBLIC KEY", spki);
  if (!options.file.empty() || options.format == "der") {
    if (!invocation.dry_run) write_file(options.file, options.format == "der" ? spki : pem);
    return ExitCode::kOk;
  }
  if (invocation.format == OutputFormat::kTable || invocation.format == OutputFormat::kPlain) {
    invocation.out << pem;
    return ExitCode::kOk;
  }
  Report report{.name = "key.export-pub"};
  report.data.set("key", options.key).set("pem", pem).set("spki_sha256", hex(sha256_of(spki)));
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim

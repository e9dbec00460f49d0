#include "tools/shimctl/commands/key/wrap.h"

#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_wrapping.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestWrapped = 256 << 10;

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
    choose_wrapping(how, session, with, options.mechanism, options.hash);
    if (!invocation.dry_run) write_file(options.out, wrap_object(session, how, with, key));
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
    choose_wrapping(how, session, with, options.mechanism, options.hash);
    if (!invocation.dry_run) {
      const auto key = unwrap_object(session, how, with, wrapped, unwrapped_template(type, names).set_all(changes));
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
    choose_wrapping(from_how, session, with, options.mechanism, options.hash);
    choose_wrapping(to_how, session, to, options.to_mechanism, options.hash);
    if (invocation.dry_run) return ExitCode::kOk;
    // It lives in this session alone, for as long as it takes.
    const KeyNames names{.label = "shimctl rewrap", .id = id_or_random(""), .token = false};
    const auto key =
        unwrap_object(session, from_how, with, wrapped, unwrapped_template(type, names).set(CKA_EXTRACTABLE, true));
    const std::string again = wrap_object(session, to_how, to, key);
    session.destroy(key);
    write_file(options.out, again);
  } catch (const CallError& error) {
    throw failure_of(error, "cannot rewrap the key");
  }
  return ExitCode::kOk;
}

}  // namespace p11shim

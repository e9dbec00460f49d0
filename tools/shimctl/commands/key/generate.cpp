#include "tools/shimctl/commands/key/generate.h"

#include "config/problem.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_maker.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_type.h"
#include "tools/shimctl/keys/public_key.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

ExitCode generate_key(const Invocation& invocation, const GenerateOptions& options) {
  const KeyType wanted = parse_key_type(options.type);
  const KeyNames names{.label = options.label, .id = id_or_random(options.id)};
  const Template changes = parse_attributes(options.attributes);
  const Template public_changes = parse_attributes(options.public_attributes);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  const KeyType type = as_the_token_makes(session, wanted);
  require_mechanism(session, type.generate, CKF_GENERATE | CKF_GENERATE_KEY_PAIR,
                    "make a key " + in_quotes(options.type));
  if (!options.allow_duplicate) refuse_duplicate(session, options.label);
  Report report{.name = "key.gen"};
  if (invocation.dry_run) {
    report.data.set("label", names.label).set("id", hex(names.id)).set("type", options.type).set("dry_run", true);
    present(invocation, report);
    return ExitCode::kOk;
  }
  CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
  try {
    key = make_key(session, type, names, changes, public_changes).key;
  } catch (const CallError& error) {
    throw failure_of(error, "cannot make the key " + in_quotes(options.label));
  }
  report.data = key_row(key, session.read(key, key_row_attributes()));
  const auto public_key = type.pair ? public_key_of(session, key) : nullptr;
  report.data.set("spki_sha256", public_key ? Value(hex(sha256_of(spki_of(public_key)))) : Value());
  present(invocation, report);
  return ExitCode::kOk;
}

}  // namespace p11shim

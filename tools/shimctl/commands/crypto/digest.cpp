#include "tools/shimctl/commands/crypto/digest.h"

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/crypto/hash.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/attribute_text.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_file.h"
#include "tools/shimctl/keys/key_row.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestKeyFile = 64 << 10;
constexpr std::uint64_t kMostShown = 64 << 10;  // random bytes, as text

CK_BYTE* bytes(std::string_view text) { return reinterpret_cast<CK_BYTE*>(const_cast<char*>(text.data())); }

std::string random_bytes(const Session& session, std::uint64_t count) {
  std::string random(count, '\0');
  check("C_GenerateRandom", session.module()->C_GenerateRandom(session.handle(), bytes(random), random.size()));
  return random;
}

// The attribute of the only public key in a file, without the OCTET STRING around it.
std::string peer_point(const Invocation& invocation, const std::string& path, CK_KEY_TYPE type) {
  if (type == CKK_EC_EDWARDS) type = CKK_EC_MONTGOMERY;  // SoftHSM calls X25519 so; Ed25519 agrees on nothing
  for (const auto& object : objects_in(read_file(invocation, path, kLargestKeyFile, "a public key's file"))) {
    ObjectAttributes attributes;
    for (const auto& entry : object.entries()) attributes.set(entry.type, entry.value);
    const auto point = attributes.bytes(CKA_EC_POINT);
    if (!point || point->size() < 3 || attributes.number(CKA_KEY_TYPE) != type) continue;
    const std::size_t head = static_cast<unsigned char>((*point)[1]) < 0x80 ? 2 : 3;
    return std::string(point->substr(head));
  }
  throw Failure(ExitCode::kUsage, in_quotes(path) + " holds no public key of our key's type", "");
}

Template derived_template(const DeriveOptions& options, const KeyType& type, bool kept) {
  const KeyNames names{.label = options.label, .id = id_or_random(options.id), .token = kept};
  Template secret = secret_key_template(names, type.type);
  if (type.type != CKK_DES3) secret.set(CKA_VALUE_LEN, type.bits / 8);
  if (!kept) secret.set(CKA_SENSITIVE, false).set(CKA_EXTRACTABLE, true);
  return secret.set_all(parse_attributes(options.attributes));
}

CK_OBJECT_HANDLE derive(const Session& session, CK_OBJECT_HANDLE key, std::string& point, Template secret) {
  CK_ECDH1_DERIVE_PARAMS parameters{CKD_NULL, 0, nullptr, point.size(), bytes(point)};
  CK_MECHANISM mechanism{CKM_ECDH1_DERIVE, &parameters, sizeof parameters};
  auto view = secret.view();
  CK_OBJECT_HANDLE derived = CK_INVALID_HANDLE;
  check("C_DeriveKey",
        session.module()->C_DeriveKey(session.handle(), &mechanism, key, view.data(), view.size(), &derived));
  return derived;
}

}  // namespace

ExitCode hash_data(const Invocation& invocation, const HashOptions& options) {
  const Hash& hash = parse_hash(options.hash);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly, Login::kNone);
  require_mechanism(session, hash.digest, CKF_DIGEST, "compute " + std::string(hash.name));
  const Module& module = session.module();
  InputStream in(invocation, options.in);
  CK_MECHANISM mechanism{hash.digest, nullptr, 0};
  check("C_DigestInit", module->C_DigestInit(session.handle(), &mechanism));
  for (auto piece = in.next(); !piece.empty(); piece = in.next()) {
    check("C_DigestUpdate", module->C_DigestUpdate(session.handle(), bytes(piece), piece.size()));
  }
  std::string digest(hash.size, '\0');
  CK_ULONG length = digest.size();
  check("C_DigestFinal", module->C_DigestFinal(session.handle(), bytes(digest), &length));
  digest.resize(std::min<std::size_t>(length, digest.size()));
  if (!options.out.empty()) {
    write_file(options.out, digest);
    present_file(invocation, "hash", options.out, digest.size());
    return ExitCode::kOk;
  }
  Report report{.name = "hash", .primary = "digest"};
  report.data.set("hash", hash.name).set("digest", hex(digest));
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode make_random(const Invocation& invocation, const RandomOptions& options) {
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly, Login::kNone);
  if (!options.out.empty()) {
    OutputStream out(options.out);
    Progress progress(invocation, "random bytes", options.bytes, "B");
    for (std::uint64_t left = options.bytes; left > 0;) {
      const auto count = std::min<std::uint64_t>(left, InputStream::kChunk);
      out.write(random_bytes(session, count));
      progress.advance(count);
      left -= count;
    }
    out.finish();
    present_file(invocation, "random", options.out, options.bytes);
    return ExitCode::kOk;
  }
  if (options.bytes > kMostShown) throw Failure(ExitCode::kUsage, "so many bytes need a file", "--out FILE");
  Report report{.name = "random", .primary = "random"};
  report.data.set("bytes", options.bytes).set("random", hex(random_bytes(session, options.bytes)));
  present(invocation, report);
  return ExitCode::kOk;
}

ExitCode derive_key(const Invocation& invocation, const DeriveOptions& options) {
  const KeyType type = parse_key_type(options.type);
  const bool kept = options.out.empty();
  if (kept == options.label.empty()) {
    throw Failure(ExitCode::kUsage, "either --label makes a key of the secret, or --out writes it to a file", "");
  }
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite);
  require_mechanism(session, CKM_ECDH1_DERIVE, CKF_DERIVE, "agree on a key");
  const auto key = find_one(session, KeySelector::parse(options.key), {CKO_PRIVATE_KEY});
  const auto own = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  std::string point = peer_point(invocation, options.peer, own);
  if (kept && !options.allow_duplicate) refuse_duplicate(session, options.label);
  if (invocation.dry_run) return ExitCode::kOk;
  CK_OBJECT_HANDLE derived = CK_INVALID_HANDLE;
  try {
    derived = derive(session, key, point, derived_template(options, type, kept));
  } catch (const CallError& error) {
    throw failure_of(error, "cannot agree on a key with " + in_quotes(options.key));
  }
  if (!kept) {
    std::string value;
    check("C_GetAttributeValue", session.read_one(derived, CKA_VALUE, value));
    write_file(options.out, value);
    present_file(invocation, "derive", options.out, value.size());
    wipe(value.data(), value.size());
    return ExitCode::kOk;
  }
  present(invocation, {.name = "derive", .data = key_row(derived, session.read(derived, key_row_attributes()))});
  return ExitCode::kOk;
}

}  // namespace p11shim

#include "tools/shimctl/commands/crypto/sign.h"

#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/crypto/signer.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestSignature = 8 << 10;

SignatureScheme scheme_of(const SignOptions& options) {
  SignatureScheme scheme;
  if (options.hash != "none") scheme.hash = &parse_hash(options.hash);
  scheme.padding = options.padding == "pss" ? SignatureScheme::Padding::kPss : SignatureScheme::Padding::kPkcs1;
  scheme.salt_length = options.salt_length;
  scheme.der = options.format == "der";
  scheme.hash_on_token = options.hash_on_token;
  return scheme;
}

void feed(const Invocation& invocation, Signer& signer, const std::string& path) {
  InputStream in(invocation, path);
  for (auto piece = in.next(); !piece.empty(); piece = in.next()) signer.update(piece);
}

// Into a file if there is one, as text otherwise.
ExitCode give(const Invocation& invocation, const SignOptions& options, const char* command, const char* what,
              const std::string& bytes) {
  if (!options.out.empty()) {
    write_file(options.out, bytes);
    present_file(invocation, command, options.out, bytes.size());
    return ExitCode::kOk;
  }
  Report report{.name = command, .primary = what};
  report.data.set("key", options.key).set(what, hex(bytes));
  present(invocation, report);
  return ExitCode::kOk;
}

enum class What : std::uint8_t { kSignature, kHmac, kCmac };

void check_type(const Session& session, CK_OBJECT_HANDLE key, What what, const std::string& name) {
  if (what == What::kSignature) return;
  const auto type = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE);
  const bool block_cipher = type == CKK_AES || type == CKK_DES3;
  if (block_cipher == (what == What::kCmac)) return;
  throw Failure(ExitCode::kUsage, in_quotes(name) + (block_cipher ? " is no HMAC key" : " is no AES or DES3 key"),
                block_cipher ? "shimctl cmac" : "shimctl hmac");
}

void check_padding(const Session& session, CK_OBJECT_HANDLE key, const SignOptions& options) {
  if (options.padding != "pss" && !options.salt_length) return;
  if (session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE) == CKK_RSA) return;
  throw Failure(ExitCode::kUsage, in_quotes(options.key) + " is no RSA key, and has no padding",
                "leave --padding and --salt-length out");
}

// Modules take PSS with some hashes only, and some say no more than that an argument is bad.
Failure refusal(const CallError& error, const char* what, const SignOptions& options) {
  if (!blames_parameters(error.rv()) || options.padding != "pss")
    return failure_of(error, what + in_quotes(options.key));
  return Failure(ExitCode::kPkcs11,
                 {.what = "the token does not take PSS with " + options.hash +
                          (options.salt_length ? " and a salt of this length" : ""),
                  .why = error.what(),
                  .fix = "--hash sha256 with a salt as long is what most tokens take, or --hash-on-token",
                  .explain = "CKR_MECHANISM_PARAM_INVALID"});
}

std::string sign_with(const Invocation& invocation, const SignOptions& options, What what) {
  const SignatureScheme scheme = scheme_of(options);
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  std::vector<CK_OBJECT_CLASS> classes{CKO_SECRET_KEY};
  if (what == What::kSignature) classes = {CKO_PRIVATE_KEY, CKO_SECRET_KEY};
  const auto key = find_one(session, KeySelector::parse(options.key), classes);
  check_type(session, key, what, options.key);
  check_padding(session, key, options);
  try {
    Signer signer(session, key, scheme, Signer::Purpose::kSign, [&] { access.authenticate_operation(key); });
    feed(invocation, signer, options.in);
    return signer.sign();
  } catch (const CallError& error) {
    throw refusal(error, "cannot sign with ", options);
  }
}

}  // namespace

ExitCode sign_data(const Invocation& invocation, const SignOptions& options) {
  return give(invocation, options, "sign", "signature", sign_with(invocation, options, What::kSignature));
}

ExitCode compute_hmac(const Invocation& invocation, const SignOptions& options) {
  return give(invocation, options, "hmac", "mac", sign_with(invocation, options, What::kHmac));
}

ExitCode compute_cmac(const Invocation& invocation, const SignOptions& options) {
  return give(invocation, options, "cmac", "mac", sign_with(invocation, options, What::kCmac));
}

ExitCode verify_data(const Invocation& invocation, const SignOptions& options) {
  const std::string signature = read_file(invocation, options.signature, kLargestSignature, "a signature");
  TokenAccess access(invocation);
  const SignatureScheme scheme = scheme_of(options);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto key = find_one(session, KeySelector::parse(options.key), {CKO_PUBLIC_KEY, CKO_SECRET_KEY});
  check_padding(session, key, options);
  bool valid = false;
  try {
    Signer signer(session, key, scheme, Signer::Purpose::kVerify);
    feed(invocation, signer, options.in);
    valid = signer.verify(signature);
  } catch (const CallError& error) {
    throw refusal(error, "cannot verify with ", options);
  }
  Report report{.name = "verify"};
  report.data.set("key", options.key).set("valid", valid);
  present(invocation, report);
  return valid ? ExitCode::kOk : ExitCode::kNegative;
}

}  // namespace p11shim

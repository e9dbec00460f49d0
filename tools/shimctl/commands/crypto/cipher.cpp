#include "tools/shimctl/commands/crypto/cipher.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "config/problem.h"
#include "tools/shimctl/crypto/byte_stream.h"
#include "tools/shimctl/crypto/cipher_mode.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/hex.h"
#include "tools/shimctl/keys/key_selector.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/token/call_failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kLargestPiece = 2048;      // of RSA
constexpr std::size_t kLargestWhole = 64 << 20;  // where a module takes no parts

CK_BYTE* bytes(std::string_view text) { return reinterpret_cast<CK_BYTE*>(const_cast<char*>(text.data())); }

std::string hex_option(const std::string& text, const char* option) {
  const auto value = parse_hex(text);
  if (!value) throw Failure(ExitCode::kUsage, std::string(option) + " takes digits in pairs", "");
  return *value;
}

std::string random_iv(std::size_t size) {
  std::string iv(size, '\0');
  if (RAND_bytes(bytes(iv), static_cast<int>(size)) != 1) {
    throw Failure(ExitCode::kNegative, "no random numbers for an IV", "give one with --iv");
  }
  return iv;
}

// C_EncryptInit and its like, or C_DecryptInit and its like.
struct Calls {
  const char* name;
  const char* permission;
  CK_C_EncryptInit init;
  CK_C_Encrypt whole;
  CK_C_EncryptUpdate update;
  CK_C_EncryptFinal final;
};

Calls calls_of(const Module& module, bool encrypt) {
  if (encrypt) {
    return {"C_Encrypt",           "encrypt", module->C_EncryptInit, module->C_Encrypt, module->C_EncryptUpdate,
            module->C_EncryptFinal};
  }
  return {"C_Decrypt",           "decrypt", module->C_DecryptInit, module->C_Decrypt, module->C_DecryptUpdate,
          module->C_DecryptFinal};
}

// `call` with a buffer that grows once to what the module asks for (GCM decryption gives all of it at the
// end).
template <class Call>
void append_output(OutputStream& out, std::string& buffer, const char* name, Call call) {
  CK_ULONG length = buffer.size();
  CK_RV rv = call(bytes(buffer), &length);
  if (rv == CKR_BUFFER_TOO_SMALL) {
    buffer.resize(length);
    rv = call(bytes(buffer), &length);
    if (rv == CKR_BUFFER_TOO_SMALL) {
      throw Failure(ExitCode::kPkcs11,
                    {.what = "the token keeps the plaintext back until its tag is verified, and then gives more at "
                             "once than passes through proxyd",
                     .why = std::string(name) + ": CKR_BUFFER_TOO_SMALL",
                     .fix = "decrypt it with --module, and encrypt large files with --mode ctr or cbc",
                     .explain = "CKR_BUFFER_TOO_SMALL"});
    }
  }
  check(name, rv);
  out.write(std::string_view(buffer).substr(0, length));
}

void in_one_piece(const Session& session, const Calls& calls, const std::string& data, OutputStream& out) {
  std::string buffer(data.size() + kLargestPiece, '\0');
  append_output(out, buffer, calls.name, [&](CK_BYTE* to, CK_ULONG* length) {
    return calls.whole(session.handle(), bytes(data), data.size(), to, length);
  });
  wipe(buffer.data(), buffer.size());
}

// Modules that take GCM or ChaCha20-Poly1305 in one piece only (NSS) begin no parts.
bool begins_no_parts(CK_RV rv) {
  return rv == CKR_OPERATION_NOT_INITIALIZED || rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_MECHANISM_INVALID;
}

// What fits into one chunk is one call. The rest goes part by part, unless the module cannot: `again` begins anew then.
template <class Again>
void stream(const Session& session, const Calls& calls, InputStream& in, OutputStream& out, std::string_view first,
            Again again) {
  std::string head(first.empty() ? in.next() : first);
  std::string_view piece = in.next();
  if (piece.empty()) return in_one_piece(session, calls, head, out);
  std::string buffer(InputStream::kChunk + 512, '\0');
  const auto update = [&](std::string_view part) {
    append_output(out, buffer, calls.name, [&](CK_BYTE* to, CK_ULONG* length) {
      return calls.update(session.handle(), bytes(part), part.size(), to, length);
    });
  };
  try {
    update(head);
  } catch (const CallError& error) {
    if (!begins_no_parts(error.rv())) throw;
    head += piece;
    head += in.all(kLargestWhole, "what this module encrypts in one piece");
    try {
      in_one_piece(session, calls, head, out);  // NSS's operation is still active
    } catch (const CallError& ended) {
      if (ended.rv() != CKR_OPERATION_NOT_INITIALIZED) throw;
      again();
      in_one_piece(session, calls, head, out);
    }
    return wipe(head.data(), head.size());
  }
  for (; !piece.empty(); piece = in.next()) update(piece);
  append_output(out, buffer, calls.name,
                [&](CK_BYTE* to, CK_ULONG* length) { return calls.final(session.handle(), to, length); });
  wipe(buffer.data(), buffer.size());
  wipe(head.data(), head.size());
}

// Bytes in no form but their own, and as many as there are.
void check_form(const Invocation& invocation, const CipherOptions& options) {
  const bool raw = invocation.format == OutputFormat::kTable || invocation.format == OutputFormat::kPlain;
  if (raw || (!options.out.empty() && options.out != "-")) return;
  throw Failure(ExitCode::kUsage, "what comes out are bytes, which this output format has no place for",
                "write them to a file with --out, or leave -o out");
}

// Modules take OAEP with few hashes (SoftHSM: with SHA-1 only), and some say no more than that an argument is bad.
Failure refusal(const CallError& error, const CipherMode& mode, const Calls& calls, const CipherOptions& options) {
  if (!blames_parameters(error.rv()) || mode.type() != CKM_RSA_PKCS_OAEP) {
    return failure_of(error, std::string("cannot ") + calls.permission + " with " + in_quotes(options.key));
  }
  return Failure(ExitCode::kPkcs11, {.what = "the token does not take OAEP with " + options.hash,
                                     .why = error.what(),
                                     .fix = "--hash sha1 is what every token takes; the other side must use the same",
                                     .explain = "CKR_MECHANISM_PARAM_INVALID"});
}

ExitCode run(const Invocation& invocation, const CipherOptions& options, bool encrypt) {
  check_form(invocation, options);
  const std::string aad = hex_option(options.aad, "--aad");
  std::string iv = hex_option(options.iv, "--iv");
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadOnly);
  const auto key =
      find_one(session, KeySelector::parse(options.key), {CKO_SECRET_KEY, encrypt ? CKO_PUBLIC_KEY : CKO_PRIVATE_KEY});
  const auto type = session.read(key, std::array{CKA_KEY_TYPE}).number(CKA_KEY_TYPE).value_or(CKK_VENDOR_DEFINED);
  CipherMode mode(type, options.mode, options.hash, aad);
  const Calls calls = calls_of(session.module(), encrypt);
  require_mechanism(session, mode.type(), CKF_ENCRYPT, std::string(calls.permission) + " this way");
  InputStream in(invocation, options.in);
  OutputStream out(options.out);
  std::string_view first;
  const bool carries_iv = iv.empty() && mode.iv_size() > 0;
  if (carries_iv && encrypt) {
    iv = random_iv(mode.iv_size());
    out.write(iv);
  } else if (carries_iv) {
    first = in.next();
    if (first.size() < mode.iv_size()) {
      throw Failure(ExitCode::kUsage, "the input is too short to be what shimctl encrypt writes",
                    "it begins with the IV, unless --iv is given");
    }
    iv = first.substr(0, mode.iv_size());
    first.remove_prefix(mode.iv_size());
  }
  try {
    check(encrypt ? "C_EncryptInit" : "C_DecryptInit", calls.init(session.handle(), mode.with_iv(iv), key));
    access.authenticate_operation(key);
    if (mode.in_one_piece()) {
      in_one_piece(session, calls, in.all(kLargestPiece, "what an RSA key encrypts"), out);
    } else {
      stream(session, calls, in, out, first, [&] {
        check(encrypt ? "C_EncryptInit" : "C_DecryptInit", calls.init(session.handle(), mode.with_iv(iv), key));
        access.authenticate_operation(key);
      });
    }
  } catch (const CallError& error) {
    throw refusal(error, mode, calls, options);
  }
  out.finish();
  if (!options.out.empty()) present_file(invocation, calls.permission, options.out, out.size());
  return ExitCode::kOk;
}

}  // namespace

ExitCode encrypt_data(const Invocation& invocation, const CipherOptions& options) {
  return run(invocation, options, true);
}

ExitCode decrypt_data(const Invocation& invocation, const CipherOptions& options) {
  return run(invocation, options, false);
}

}  // namespace p11shim

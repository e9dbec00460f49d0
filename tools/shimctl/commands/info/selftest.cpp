// Works with session objects only: nothing stays on the token.
#include "tools/shimctl/commands/info/selftest.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <functional>
#include <stdexcept>
#include <thread>

#include "pkcs11/names.h"
#include "tools/shimctl/crypto/signer.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/keys/key_templates.h"
#include "tools/shimctl/keys/key_type.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/progress.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::size_t kBigData = 4 << 20;
constexpr unsigned kMostThreads = 64;

CK_BYTE* bytes(std::string& text) { return reinterpret_cast<CK_BYTE*>(text.data()); }

// A test says what it saw; "skipped: …" if the token lacks what it needs. It throws if something is wrong.
using Test = std::function<std::string()>;

struct Bench {
  const Session& session;
  Report& report;
  Progress& progress;
  bool failed = false;

  bool has(CK_MECHANISM_TYPE mechanism) const { return session.module().has_mechanism(session.slot(), mechanism); }

  void run(const char* name, const Test& test) {
    Value row;
    row.set("test", name);
    try {
      const std::string seen = test();
      row.set("result", seen.starts_with("skipped") ? "skip" : "pass").set("detail", seen);
    } catch (const std::exception& error) {
      row.set("result", "fail").set("detail", error.what());
      failed = true;
    }
    report.rows.push_back(std::move(row));
    progress.advance(1);
  }
};

void expect(bool truth, const char* what) {
  if (!truth) throw std::runtime_error(what);
}

KeyNames session_key() { return {.label = "shimctl selftest", .id = id_or_random(""), .token = false}; }

Session::Pair make_pair(const Session& session, const char* type_text) {
  const KeyType type = parse_key_type(type_text);
  Template public_key = public_key_template(session_key(), type.type);
  if (type.type == CKK_RSA) {
    public_key.set(CKA_MODULUS_BITS, type.bits).set(CKA_PUBLIC_EXPONENT, std::string_view("\x01\x00\x01", 3));
  } else {
    public_key.set(CKA_EC_PARAMS, type.ec_params);
  }
  return session.generate_pair({type.generate, nullptr, 0}, public_key, private_key_template(session_key(), type.type));
}

bool sign_and_verify(const Session& session, const Session::Pair& pair, const std::string& message) {
  const SignatureScheme scheme{.hash = &parse_hash("sha256")};
  Signer signer(session, pair.private_key, scheme, Signer::Purpose::kSign);
  signer.update(message);
  const std::string signature = signer.sign();
  Signer right(session, pair.public_key, scheme, Signer::Purpose::kVerify);
  right.update(message);
  if (!right.verify(signature)) return false;
  Signer wrong(session, pair.public_key, scheme, Signer::Purpose::kVerify);
  wrong.update(message + "!");
  return !wrong.verify(signature);
}

std::string test_random(const Session& session) {
  std::string first(32, '\0');
  std::string second(32, '\0');
  check("C_GenerateRandom", session.module()->C_GenerateRandom(session.handle(), bytes(first), first.size()));
  check("C_GenerateRandom", session.module()->C_GenerateRandom(session.handle(), bytes(second), second.size()));
  expect(first != second, "two random numbers are equal");
  return "two numbers of 32 bytes differ";
}

std::string test_digest(const Bench& bench, std::size_t size) {
  if (!bench.has(CKM_SHA256)) return "skipped: no CKM_SHA256";
  std::string data(size, 'p');
  LocalHash local(parse_hash("sha256"));
  local.update(data);
  CK_MECHANISM mechanism{CKM_SHA256, nullptr, 0};
  const Module& module = bench.session.module();
  std::string digest(32, '\0');
  CK_ULONG length = digest.size();
  check("C_DigestInit", module->C_DigestInit(bench.session.handle(), &mechanism));
  check("C_Digest", module->C_Digest(bench.session.handle(), bytes(data), data.size(), bytes(digest), &length));
  expect(digest == local.finish(), "the hash is wrong");
  return std::to_string(size) + " bytes hashed as OpenSSL does";
}

std::string test_pair(const Bench& bench, const char* type, CK_MECHANISM_TYPE needed) {
  if (!bench.has(needed)) return "skipped: no " + display(NameKind::ckm, needed);
  const auto pair = make_pair(bench.session, type);
  expect(sign_and_verify(bench.session, pair, "selftest"), "a signature is wrong, or a wrong one is accepted");
  return std::string(type) + " signs; a changed message is refused";
}

std::string test_aes(const Bench& bench) {
  if (!bench.has(CKM_AES_KEY_GEN) || !bench.has(CKM_AES_CBC_PAD)) return "skipped: no CKM_AES_CBC_PAD";
  const Session& session = bench.session;
  const auto key = session.generate({CKM_AES_KEY_GEN, nullptr, 0},
                                    secret_key_template(session_key(), CKK_AES).set(CKA_VALUE_LEN, CK_ULONG{32}));
  std::string iv(16, 'i');
  std::string data(1000, 'd');
  std::string encrypted(data.size() + 16, '\0');
  std::string decrypted(encrypted.size() + 16, '\0');
  CK_MECHANISM mechanism{CKM_AES_CBC_PAD, iv.data(), iv.size()};
  CK_ULONG length = encrypted.size();
  const Module& module = session.module();
  check("C_EncryptInit", module->C_EncryptInit(session.handle(), &mechanism, key));
  check("C_Encrypt", module->C_Encrypt(session.handle(), bytes(data), data.size(), bytes(encrypted), &length));
  CK_ULONG decrypted_length = decrypted.size();
  check("C_DecryptInit", module->C_DecryptInit(session.handle(), &mechanism, key));
  check("C_Decrypt",
        module->C_Decrypt(session.handle(), bytes(encrypted), length, bytes(decrypted), &decrypted_length));
  decrypted.resize(decrypted_length);
  expect(decrypted == data && encrypted.substr(0, data.size()) != data, "what was encrypted does not come back");
  return "1000 bytes come back";
}

std::string test_threads(const Bench& bench, unsigned count) {
  if (!bench.has(CKM_EC_KEY_PAIR_GEN)) return "skipped: no CKM_EC_KEY_PAIR_GEN";
  std::vector<std::string> errors(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&bench, &error = errors[i]] {
      try {
        const Session session(bench.session.module(), bench.session.slot(), Session::Access::kReadWrite);
        const auto pair = make_pair(session, "ec:P-256");
        for (int round = 0; round < 20; ++round)
          expect(sign_and_verify(session, pair, "thread"), "a signature is wrong");
      } catch (const std::exception& failure) {
        error = failure.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) {
    if (!error.empty()) throw std::runtime_error(error);
  }
  return std::to_string(count) + " threads signed 20 times each";
}

// A child that initialises the module anew, as the standard asks; one that cannot must at least not crash.
std::string test_fork(const Bench& bench) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const Module& module = bench.session.module();
    CK_RV rv = module->C_Initialize(nullptr);
    if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) rv = CKR_OK;
    CK_ULONG count = 0;
    if (rv == CKR_OK) rv = module->C_GetSlotList(CK_FALSE, nullptr, &count);
    ::_exit(rv == CKR_OK && count > 0 ? 0 : 1);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  expect(WIFEXITED(status), "a child that uses the module after fork dies");
  expect(WEXITSTATUS(status) == 0, "a child cannot use the module after fork");
  return test_digest(bench, 64) + ", also after a child used the module";
}

}  // namespace

ExitCode test_token(const Invocation& invocation, const SelftestOptions& options) {
  if (options.threads == 0 || options.threads > kMostThreads) {
    throw Failure(ExitCode::kUsage, "--threads takes 1 to " + std::to_string(kMostThreads), "");
  }
  TokenAccess access(invocation);
  const Session& session = access.session(Session::Access::kReadWrite, Login::kUser);
  Report report{.name = "token.selftest",
                .rows_key = "tests",
                .columns = {{"TEST", "test"}, {"RESULT", "result"}, {"DETAIL", "detail"}}};
  Progress progress(invocation, "testing", 9, "tests");
  Bench bench{.session = session, .report = report, .progress = progress};
  bench.run("random", [&] { return test_random(session); });
  bench.run("digest", [&] { return test_digest(bench, 1000); });
  bench.run("big data", [&] { return test_digest(bench, kBigData); });
  bench.run("rsa", [&] { return test_pair(bench, "rsa:2048", CKM_RSA_PKCS_KEY_PAIR_GEN); });
  bench.run("ec", [&] { return test_pair(bench, "ec:P-256", CKM_EC_KEY_PAIR_GEN); });
  bench.run("ed25519", [&] { return test_pair(bench, "ed25519", CKM_EC_EDWARDS_KEY_PAIR_GEN); });
  bench.run("aes", [&] { return test_aes(bench); });
  bench.run("threads", [&] { return test_threads(bench, options.threads); });
  bench.run("fork", [&] { return test_fork(bench); });
  report.data.set("token", access.label()).set("passed", !bench.failed);
  present(invocation, report);
  return bench.failed ? ExitCode::kNegative : ExitCode::kOk;
}

}  // namespace p11shim

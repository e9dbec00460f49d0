#include "tools/shimctl/bench/test_list.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "config/nearest.h"
#include "config/problem.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

using enum BenchAction;

constexpr std::array kTests{
    BenchTest{"rsa2048-sign", "sign", kSign, "rsa:2048", CKM_RSA_PKCS, false, "PKCS#1 v1.5 of a SHA-256"},
    BenchTest{"rsa3072-sign", "sign", kSign, "rsa:3072", CKM_RSA_PKCS, false, "PKCS#1 v1.5 of a SHA-256"},
    BenchTest{"rsa4096-sign", "sign", kSign, "rsa:4096", CKM_RSA_PKCS, false, "PKCS#1 v1.5 of a SHA-256"},
    BenchTest{"rsa2048-pss-sign", "sign", kSign, "rsa:2048", CKM_RSA_PKCS_PSS, false, "PSS of a SHA-256"},
    BenchTest{"rsa3072-pss-sign", "sign", kSign, "rsa:3072", CKM_RSA_PKCS_PSS, false, "PSS of a SHA-256"},
    BenchTest{"p256-sign", "sign", kSign, "ec:P-256", CKM_ECDSA, false, "ECDSA of a SHA-256"},
    BenchTest{"p384-sign", "sign", kSign, "ec:P-384", CKM_ECDSA, false, "ECDSA of a SHA-256"},
    BenchTest{"p521-sign", "sign", kSign, "ec:P-521", CKM_ECDSA, false, "ECDSA of a SHA-256"},
    BenchTest{"ed25519-sign", "sign", kSign, "ed25519", CKM_EDDSA, false, "EdDSA of 32 bytes"},
    BenchTest{"rsa2048-verify", "verify", kVerify, "rsa:2048", CKM_RSA_PKCS, false, "PKCS#1 v1.5"},
    BenchTest{"rsa3072-verify", "verify", kVerify, "rsa:3072", CKM_RSA_PKCS, false, "PKCS#1 v1.5"},
    BenchTest{"rsa4096-verify", "verify", kVerify, "rsa:4096", CKM_RSA_PKCS, false, "PKCS#1 v1.5"},
    BenchTest{"rsa2048-pss-verify", "verify", kVerify, "rsa:2048", CKM_RSA_PKCS_PSS, false, "PSS"},
    BenchTest{"rsa3072-pss-verify", "verify", kVerify, "rsa:3072", CKM_RSA_PKCS_PSS, false, "PSS"},
    BenchTest{"p256-verify", "verify", kVerify, "ec:P-256", CKM_ECDSA, false, "ECDSA"},
    BenchTest{"p384-verify", "verify", kVerify, "ec:P-384", CKM_ECDSA, false, "ECDSA"},
    BenchTest{"p521-verify", "verify", kVerify, "ec:P-521", CKM_ECDSA, false, "ECDSA"},
    BenchTest{"ed25519-verify", "verify", kVerify, "ed25519", CKM_EDDSA, false, "EdDSA"},
    BenchTest{"aes256-gcm-encrypt", "encrypt", kEncrypt, "aes:256", CKM_AES_GCM, true, "AES-GCM"},
    BenchTest{"aes256-cbc-encrypt", "encrypt", kEncrypt, "aes:256", CKM_AES_CBC_PAD, true, "AES-CBC, padded"},
    BenchTest{"aes256-ctr-encrypt", "encrypt", kEncrypt, "aes:256", CKM_AES_CTR, true, "AES-CTR"},
    BenchTest{"rsa2048-oaep-encrypt", "encrypt", kEncrypt, "rsa:2048", CKM_RSA_PKCS_OAEP, false, "OAEP, SHA-1"},
    BenchTest{"rsa4096-oaep-encrypt", "encrypt", kEncrypt, "rsa:4096", CKM_RSA_PKCS_OAEP, false, "OAEP, SHA-1"},
    BenchTest{"aes256-gcm-decrypt", "decrypt", kDecrypt, "aes:256", CKM_AES_GCM, true, "AES-GCM"},
    BenchTest{"aes256-cbc-decrypt", "decrypt", kDecrypt, "aes:256", CKM_AES_CBC_PAD, true, "AES-CBC, padded"},
    BenchTest{"aes256-ctr-decrypt", "decrypt", kDecrypt, "aes:256", CKM_AES_CTR, true, "AES-CTR"},
    BenchTest{"rsa2048-oaep-decrypt", "decrypt", kDecrypt, "rsa:2048", CKM_RSA_PKCS_OAEP, false, "OAEP, SHA-1"},
    BenchTest{"rsa4096-oaep-decrypt", "decrypt", kDecrypt, "rsa:4096", CKM_RSA_PKCS_OAEP, false, "OAEP, SHA-1"},
    BenchTest{"sha256", "hash", kDigest, "", CKM_SHA256, true, "C_Digest"},
    BenchTest{"sha384", "hash", kDigest, "", CKM_SHA384, true, "C_Digest"},
    BenchTest{"sha512", "hash", kDigest, "", CKM_SHA512, true, "C_Digest"},
    BenchTest{"sha3-256", "hash", kDigest, "", CKM_SHA3_256, true, "C_Digest"},
    BenchTest{"hmac-sha256", "mac", kSign, "generic:512", CKM_SHA256_HMAC, true, "HMAC"},
    BenchTest{"hmac-sha512", "mac", kSign, "generic:512", CKM_SHA512_HMAC, true, "HMAC"},
    BenchTest{"aes256-cmac", "mac", kSign, "aes:256", CKM_AES_CMAC, true, "CMAC"},
    BenchTest{"aes256-wrap", "wrap", kWrap, "aes:256", CKM_AES_KEY_WRAP_PAD, false, "an AES-256 key, KWP"},
    BenchTest{"aes256-unwrap", "unwrap", kUnwrap, "aes:256", CKM_AES_KEY_WRAP_PAD, false, "an AES-256 key, KWP"},
    BenchTest{"p256-derive", "derive", kDerive, "ec:P-256", CKM_ECDH1_DERIVE, false, "ECDH"},
    BenchTest{"x25519-derive", "derive", kDerive, "x25519", CKM_ECDH1_DERIVE, false, "ECDH"},
    BenchTest{"aes256-generate", "generate", kGenerate, "aes:256", CKM_AES_KEY_GEN, false, "a session key"},
    BenchTest{"p256-generate", "generate", kGenerate, "ec:P-256", CKM_EC_KEY_PAIR_GEN, false, "a session pair"},
    BenchTest{"ed25519-generate", "generate", kGenerate, "ed25519", CKM_EC_EDWARDS_KEY_PAIR_GEN, false,
              "a session pair"},
    BenchTest{"rsa2048-generate", "generate", kGenerate, "rsa:2048", CKM_RSA_PKCS_KEY_PAIR_GEN, false,
              "a session pair"},
    BenchTest{"random", "random", kRandom, "", 0, true, "C_GenerateRandom"},
    BenchTest{"find", "find", kFind, "", 0, false, "an object by its label"},
    BenchTest{"attributes", "attributes", kAttributes, "", 0, false, "class, label and id of an object"},
    BenchTest{"session", "session", kSession, "", 0, false, "C_OpenSession and C_CloseSession"},
    BenchTest{"login", "login", kLogin, "", 0, false, "C_Login after C_Logout, one thread"},
};

bool family_is(const BenchTest& test, std::string_view word) {
  return test.name.starts_with(word) && test.name.size() > word.size() && test.name[word.size()] == '-';
}

bool chosen_by(const BenchTest& test, const std::string& word) {
  return test.name == word || test.group == word || family_is(test, word) ||
         ::fnmatch(word.c_str(), std::string(test.name).c_str(), 0) == 0;
}

std::vector<std::string> split(const std::vector<std::string>& lists) {
  std::vector<std::string> words;
  for (const auto& list : lists) {
    std::size_t begin = 0;
    while (begin <= list.size()) {
      const auto end = std::min(list.find(',', begin), list.size());
      if (end > begin) words.push_back(list.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return words;
}

}  // namespace

std::span<const BenchTest> bench_tests() { return kTests; }

const BenchTest* find_bench_test(std::string_view name) {
  const auto* found =
      std::find_if(kTests.begin(), kTests.end(), [&](const BenchTest& test) { return test.name == name; });
  return found == kTests.end() ? nullptr : found;
}

std::vector<const BenchTest*> choose_bench_tests(const std::vector<std::string>& lists) {
  const auto words = split(lists);
  std::vector<bool> used(words.size());
  std::vector<const BenchTest*> chosen;
  for (const auto& test : kTests) {
    bool wanted = words.empty();
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (!chosen_by(test, words[i])) continue;
      wanted = true;
      used[i] = true;
    }
    if (wanted) chosen.push_back(&test);
  }
  const auto unused = std::find(used.begin(), used.end(), false);
  if (unused == used.end()) return chosen;
  const std::string& word = words[static_cast<std::size_t>(unused - used.begin())];
  std::vector<std::string_view> known;
  for (const auto& test : kTests) known.insert(known.end(), {test.name, test.group});
  throw Failure(ExitCode::kUsage, "no test is called " + in_quotes(word) + did_you_mean(word, known),
                "shimctl bench list shows them");
}

}  // namespace p11shim

// The tests of the bench: what each one calls, with which kind of key, and how users choose them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.h"

namespace p11shim {

enum class BenchAction : std::uint8_t {
  kSign,
  kVerify,
  kEncrypt,
  kDecrypt,
  kDigest,
  kWrap,
  kUnwrap,
  kDerive,
  kGenerate,
  kRandom,
  kFind,
  kAttributes,
  kSession,
  kLogin,
};

struct BenchTest {
  std::string_view name;   // "rsa2048-sign"
  std::string_view group;  // "sign"
  BenchAction action;
  std::string_view key;  // as parse_key_type() takes it; empty: none
  CK_MECHANISM_TYPE mechanism;
  bool sized;  // takes as many bytes as --data-size says
  std::string_view what;
};

std::span<const BenchTest> bench_tests();
const BenchTest* find_bench_test(std::string_view name);

// Names, groups ("sign"), families ("aes256") and patterns ("*-sign"), separated by commas; all if there are
// none. In the list's order. Throws Failure (kUsage) for a word that chooses nothing, with the nearest one.
std::vector<const BenchTest*> choose_bench_tests(const std::vector<std::string>& words);

}  // namespace p11shim

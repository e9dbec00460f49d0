#include "pkcs11/names.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "header_constants.h"
#include "tests/places.h"

namespace p11shim {
namespace {

std::set<CK_ULONG> values_of_text(std::string_view text) {
  std::set<CK_ULONG> values;
  for (const std::span<const Name> names : {std::span<const Name>(kNames), std::span<const Name>(kAliases)})
    for (const Name& name : names)
      if (name.text == text) values.insert(name.value);
  return values;
}

// Names that no list has: the starts of vendor areas, invented numbers, sets that are not values of PKCS#11,
// and what NSS keeps for its own older sources.
const std::set<std::string> kLeftOut = {"CKA_NSS",
                                        "CKA_TRUST",
                                        "CKA_DIGEST",
                                        "CKA_NSS_MESSAGE",
                                        "CKA_NSS_MESSAGE_MASK",
                                        "CKA_FLAGS_ONLY",
                                        "CKC_NSS",
                                        "CKF_ARRAY_ATTRIBUTE",
                                        "CKK_INVALID_KEY_TYPE",
                                        "CKK_NSS",
                                        "CKM_FAKE_RANDOM",
                                        "CKM_INVALID_MECHANISM",
                                        "CKM_NSS",
                                        "CKO_NSS",
                                        "CKR_NSS",
                                        "CKS_NSS_FIPS_NOT_OK",
                                        "CKS_NSS_FIPS_OK",
                                        "CKS_NSS_UNINITIALIZED",
                                        "CKT_INVALID_TYPE",
                                        "CKT_NSS",
                                        "CKT_NSS_BOTH_CHECK",
                                        "CKT_NSS_MUST_VERIFY",
                                        "CKT_NSS_OBJECT_CHECK",
                                        "CKT_NSS_SESSION_CHECK",
                                        "CKT_NSS_SESSION_LAST_CHECK",
                                        "CKT_NSS_UNTRUSTED",
                                        "CKT_NSS_VALID",
                                        "CKT_VENDOR_DEFINED",
                                        "CKV_NSS_FIPS_140",
                                        "CKF_EC_FP",
                                        "CKO_KG_PARAMETERS",
                                        "CKR_KEY_PARAMS_INVALID"};
// p11-kit 0.24 numbers these from 0x1c0; the standard has them from 0x1b5.
const std::set<std::string> kMisnumberedByP11Kit = {"CKR_EXCEEDED_MAX_ITERATIONS", "CKR_FIPS_SELF_TEST_FAILED",
                                                    "CKR_LIBRARY_LOAD_FAILED", "CKR_PIN_TOO_WEAK",
                                                    "CKR_PUBLIC_KEY_INVALID"};

// Our names have the header's values. Returns how many were compared.
std::size_t compare(const std::map<std::string, unsigned long>& header) {
  std::size_t compared = 0;
  for (const auto& [name, value] : header) {
    if (kLeftOut.contains(name) || name.find("_NETSCAPE_") != std::string::npos) continue;
    std::set<CK_ULONG> ours = values_of_text(name);
    // 3.2 has given five names of NSS's another meaning.
    if (name.starts_with("CKA_TRUST_")) ours.merge(values_of_text("CKA_NSS_TRUST_" + name.substr(10)));
    EXPECT_TRUE(ours.contains(value)) << name << " is " << std::hex << value;
    ++compared;
  }
  return compared;
}

TEST(Names, AgreeWithTheHeaderOfP11Kit) {
  auto header = read_header_constants({P11KIT_INCLUDE_DIR "/p11-kit/pkcs11.h"});
  if (header.empty()) GTEST_SKIP() << "p11-kit's header is not installed";
  std::erase_if(header, [](const auto& constant) {
    return constant.second > 0x80000000UL || kMisnumberedByP11Kit.contains(constant.first);
  });
  EXPECT_GT(compare(header), 500U);
}

TEST(Names, CoverTheHeadersOfNss) {
  EXPECT_GT(compare(read_header_constants({NSS_INCLUDE_DIR "/pkcs11t.h", NSS_INCLUDE_DIR "/pkcs11n.h"})), 950U);
}

TEST(Names, OfVersion3AgreeWithTheHeaderOfOasis) {
  std::ifstream golden(source_dir() + "/tests/unit/include/pkcs11/oasis_3.golden");
  std::size_t compared = 0;
  for (std::string line; std::getline(golden, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    CK_ULONG value = 0;
    words >> std::hex >> value;
    for (std::string name; words >> name; ++value, ++compared)
      EXPECT_TRUE(values_of_text(name).contains(value)) << name << " is " << std::hex << value;
  }
  EXPECT_GT(compared, 200U);
}

// Each name's number is vouched for by somebody else: p11-kit's header, NSS's, or OASIS's for what is newer than both.
TEST(Names, EveryNumberHasAnIndependentWitness) {
  std::map<std::string, std::set<unsigned long>> witnesses;
  for (const auto& header : {read_header_constants({P11KIT_INCLUDE_DIR "/p11-kit/pkcs11.h"}),
                             read_header_constants({NSS_INCLUDE_DIR "/pkcs11t.h", NSS_INCLUDE_DIR "/pkcs11n.h"})})
    for (const auto& [name, value] : header) witnesses[name].insert(value);
  std::ifstream golden(source_dir() + "/tests/unit/include/pkcs11/oasis_3.golden");
  for (std::string line; std::getline(golden, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream words(line);
    unsigned long value = 0;
    words >> std::hex >> value;
    for (std::string name; words >> name; ++value) witnesses[name].insert(value);
  }
  std::map<std::string, std::size_t> vouched;
  for (const Name& name : kNames) {
    const std::string text(name.text);
    const std::string kind = text.substr(0, 3);
    if (kind != "CKR" && kind != "CKM" && kind != "CKA" && kind != "CKK" && kind != "CKO" && kind != "CKF") continue;
    std::set<unsigned long> values = witnesses[text];
    if (text.starts_with("CKA_NSS_TRUST_")) values.merge(std::set(witnesses["CKA_TRUST_" + text.substr(14)]));
    EXPECT_TRUE(values.contains(name.value)) << text << " is " << std::hex << name.value << " for us alone";
    ++vouched[kind];
  }
  EXPECT_GE(vouched["CKR"], 103U);
  EXPECT_GT(vouched["CKM"], 400U);
  EXPECT_GT(vouched["CKA"], 150U);
  EXPECT_GT(vouched["CKK"], 50U);
  EXPECT_GT(vouched["CKO"], 8U);
  EXPECT_GT(vouched["CKF"], 40U);
}

TEST(Names, EveryNameIsFoundByItsValueAndBack) {
  for (const Name& name : kNames) {
    EXPECT_EQ(name_of(name.kind, name.value), name.text);
    EXPECT_EQ(value_of(name.kind, name.text), name.value);
  }
}

TEST(Names, NoTextIsListedTwice) {
  std::set<std::string_view> seen;
  for (const std::span<const Name> names : {std::span<const Name>(kNames), std::span<const Name>(kAliases)})
    for (const Name& name : names) EXPECT_TRUE(seen.insert(name.text).second) << name.text;
}

TEST(Names, EveryNameHasThePrefixOfItsKind) {
  const auto prefix = [](NameKind kind) { return std::string(all(kind).front().text.substr(0, 4)); };
  for (const Name& name : kNames) EXPECT_TRUE(name.text.starts_with(prefix(name.kind))) << name.text;
  for (const Name& name : kAliases) EXPECT_TRUE(name.text.starts_with(prefix(name.kind))) << name.text;
}

TEST(Names, AliasesAreUnderstoodButTheCanonicalNameIsPrinted) {
  EXPECT_EQ(ckm_value("CKM_ECDSA_KEY_PAIR_GEN"), CKM_EC_KEY_PAIR_GEN);
  EXPECT_EQ(ckm_name(CKM_ECDSA_KEY_PAIR_GEN), "CKM_EC_KEY_PAIR_GEN");
  EXPECT_EQ(value_of(NameKind::ckk, "CKK_ECDSA"), CKK_EC);
  EXPECT_EQ(name_of(NameKind::ckk, CKK_EC), "CKK_EC");
  EXPECT_EQ(cka_name(CKA_ECDSA_PARAMS), "CKA_EC_PARAMS");
}

TEST(Names, AreLookedUpInTheirKindOnly) {
  EXPECT_EQ(value_of(NameKind::ckr, "CKM_RSA_PKCS"), std::nullopt);
  EXPECT_EQ(name_of(NameKind::cku, CKU_SO), "CKU_SO");
  EXPECT_EQ(name_of(NameKind::ckg, 1), "CKG_MGF1_SHA1");
  EXPECT_EQ(name_of(NameKind::ckg_generator, 1), "CKG_GENERATE");
  EXPECT_EQ(ckr_value("ckr_ok"), std::nullopt);
  EXPECT_EQ(ckr_value(""), std::nullopt);
}

TEST(Names, DisplayNamesKnownValues) {
  EXPECT_EQ(display(NameKind::ckr, CKR_DEVICE_ERROR), "CKR_DEVICE_ERROR");
  EXPECT_EQ(display(NameKind::cka, CKA_NSS_URL), "CKA_NSS_URL");
}

TEST(Names, DisplayGivesTheNumberOfUnknownValues) {
  EXPECT_EQ(display(NameKind::ckr, 0x80001234), "0x80001234 (vendor-defined)");
  EXPECT_EQ(display(NameKind::ckr, 0x999), "0x00000999");
  EXPECT_EQ(display(NameKind::ckm, CK_UNAVAILABLE_INFORMATION), "CK_UNAVAILABLE_INFORMATION");
}

TEST(Names, DisplayJoinsFlags) {
  EXPECT_EQ(display(NameKind::ckf_token, CKF_RNG | CKF_LOGIN_REQUIRED), "CKF_RNG|CKF_LOGIN_REQUIRED");
  EXPECT_EQ(display(NameKind::ckf_token, CKF_RNG | 0x10), "CKF_RNG|0x10");
  EXPECT_EQ(display(NameKind::ckf_slot, 0x80000000), "0x80000000");
  EXPECT_EQ(display(NameKind::ckf_session, 0), "0");
}

TEST(Names, TheStandardOwnsTheNamesThatNssOnceUsedForVendorValues) {
  EXPECT_EQ(cka_value("CKA_TRUST_SERVER_AUTH"), 0x62cU);
  EXPECT_EQ(cka_value("CKA_NSS_TRUST_SERVER_AUTH"), 0xce536358U);
}

}  // namespace
}  // namespace p11shim

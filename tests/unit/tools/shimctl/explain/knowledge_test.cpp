// The texts are complete: against the lists of names, against the call table, and against the sources of proxyd and
// shim for the codes that those make themselves.
#include "tools/shimctl/explain/knowledge.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "calls/table.h"
#include "pkcs11/names.h"
#include "proxyd/balance/faults.h"
#include "tests/places.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

template <class Text>
std::map<std::string, Text> by_name(const std::vector<Text>& texts) {
  std::map<std::string, Text> named;
  for (const Text& text : texts) EXPECT_TRUE(named.emplace(text.name, text).second) << text.name << " twice";
  return named;
}

bool is_sentence(const std::string& text) {
  return text.size() > 10 && (text.back() == '.' || text.back() == '?' || text.back() == ')');
}

std::string contents(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Codes that a folder's sources return, not those that they compare with.
std::set<std::string> codes_made_in(const fs::path& folder) {
  static const std::regex kCode(R"((==|!=|case)?\s*\b(CKR_[A-Z_0-9]+))");
  std::set<std::string> codes;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".cpp" && entry.path().extension() != ".h") continue;
    std::istringstream lines(contents(entry.path()));
    for (std::string line; std::getline(lines, line);) {
      line = line.substr(0, line.find("//"));
      for (std::sregex_iterator code(line.begin(), line.end(), kCode), end; code != end; ++code)
        if (!(*code)[1].matched) codes.insert((*code)[2]);
    }
  }
  return codes;
}

// Those in the first column of the first table behind a heading.
std::set<std::string> codes_of_page(const fs::path& page, const std::string& heading) {
  static const std::regex kCode(R"(CKR_[A-Z_0-9]+)");
  const std::string text = contents(page);
  std::istringstream lines(text.substr(std::min(text.size(), text.find("\n" + heading + "\n"))));
  std::set<std::string> codes;
  bool inside = false;
  for (std::string line; std::getline(lines, line) && (!inside || line.starts_with('|'));) {
    inside |= line.starts_with('|');
    line = line.substr(0, line.find('|', 1));
    for (std::sregex_iterator code(line.begin(), line.end(), kCode), end; inside && code != end; ++code)
      codes.insert(code->str());
  }
  return codes;
}

TEST(Knowledge, HasEveryReturnCode) {
  const auto texts = by_name(known_return_codes());
  for (const Name& name : all(NameKind::ckr)) {
    ASSERT_TRUE(texts.contains(std::string(name.text))) << name.text << " is missing in data/codes_*.toml";
    EXPECT_EQ(texts.at(std::string(name.text)).value, name.value);
  }
  EXPECT_EQ(texts.size(), all(NameKind::ckr).size());
}

// The 103 codes of pkcs11t.h 3.2, of which the list of names could lack one that these texts lack as well.
TEST(Knowledge, HasEveryReturnCodeOfTheStandard) {
  constexpr CK_RV kValues[] = {
      0x00,  0x01,  0x02,  0x03,  0x05,  0x06,  0x07,  0x08,  0x09,  0x0a,  0x10,  0x11,  0x12,  0x13,  0x1b,
      0x20,  0x21,  0x30,  0x31,  0x32,  0x40,  0x41,  0x42,  0x50,  0x51,  0x54,  0x60,  0x62,  0x63,  0x64,
      0x65,  0x66,  0x67,  0x68,  0x69,  0x6a,  0x70,  0x71,  0x82,  0x90,  0x91,  0xa0,  0xa1,  0xa2,  0xa3,
      0xa4,  0xb0,  0xb1,  0xb3,  0xb4,  0xb5,  0xb6,  0xb7,  0xb8,  0xc0,  0xc1,  0xd0,  0xd1,  0xe0,  0xe1,
      0xe2,  0xf0,  0xf1,  0xf2,  0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x110, 0x112, 0x113, 0x114, 0x115,
      0x120, 0x121, 0x130, 0x140, 0x150, 0x160, 0x170, 0x180, 0x190, 0x191, 0x1a0, 0x1a1, 0x1b0, 0x1b1, 0x1b5,
      0x1b6, 0x1b7, 0x1b8, 0x1b9, 0x200, 0x201, 0x202, 0x203, 0x204, 0x205, 0x206, 0x207, 0x208, 0x209, 0x80000000};
  std::set<CK_RV> known;
  for (const auto& text : known_return_codes()) known.insert(text.value);
  for (const CK_RV value : kValues) EXPECT_TRUE(known.contains(value)) << std::hex << value;
}

TEST(Knowledge, EveryReturnCodeSaysWhatItMeansAndWhatToDo) {
  std::set<std::string> meanings;
  for (const auto& text : known_return_codes()) {
    EXPECT_TRUE(is_sentence(text.means)) << text.name;
    EXPECT_TRUE(meanings.insert(text.means).second) << text.name << " means what another means";
    EXPECT_FALSE(text.causes.empty()) << text.name;
    EXPECT_FALSE(text.fix.empty()) << text.name;
    EXPECT_FALSE(text.section.empty()) << text.name;
    EXPECT_EQ(text.functions.empty(), text.name == "CKR_VENDOR_DEFINED") << text.name;
  }
}

// Where proxyd blames a member, an application has no reason to give up; and nothing is promised of another member that
// proxyd would not try by itself.
TEST(Knowledge, AdviceToRetryFollowsTheRulesOfPools) {
  for (const auto& text : known_return_codes()) {
    const bool blamed = blame_of(text.value) != Blame::nobody;
    EXPECT_TRUE(!blamed || text.retry != "no") << text.name;
    EXPECT_TRUE(blamed || text.retry != "other-member") << text.name;
    EXPECT_TRUE(!blamed || text.fault != "authentication") << text.name;
  }
}

// Sections of chapter 5.1 in version 3.2; whatever is not in 5.1.1 to 5.1.5 is in 5.1.6.
TEST(Knowledge, NamesTheSectionOfTheStandard) {
  const std::map<std::string, std::set<std::string>> sections = {
      {"5.1.1",
       {"CKR_GENERAL_ERROR", "CKR_HOST_MEMORY", "CKR_FUNCTION_FAILED", "CKR_OPERATION_NOT_VALIDATED", "CKR_OK"}},
      {"5.1.2", {"CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_CLOSED"}},
      {"5.1.3",
       {"CKR_DEVICE_MEMORY", "CKR_DEVICE_ERROR", "CKR_TOKEN_NOT_PRESENT", "CKR_DEVICE_REMOVED",
        "CKR_TOKEN_NOT_INITIALIZED"}},
      {"5.1.4", {"CKR_CANCEL"}},
      {"5.1.5", {"CKR_MUTEX_BAD", "CKR_MUTEX_NOT_LOCKED"}},
      {"NSS", {"CKR_NSS_CERTDB_FAILED", "CKR_NSS_KEYDB_FAILED"}}};
  for (const auto& text : known_return_codes()) {
    std::string wanted = "5.1.6";
    for (const auto& [section, codes] : sections)
      if (codes.contains(text.name)) wanted = section;
    EXPECT_EQ(text.section, wanted) << text.name;
  }
}

TEST(Knowledge, SaysWhenProxydMakesACodeItself) {
  const fs::path proxyd = fs::path(source_dir()) / "proxyd";
  const auto texts = by_name(known_return_codes());
  const std::set<std::string> passed_on = {"CKR_OK", "CKR_KEY_UNEXTRACTABLE"};  // the latter from worker to proxyd only
  std::size_t made = 0;
  for (const char* folder : {"calls", "login", "clients", "applications", "worker"})
    for (const std::string& code : codes_made_in(proxyd / folder)) {
      if (passed_on.contains(code)) continue;
      ASSERT_TRUE(texts.contains(code)) << code;
      EXPECT_FALSE(texts.at(code).proxy.empty())
          << "proxyd/" << folder << " makes " << code << ": say when in data/codes_*.toml, key \"proxy\"";
      ++made;
    }
  EXPECT_GT(made, 15U);
}

TEST(Knowledge, AgreesWithThePagesOnWhoMakesACode) {
  const fs::path docs = fs::path(source_dir()) / "docs";
  std::set<std::string> made;
  for (const auto& text : known_return_codes())
    if (!text.proxy.empty()) made.insert(text.name);
  EXPECT_EQ(codes_of_page(docs / "operating.md", "## Return codes"), made);
  const std::set<std::string> listed = codes_of_page(docs / "shim.md", "## Return codes");
  for (const std::string& code : codes_made_in(fs::path(source_dir()) / "shim"))
    EXPECT_TRUE(listed.contains(code) || code == "CKR_OK") << code;
  for (const auto& text : known_return_codes())
    EXPECT_TRUE(!listed.contains(text.name) || !text.shim.empty()) << text.name;
}

TEST(Knowledge, SaysWhenTheShimMakesACodeItself) {
  const fs::path shim = fs::path(source_dir()) / "shim";
  const auto texts = by_name(known_return_codes());
  static const std::regex kCode(R"(CKR_[A-Z_0-9]+)");
  const std::string table = contents(shim / "return_codes.h");
  std::size_t made = 0;
  for (std::sregex_iterator code(table.begin(), table.end(), kCode), end; code != end; ++code, ++made)
    EXPECT_FALSE(texts.at(code->str()).shim.empty()) << code->str();
  EXPECT_GE(made, 7U);
}

TEST(Knowledge, HasEveryMechanism) {
  const auto texts = by_name(known_mechanisms());
  for (const Name& name : all(NameKind::ckm)) {
    ASSERT_TRUE(texts.contains(std::string(name.text))) << name.text << " is missing in data/mechanisms_*.toml";
    const MechanismText& text = texts.at(std::string(name.text));
    EXPECT_EQ(text.value, name.value);
    EXPECT_GT(text.does.size(), 10U) << name.text;
    EXPECT_EQ(text.does.find("{}"), std::string::npos) << name.text;
    EXPECT_FALSE(text.pitfalls.empty()) << name.text;
  }
}

TEST(Knowledge, HasEveryAttribute) {
  const auto texts = by_name(known_attributes());
  for (const Name& name : all(NameKind::cka)) {
    ASSERT_TRUE(texts.contains(std::string(name.text))) << name.text << " is missing in data/attributes*.toml";
    EXPECT_EQ(texts.at(std::string(name.text)).value, name.value);
  }
  EXPECT_TRUE(texts.at("CKA_PRIVATE_EXPONENT").sensitive);
  EXPECT_FALSE(texts.at("CKA_MODULUS").sensitive);
}

TEST(Knowledge, HasEveryFunctionAndItsReturnCodes) {
  const auto texts = by_name(known_functions());
  const auto codes = by_name(known_return_codes());
  static const std::regex kFunction(R"(\bC_[A-Z][A-Za-z]+)");
  const std::string table = contents(fs::path(source_dir()) / "include/calls/table.h");
  for (std::sregex_iterator name(table.begin(), table.end(), kFunction), end; name != end; ++name)
    EXPECT_TRUE(texts.contains(name->str())) << name->str();
  EXPECT_GE(texts.size(), 104U);  // 92 of 3.0, 12 of 3.2
  for (const auto& [name, text] : texts) {
    EXPECT_TRUE(is_sentence(text.does)) << name;
    EXPECT_FALSE(text.arguments.empty()) << name;
    for (const std::string& code : text.returns) EXPECT_TRUE(codes.contains(code)) << name << " " << code;
  }
}

}  // namespace
}  // namespace p11shim

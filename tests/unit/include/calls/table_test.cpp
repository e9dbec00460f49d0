// The table against docs/protocol.md, which lists every call with its number and the kinds of its arguments:
// both ends of a connection, and whoever implements the protocol anew, rely on that never changing by
// accident.
#include "calls/table.h"
#include "tests/places.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace p11shim {
namespace {

template <class... Kind>
std::string kinds(Types<Kind...>) {
  std::string text;
  ((text += (text.empty() ? "" : ", ") + std::string(Kind::name)), ...);
  return text;
}

std::vector<std::string> rows_of_the_table() {
  std::vector<std::string> rows;
  for_each_call([&]<class C>() {
    if constexpr (C::policy.where != Where::shim)
      rows.push_back("| " + std::to_string(C::number) + " | `" + std::string(C::name) + "` | " +
                     kinds(typename C::Arguments{}) + " |");
  });
  return rows;
}

std::vector<std::string> documented_rows() {
  std::ifstream document(source_dir() + "/docs/protocol.md");
  std::vector<std::string> rows;
  for (std::string line; std::getline(document, line);)
    if (line.starts_with("| ") && line.find("| `C_") != std::string::npos) rows.push_back(line);
  return rows;
}

TEST(Table, IsWhatTheProtocolDocumentSays) { EXPECT_EQ(rows_of_the_table(), documented_rows()); }

TEST(Table, HasEveryFunctionOfTheStandardOnce) {
  std::set<std::string_view> names;
  std::set<std::uint32_t> numbers;
  for_each_call([&]<class C>() {
    names.insert(C::name);
    numbers.insert(C::number);
    EXPECT_LT(C::number, kCallCount);
    EXPECT_EQ(call_info(C::number)->name, C::name);
  });
  // A function list is its version and one pointer for each function.
  EXPECT_EQ(names.size(), sizeof(CK_FUNCTION_LIST_3_0) / sizeof(void*) - 1);
  EXPECT_EQ(numbers.size(), names.size());
  EXPECT_EQ(call_info(0), nullptr);
  EXPECT_EQ(call_info(kCallCount), nullptr);
}

TEST(Table, NumbersOf240StandBeforeThoseOf30) {
  const CK_ULONG of_240 = sizeof(CK_FUNCTION_LIST) / sizeof(void*) - 1;
  EXPECT_EQ(kFirst30Call - 1, of_240);
  EXPECT_EQ(number_of<&CK_FUNCTION_LIST_3_0::C_WaitForSlotEvent>(), of_240);
}

TEST(Table, OnlyCallsThatMayBeRepeatedAreMarkedSo) {
  const std::set<std::string_view> never{
      "C_InitToken",         "C_InitPIN",     "C_SetPIN",          "C_OpenSession", "C_Login",
      "C_LoginUser",         "C_Logout",      "C_CreateObject",    "C_CopyObject",  "C_DestroyObject",
      "C_SetAttributeValue", "C_GenerateKey", "C_GenerateKeyPair", "C_UnwrapKey",   "C_DeriveKey"};
  for (const CallInfo& info : kCallInfos)
    EXPECT_TRUE(info.policy.retry == Retry::never || !never.contains(info.name)) << info.name;
}

}  // namespace
}  // namespace p11shim

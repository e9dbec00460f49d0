#include <gtest/gtest.h>

#include "config/value.h"

namespace p11shim {
namespace {

std::string syntax_error(std::string_view text) {
  ConfigReport report("f");
  const ConfigValue root = parse_toml(text, report);
  EXPECT_TRUE(root.get<ConfigValue::Table>()->empty());
  const auto problems = report.take_problems();
  return problems.size() == 1 ? to_string(problems.front()) : std::to_string(problems.size()) + " problems";
}

TEST(ParseToml, RemembersWhereKeysAndValuesStand) {
  ConfigReport report("f");
  const ConfigValue root = parse_toml("\n[[module]]\n  name = \"a\"\n  list = [1, true]\n", report);
  ASSERT_FALSE(report.has_errors());
  const auto& module = root.get<ConfigValue::Table>()->front();
  EXPECT_EQ(module.name, "module");
  const ConfigValue& element = module.value.get<ConfigValue::List>()->front();
  EXPECT_EQ(element.place, (ConfigPlace{2, 1}));
  for (const ConfigEntry& entry : *element.get<ConfigValue::Table>()) {
    if (entry.name == "name") {
      EXPECT_EQ(entry.place, (ConfigPlace{3, 3}));
      EXPECT_EQ(entry.value.place, (ConfigPlace{3, 10}));
      EXPECT_EQ(*entry.value.get<std::string>(), "a");
    } else {
      const auto& list = *entry.value.get<ConfigValue::List>();
      EXPECT_EQ(*list[0].get<std::int64_t>(), 1);
      EXPECT_EQ(*list[1].get<bool>(), true);
      EXPECT_EQ(list[1].place, (ConfigPlace{4, 14}));
    }
  }
}

TEST(ParseToml, NamesEveryType) {
  ConfigReport report("f");
  const ConfigValue root =
      parse_toml("a = {}\nb = []\nc = \"\"\nd = 1\ne = true\nf = 1.5\ng = 2026-01-01\nh = 07:00:00\n", report);
  std::string types;
  for (const ConfigEntry& entry : *root.get<ConfigValue::Table>()) types += std::string(entry.value.type()) + ", ";
  EXPECT_EQ(types, "a table, a list, a string, an integer, a boolean, a float, a date or time, a date or time, ");
}

TEST(ParseToml, SaysWhereTheSyntaxBreaks) {
  EXPECT_EQ(syntax_error("[listen]\nunix /x\n"), "f:2:6: syntax error: key-value pair: expected '=', saw '/'");
  EXPECT_EQ(syntax_error("a = 1\na = 2\n"),
            "f:2:5: syntax error: key-value pair: cannot redefine existing integer 'a'");
  EXPECT_EQ(syntax_error("mode = 0660"), "f:1:12: syntax error: decimal integer: leading zeroes are prohibited");
  EXPECT_EQ(syntax_error("a = \"\xff\""), "f:1:5: syntax error: Encountered invalid utf-8 sequence");
}

// Somebody writes a PIN where it does not belong, and without quotes: it must not reach a log.
TEST(ParseToml, NeverRepeatsAValue) {
  for (const char* value : {"hunter2", "12hunter2", "true1234hunter2", "123456789012345678901234567890hunter2",
                            "123456789012345678901234567890", "\"1\\q34hunter2\"", "0xhunter2", "infhunter2", "1e99999",
                            "1.5e5hunter2", "falsehunter2", "1234 56781234", "'hunter2\n'"}) {
    const std::string message = syntax_error("pin = " + std::string(value) + '\n');
    EXPECT_NE(message.find("syntax error"), std::string::npos) << message;
    for (const char* secret : {"hunter", "unte", "123", "5678", "1e9"}) {
      EXPECT_EQ(message.find(secret), std::string::npos) << message;
    }
  }
}

TEST(ParseToml, EndsADeepNestAsASyntaxError) {
  const std::string message = syntax_error("a = " + std::string(100'000, '[') + std::string(100'000, ']'));
  EXPECT_NE(message.find("f:1:"), std::string::npos) << message;
}

TEST(ParseToml, EndsAHeaderWithoutAKeyAsASyntaxError) {
  EXPECT_EQ(syntax_error("a = 1\n[&.b]\n"),
            "f:2:2: syntax error: key: expected bare key starting character or string delimiter, saw '&'");
}

TEST(ParseToml, AllowsAnyCharacterInStringsAndComments) {
  ConfigReport report("f");
  const ConfigValue root = parse_toml(
      "\xef\xbb\xbf# Ğ \"\n"
      R"(a = "Ğ\"Ğ" # 'Ğ
b = 'Ğ\'
c = """
Ğ\"""Ğ""""
"Ğ" = '''
'Ğ'''
)",
      report);
  for (const ConfigProblem& problem : report.take_problems()) ADD_FAILURE() << to_string(problem);
  EXPECT_EQ(root.get<ConfigValue::Table>()->size(), 4u);
}

TEST(ParseToml, AllowsOnlyAsciiElsewhere) {
  const std::string why = ": syntax error: only strings and comments may hold other than ASCII characters";
  EXPECT_EQ(syntax_error("a = \"Ğ\" Ğ\n"), "f:1:9" + why);
  EXPECT_EQ(syntax_error("\n# ok\nĞ = 1\n"), "f:3:1" + why);
  EXPECT_EQ(syntax_error("a = 1.Ğ\n"), "f:1:7" + why);
  EXPECT_EQ(syntax_error("a = \"open\nĞ"), "f:2:1" + why);
}

TEST(ParseToml, AnEmptyFileIsAnEmptyTable) {
  ConfigReport report("f");
  EXPECT_TRUE(parse_toml("", report).get<ConfigValue::Table>()->empty());
  EXPECT_FALSE(report.has_errors());
}

}  // namespace
}  // namespace p11shim

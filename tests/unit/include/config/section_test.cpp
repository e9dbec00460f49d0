#include "config/section.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

enum class Colour : std::uint8_t { red, green };

struct Inner {
  std::chrono::milliseconds wait{5};
};

struct Settings {
  std::string name;
  std::uint16_t number = 7;
  std::optional<std::uint64_t> maybe;
  bool flag = false;
  Colour colour = Colour::red;
  std::vector<std::string> list;
  std::map<std::string, std::string> environment;
  Inner inner;
};

constexpr ChoiceKind<Colour, 2> kColour{{{{"red", Colour::red}, {"green", Colour::green}}}};
constexpr auto kInner = std::tuple{
    config_field("wait", &Inner::wait, DurationKind{std::chrono::milliseconds(1), std::chrono::seconds(10)})};
constexpr auto kSettings = std::tuple{
    config_field("name", &Settings::name, IdentifierKind{}).required(),
    config_field("number", &Settings::number, WholeNumberKind{1, 9}),
    config_field("maybe", &Settings::maybe, WholeNumberKind{0, 100}),
    config_field("flag", &Settings::flag, FlagKind{}),
    config_field("colour", &Settings::colour, kColour),
    config_field("list", &Settings::list, ListKind<IdentifierKind>{{}, "names"}),
    config_field("environment", &Settings::environment, EnvironmentKind{}),
    config_field("inner", &Settings::inner, TableKind<decltype(kInner)>{kInner, "{ wait = \"5ms\" }"}),
};

struct Outcome {
  Settings settings;
  std::vector<std::string> problems;
  ConfigPlaces places;
};

Outcome read(const std::string& body) {
  Outcome outcome;
  ConfigReport report("f");
  const ConfigValue root = parse_toml("[s]\n" + body, report);
  ConfigSection section(root.get<ConfigValue::Table>()->front().value, "[s]", "s", report);
  section.read(outcome.settings, kSettings);
  section.finish();
  outcome.places = report.places();
  for (const ConfigProblem& problem : report.take_problems()) outcome.problems.push_back(to_string(problem));
  return outcome;
}

using Lines = std::vector<std::string>;

TEST(ConfigSection, SetsWhatIsWrittenAndLeavesDefaults) {
  const Outcome outcome = read(
      "name = \"n\"\nmaybe = 3\ncolour = \"green\"\nlist = [\"a\", \"b\"]\n"
      "environment = { K = \"v\" }\ninner = { wait = \"2s\" }\n");
  EXPECT_EQ(outcome.problems, Lines{});
  EXPECT_EQ(outcome.settings.name, "n");
  EXPECT_EQ(outcome.settings.number, 7);
  EXPECT_EQ(outcome.settings.maybe, 3u);
  EXPECT_EQ(outcome.settings.colour, Colour::green);
  EXPECT_EQ(outcome.settings.list, (Lines{"a", "b"}));
  EXPECT_EQ(outcome.settings.environment.at("K"), "v");
  EXPECT_EQ(outcome.settings.inner.wait, std::chrono::seconds(2));
}

TEST(ConfigSection, ReportsEverythingAtOnceInOrder) {
  EXPECT_EQ(read("nmae = \"n\"\nnumber = 10\nflag = 1\ncolour = \"gren\"\n").problems,
            (Lines{"f:1:1: [s] lacks \"name\" (expected 1 to 64 letters, digits, '-', '_' or '.')",
                   "f:2:1: unknown key \"nmae\" in [s]; did you mean \"name\"?",
                   "f:3:10: \"number\" is 10 (expected a whole number from 1 to 9)",
                   "f:4:8: \"flag\" is an integer (expected true or false)",
                   "f:5:10: \"colour\" is \"gren\" (expected \"red\" or \"green\"); did you mean \"green\"?"}));
}

TEST(ConfigSection, ListsTheKnownKeysWhereNothingIsNear) {
  EXPECT_EQ(read("name = \"n\"\nxyzzy = 1\n").problems,
            Lines{"f:3:1: unknown key \"xyzzy\" in [s] (known: name, number, maybe, flag, colour, list, "
                  "environment, inner)"});
}

TEST(ConfigSection, PointsAtTheWrongItemOfAList) {
  EXPECT_EQ(read("name = \"n\"\nlist = [\"a\", 2, \"a\", \"\"]\n").problems,
            (Lines{"f:3:14: \"list[1]\" is an integer (expected 1 to 64 letters, digits, '-', '_' or '.')",
                   "f:3:17: \"a\" is in \"list\" twice",
                   "f:3:22: \"list[3]\" is \"\" (expected 1 to 64 letters, digits, '-', '_' or '.')"}));
}

TEST(ConfigSection, PlacesCountTheItemsThatRemain) {
  const Outcome outcome = read("name = \"n\"\nlist = [1, \"a\", 2, \"b\"]\n");
  EXPECT_EQ(outcome.settings.list, (Lines{"a", "b"}));
  EXPECT_EQ(outcome.places.at("s.list[0]"), (ConfigPlace{3, 12}));
  EXPECT_EQ(outcome.places.at("s.list[1]"), (ConfigPlace{3, 20}));
}

TEST(ConfigSection, ChecksTablesWithinTables) {
  EXPECT_EQ(read("name = \"n\"\ninner = { wait = \"1h\", wiat = 1 }\n").problems,
            (Lines{"f:3:18: \"wait\" is \"1h\" (expected a duration from \"1ms\" to \"10s\", in ms, s, m, h or d)",
                   "f:3:24: unknown key \"wiat\" in \"inner\"; did you mean \"wait\"?"}));
  EXPECT_EQ(read("name = \"n\"\ninner = 5\n").problems,
            Lines{"f:3:9: \"inner\" is an integer (expected a table such as { wait = \"5ms\" })"});
}

TEST(ConfigSection, ChecksEnvironmentVariables) {
  EXPECT_EQ(
      read("name = \"n\"\nenvironment = { \"A=B\" = \"1\", C = 2, D = \"x\\u0000\", \"\" = \"e\" }\n").problems,
      (Lines{"f:3:17: \"A=B\" cannot name an environment variable", "f:3:34: \"C\" is an integer (expected a string)",
             "f:3:41: the value of \"D\" contains a NUL", "f:3:52: \"\" cannot name an environment variable"}));
}

TEST(ConfigSection, ShowsSettingsAsTheyWouldBeWritten) {
  Settings settings;
  settings.name = "n";
  settings.list = {"a", "b"};
  settings.environment = {{"PIN", "1234"}};
  std::string text;
  for_each_field(kSettings, [&](const auto& field) { text += show_field(field, settings) + ' '; });
  EXPECT_EQ(text, "\"n\" 7 unset false \"red\" [\"a\", \"b\"] {PIN = …} { wait = \"5ms\" } ");
}

}  // namespace
}  // namespace p11shim

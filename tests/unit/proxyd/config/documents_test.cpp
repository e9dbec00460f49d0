// The reference and the examples say what the code does: every key once, with its default and whether a
// reload applies it.
#include <iterator>
#include <map>
#include <regex>
#include <sstream>

#include "parsed.h"
#include "private_directory.h"
#include "proxyd/config/reload.h"
#include "proxyd/config/schema.h"
#include "tests/places.h"

namespace p11shim {
namespace {

const std::string kSources = source_dir();

std::string text_of(const std::string& path) {
  std::ifstream stream(kSources + '/' + path);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

// "lanes | `4` | restart", by section heading.
using Rows = std::map<std::string, std::vector<std::string>>;

Rows documented() {
  static const std::regex kRow(R"(^\| `([a-z_0-9]+)` \| (.*?) \| (live|restart) \|.*)");
  Rows rows;
  std::istringstream text(text_of("docs/configuration.md"));
  std::string heading;
  for (std::string line; std::getline(text, line);) {
    std::smatch match;
    if (line.starts_with("### ")) heading = line.substr(4);
    if (std::regex_match(line, match, kRow))
      rows[heading].push_back(match[1].str() + " | " + match[2].str() + " | " + match[3].str());
  }
  return rows;
}

template <class Struct, class Fields>
std::vector<std::string> in_code(const Fields& fields) {
  std::vector<std::string> rows;
  const Struct defaults{};
  for_each_field(fields, [&](const auto& field) {
    const std::string shown = show_field(field, defaults);
    const std::string value = field.is_required ? "required" : shown == "unset" ? shown : '`' + shown + '`';
    rows.push_back(std::string(field.name) + " | " + value + " | " + (field.is_live ? "live" : "restart"));
  });
  return rows;
}

TEST(Reference, HasEveryKeyWithItsDefault) {
  Rows rows = documented();
  EXPECT_EQ(rows["[listen]"], in_code<ListenConfig>(schema::kListen));
  EXPECT_EQ(rows["[control]"], in_code<ControlConfig>(schema::kControl));
  EXPECT_EQ(rows["[state]"], in_code<StateConfig>(schema::kState));
  EXPECT_EQ(rows["[limits]"], in_code<LimitsConfig>(schema::kLimits));
  EXPECT_EQ(rows["[log]"], in_code<LogConfig>(schema::kLog));
  EXPECT_EQ(rows["[audit]"], in_code<AuditConfig>(schema::kAudit));
  EXPECT_EQ(rows["[[module]]"], in_code<ModuleConfig>(schema::kModule));
  EXPECT_EQ(rows["[[member]]"], in_code<MemberConfig>(schema::kMember));
  EXPECT_EQ(rows["How a member runs"], in_code<MemberOptions>(schema::kMemberOptions));
  EXPECT_EQ(rows["[[pool]]"], in_code<PoolConfig>(schema::kPool));
  EXPECT_EQ(rows["Who may use a pool"], in_code<PoolAccess>(schema::kPoolAccess));
  EXPECT_EQ(rows["How a pool balances"], in_code<BalanceConfig>(schema::kBalance));
  EXPECT_EQ(rows.size(), 12u);
}

TEST(Examples, AreFreeOfProblems) {
  std::size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kSources + "/conf/examples")) {
    const std::string path = "conf/examples/" + entry.path().filename().string();
    EXPECT_EQ(to_lines(parse_config(text_of(path), path).problems), Lines{});
    ++seen;
  }
  EXPECT_GE(seen, 3u);
  EXPECT_EQ(problems_of(text_of("conf/proxyd.toml")), Lines{});
}

TEST(Examples, ShowTheDefaultsInTheirComments) {
  const std::string text = text_of("conf/proxyd.toml");
  static const std::regex kCommented("(^|\n)#([a-z_0-9]+ = )");
  const std::string uncommented = std::regex_replace(text, kCommented, "$1$2");
  EXPECT_GT(text.size(), uncommented.size() + 40);
  const ReloadPlan plan = compare(parsed(text), parsed(uncommented));
  EXPECT_EQ(plan.live, Lines{});
  EXPECT_EQ(plan.restart, Lines{});
}

}  // namespace
}  // namespace p11shim

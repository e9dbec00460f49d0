// Pools whose members do not fit together: each is named in one line, by --check, the log and shimctl.
#include "mixed_members.h"
#include "mock_members.h"
#include "pool_writes.h"

namespace p11shim {
namespace {

using nlohmann::json;

// What `proxyd --check` prints of this configuration.
std::string checked(const PrivateProxyd& proxyd) {
  Process check({build_dir() + "/bin/proxyd", "--check", "--config", proxyd.config_file()});
  check.wait();
  return check.err;
}
std::string shown(const PrivateProxyd& proxyd) {
  Process show(
      {build_dir() + "/bin/shimctl", "--control", (proxyd.path() / "control.sock").string(), "pool", "show", "pool"});
  EXPECT_EQ(show.wait(), 0) << show.err;
  return show.out;
}
bool says(const std::string& text, const std::string& line) { return text.find(line) != std::string::npos; }
bool is_told_everywhere(const PrivateProxyd& proxyd, const std::string& line) {
  const bool told = eventually([&] { return says(proxyd.log(), "pool pool: " + line); }) &&
                    says(shown(proxyd), "PROBLEM: " + line) && says(checked(proxyd), "warning: pool pool: " + line);
  if (!told) ADD_FAILURE() << line << "\nlog: " << proxyd.log() << "\nshow: " << shown(proxyd) << checked(proxyd);
  return told;
}

TEST(PoolTokens, OtherFirmwareAndPinRulesAreNamed) {
  MockMembers members(2);
  members.set(1, "module firmware=7.9 least_pin=6");
  PrivateProxyd proxyd(members.config());
  const std::string firmware = "member mock0 and member mock1 have different firmware: 7.08 and 7.09";
  const std::string pins = "member mock0 and member mock1 have different PIN rules: 4 to 255 bytes; 6 to 255 bytes";
  // Where no proxyd runs --check looks itself.
  for (const std::string& line : {firmware, pins}) EXPECT_TRUE(says(checked(proxyd), "warning: pool pool: " + line));
  proxyd.start();
  for (const std::string& line : {firmware, pins}) EXPECT_TRUE(is_told_everywhere(proxyd, line));
  proxyd.stop();
  members.set(1, "");
  EXPECT_FALSE(says(checked(proxyd), "pool pool"));
  members.set(1, "C_Initialize rv=CKR_DEVICE_ERROR");
  EXPECT_TRUE(says(checked(proxyd), "warning: pool pool: member mock1: its token cannot be seen: "));
}

TEST(PoolTokens, OneTokenTwiceIsNamed) {
  MockMembers members(2);
  for (const std::size_t member : {0, 1})
    members.rules(member).set("module serial=ONE # the same in " + std::to_string(member));
  PrivateProxyd proxyd(members.config());
  const std::string twice = "member mock0 and member mock1 show the same serial number ONE0";
  EXPECT_TRUE(says(checked(proxyd), "warning: pool pool: " + twice));
  proxyd.start();
  EXPECT_TRUE(is_told_everywhere(proxyd, twice));
}

TEST(PoolTokens, OneTokenByTwoPathsIsAnError) {
  if (!PoolMembers::installed()) GTEST_SKIP() << "softhsm2 is not installed";
  const SofthsmTokens tokens;
  const auto conf = (tokens.path() / "softhsm2.conf").string();
  const auto other = (tokens.path() / "other.conf").string();
  std::filesystem::create_symlink(conf, other);
  const std::string module = compare::SofthsmBackend().module();
  const std::string link = (tokens.path() / "module.so").string();
  std::filesystem::create_symlink(module, link);
  const auto config = [&](const std::string& second_module, const std::string& second_conf) {
    std::string text;
    for (const auto& [name, path, environment] :
         {std::tuple{"a", module, conf}, std::tuple{"b", second_module, second_conf}})
      text += std::string("[[module]]\nname = \"") + name + "\"\npath = \"" + path +
              "\"\ncheck_owner = false\nenvironment = { SOFTHSM2_CONF = \"" + environment +
              "\" }\n[[member]]\nname = \"" + name + "\"\nmodule = \"" + name + "\"\ntoken_label = \"first\"\n";
    return text + "[[pool]]\nname = \"pool\"\nmembers = [\"a\", \"b\"]\n";
  };
  PrivateProxyd proxyd(config(module, other));
  EXPECT_TRUE(says(checked(proxyd), "member \"b\" is the same token as member \"a\", by another path"));
  proxyd.write_config(config(link, conf));
  EXPECT_TRUE(says(checked(proxyd), "member \"b\" is the same token as member \"a\", by another path"));
  proxyd.write_config(config(module, conf));
  EXPECT_TRUE(says(checked(proxyd), "member \"b\" is the same token as member \"a\" (of the same module"));
  // A configuration of its own that leads to the same token: only the token itself shows it.
  std::filesystem::remove(other);
  std::filesystem::copy_file(conf, other);
  std::ofstream(other, std::ios::app) << "# another\n";
  proxyd.write_config(config(module, other));
  EXPECT_TRUE(says(checked(proxyd), "member a and member b show the same serial number"));
}

class PoolWrappingKeys : public PoolWrites {};

TEST_F(PoolWrappingKeys, AMissingOneIsNamed) {
  PoolMembers members(2);
  ASSERT_NO_FATAL_FAILURE(add_wrapping_key(members, 1));
  PrivateProxyd proxyd(members.config(kCopying));
  EXPECT_TRUE(says(checked(proxyd),
                   "warning: pool pool: whether its members have the key \"wrap\" (wrapping_key) is "
                   "not known without a PIN"));
  proxyd.start();
  EXPECT_TRUE(is_told_everywhere(
      proxyd, "whether hsm0, hsm1 have the key \"wrap\" (wrapping_key) is known when an application has logged in"));
  const std::string missing = "member hsm1 has no key \"wrap\" (wrapping_key): no key can be copied to it or from it";
  {
    TestApplication application(proxyd);
    CK_SESSION_HANDLE session = 0;
    ASSERT_NO_FATAL_FAILURE(enter(application, proxyd, session));
    EXPECT_TRUE(is_told_everywhere(proxyd, missing));
    EXPECT_FALSE(says(shown(proxyd), "is known when"));
  }
  // What was seen is known after the logout.
  EXPECT_TRUE(says(shown(proxyd), missing));
  EXPECT_FALSE(says(shown(proxyd), "member hsm0 has"));
}

}  // namespace
}  // namespace p11shim

#include "proxyd/config/check.h"

#include <array>
#include <filesystem>

#include "parsed.h"
#include "private_directory.h"

namespace p11shim {
namespace {

TEST(ResolveAccounts, LooksUpNames) {
  Config config = parsed("[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\nadmin = [\"user:root\"]\n");
  EXPECT_EQ(to_lines(resolve_accounts(config)), Lines{});
  EXPECT_TRUE(config.modules[0].token_access.admin.allows(0, {}));
}

TEST(ResolveAccounts, WarnsOfNamesThatNobodyHas) {
  Config config = parsed(
      "[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\nallow = [\"uid:5\", "
      "\"user:no-such-user\",\n  \"group:no-such-group\"]\n");
  EXPECT_EQ(to_lines(resolve_accounts(config)),
            (Lines{"p.toml:5:19: warning: there is no user \"no-such-user\": it selects nobody",
                   "p.toml:6:3: warning: there is no group \"no-such-group\": it selects nobody"}));
  EXPECT_FALSE(config.modules[0].token_access.allow.is_everybody());
  EXPECT_TRUE(config.modules[0].token_access.allow.allows(5, {}));
}

class MachineCheck : public PrivateDirectory {
 protected:
  // 10 lines, all of them true on this machine.
  std::string good() const {
    return "[listen]\nunix = \"" + path("p.sock") + "\"\n[control]\nunix = \"" + path("c.sock") +
           "\"\n[state]\ndirectory = \"" + directory_ + "\"\n[[module]]\nname = \"tiny\"\npath = \"" + TINY_MODULE +
           "\"\ncheck_owner = false\n";
  }
  std::string member() const {
    return good() +
           "[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n[[member]]\nname = \"m\"\nmodule = \"tiny\"\nslot = "
           "0\n";
  }
  static Lines check(const std::string& text) { return to_lines(check_machine(parsed(text))); }
};

TEST_F(MachineCheck, IsSilentWhereAllIsWell) { EXPECT_EQ(check(good() + "tokens = \"*\"\n"), Lines{}); }

TEST_F(MachineCheck, PointsAtAModuleThatIsMissing) {
  EXPECT_EQ(check("[listen]\nunix = \"\"\n[control]\nunix = \"\"\n[state]\ndirectory = \"" + directory_ +
                  "\"\n[[module]]\nname = \"x\"\npath = \"/none/x.so\"\ntokens = \"*\"\n"),
            Lines{"p.toml:9:8: /none/x.so: No such file or directory"});
}

TEST_F(MachineCheck, WarnsOfDirectoriesThatDoNotExistYet) {
  EXPECT_EQ(check("[listen]\nunix = \"/none/a/p.sock\"\n[control]\nunix = \"\"\n[state]\ndirectory = \"/none/s\"\n"
                  "[[module]]\nname = \"x\"\npath = \"" +
                  std::string(TINY_MODULE) + "\"\ntokens = \"*\"\ncheck_owner = false\n[log]\nfile = \"/none/log\"\n"),
            (Lines{"p.toml:2:8: warning: \"/none/a\": No such file or directory",
                   "p.toml:6:13: warning: \"/none\": No such file or directory",
                   "p.toml:13:8: warning: \"/none\": No such file or directory"}));
}

TEST_F(MachineCheck, KeepsTheStateDirectoryPrivate) {
  chmod(directory_.c_str(), 0755);
  EXPECT_EQ(check(good() + "tokens = \"*\"\n"),
            Lines{"p.toml:6:13: others have access to \"" + directory_ +
                  "\", which holds the key of all object handles (mode 0755, expected \"0700\")"});
}

TEST_F(MachineCheck, KnowsGroups) {
  EXPECT_EQ(check(good() + "tokens = \"*\"\n[audit]\n").size(), 0u);
  EXPECT_EQ(check("[listen]\nunix = \"" + path("p.sock") + "\"\ngroup = \"no-such-group\"\n[control]\nunix = \"\"\n" +
                  "[state]\ndirectory = \"" + directory_ + "\"\n[[module]]\nname = \"x\"\npath = \"" + TINY_MODULE +
                  "\"\ntokens = \"*\"\ncheck_owner = false\n"),
            Lines{"p.toml:3:9: there is no group \"no-such-group\""});
}

TEST_F(MachineCheck, WantsPinFilesPrivate) {
  const std::string daemon = member() + "login = \"daemon\"\npin_file = \"" + path("pin") + "\"\n";
  EXPECT_EQ(check(daemon), Lines{"p.toml:19:12: \"" + path("pin") + "\": No such file or directory"});
  write("pin", "1234", 0644);
  EXPECT_EQ(check(daemon), Lines{"p.toml:19:12: others have access to \"" + path("pin") +
                                 "\" (mode 0644, expected \"0400\" or \"0440\")"});
  write("pin", "1234", 0440);
  EXPECT_EQ(check(daemon), Lines{});
}

TEST_F(MachineCheck, KnowsATokenThatIsAMemberByTwoPaths) {
  write("soft.conf", "directories.tokendir = /t\n", 0644);
  write("copy.conf", "directories.tokendir = /t\n", 0644);
  write("other.conf", "directories.tokendir = /u\n", 0644);
  std::filesystem::create_symlink(TINY_MODULE, path("link.so"));
  const auto twice = [&](const std::string& library, const std::string& conf) {
    return check("[listen]\nunix = \"\"\n[control]\nunix = \"\"\n[state]\ndirectory = \"" + directory_ + "\"\n" +
                 "[[module]]\nname = \"a\"\npath = \"" + TINY_MODULE +
                 "\"\ncheck_owner = false\nenvironment = { C = \"" + path("soft.conf") + "\" }\n" +
                 "[[module]]\nname = \"b\"\npath = \"" + library + "\"\ncheck_owner = false\nenvironment = { C = \"" +
                 path(conf) + "\" }\n" +
                 "[[member]]\nname = \"x\"\nmodule = \"a\"\ntoken_label = \"t\"\n[[member]]\nname = \"y\"\nmodule = "
                 "\"b\"\ntoken_label = \"t\"\n" +
                 "[[pool]]\nname = \"p\"\nmembers = [\"x\", \"y\"]\n");
  };
  const Lines same{"p.toml:27:17: member \"y\" is the same token as member \"x\", by another path"};
  EXPECT_EQ(twice(path("link.so"), "soft.conf"), same);
  EXPECT_EQ(twice(TINY_MODULE, "copy.conf"), same);
  EXPECT_EQ(twice(path("link.so"), "other.conf"), Lines{});
}

TEST_F(MachineCheck, WantsPinCommandsThatOnlyTheirOwnerCanChange) {
  const std::string daemon = member() + "login = \"daemon\"\npin_command = [\"" + path("pin") + "\"]\n";
  write("pin", "#!/bin/sh\n", 0600);
  EXPECT_EQ(check(daemon), Lines{"p.toml:19:15: \"" + path("pin") + "\" is not a program"});
  write("pin", "#!/bin/sh\n", 0775);
  EXPECT_EQ(check(daemon), Lines{"p.toml:19:15: others than its owner may write \"" + path("pin") + '"'});
  write("pin", "#!/bin/sh\n", 0755);
  EXPECT_EQ(check(daemon), Lines{});
}

}  // namespace
}  // namespace p11shim

#include "proxyd/config/reload.h"

#include "parsed.h"

namespace p11shim {
namespace {

const std::string kBase =
    "[[module]]\nname = \"soft\"\npath = \"/a.so\"\n[[member]]\nname = \"m\"\nmodule = \"soft\"\n"
    "token_label = \"t\"\n";
const std::string kPool = "[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n";

ReloadPlan plan(const std::string& running, const std::string& wanted) {
  return compare(parsed(running), parsed(wanted));
}

TEST(Reload, OfTheSameFileIsNothing) {
  EXPECT_TRUE(plan(kBase + kPool, kBase + kPool).is_empty());
  EXPECT_TRUE(plan(kBase + kPool, "# moved\n\n" + kPool + kBase).is_empty());
}

TEST(Reload, AppliesWhatCanChangeWhileProxydRuns) {
  const ReloadPlan changes =
      plan(kBase + kPool, "[limits]\ndeadline = \"10s\"\nmax_applications = 5\n[log]\nlevel = \"debug\"\n" + kBase +
                              "pin_recheck = \"1m\"\n" + kPool + "admin = true\nallow = [\"uid:1\"]\n[audit]\n" +
                              "classes = [\"admin\"]\n");
  EXPECT_EQ(changes.live, (Lines{"[limits] max_applications changes from 10000 to 5.",
                                 "[limits] deadline changes from \"30s\" to \"10s\".",
                                 "[log] level changes from \"info\" to \"debug\".",
                                 "[audit] classes changes from [\"admin\", \"auth\", \"use\"] to [\"admin\"].",
                                 "[[member]] \"m\" pin_recheck changes from \"15m\" to \"1m\".",
                                 "[[pool]] \"p\" admin changes from false to true.",
                                 "[[pool]] \"p\" allow changes from [] to [\"uid:1\"]."}));
  EXPECT_EQ(changes.restart, Lines{});
  EXPECT_EQ(changes.config.log.level, LogLevel::debug);
  EXPECT_EQ(changes.config.members[0].options.pin_recheck, std::chrono::minutes(1));
  EXPECT_TRUE(changes.config.pools[0].access.admin.is_everybody());
  EXPECT_FALSE(changes.config.pools[0].access.allow.is_everybody());
}

TEST(Reload, SaysWhatMustWait) {
  const ReloadPlan changes = plan(kBase + kPool, "[listen]\nunix = \"/x\"\n" + kBase + "lanes = 4\n" + kPool +
                                                     "[[pool]]\nname = \"q\"\nlabel = \"Q\"\nmembers = [\"m\"]\n");
  EXPECT_EQ(changes.live, Lines{});
  EXPECT_EQ(changes.restart,
            (Lines{"[listen] unix changes from \"/run/p11shim/proxyd.sock\" to \"/x\" when proxyd restarts.",
                   "[[member]] \"m\" lanes changes from 8 to 4 when proxyd restarts.",
                   "[[pool]] \"q\" is new: it is served when proxyd has restarted."}));
  EXPECT_EQ(changes.config.listen.unix_path, "/run/p11shim/proxyd.sock");
  EXPECT_EQ(changes.config.members[0].options.lanes, 8u);
  EXPECT_EQ(changes.config.pools.size(), 1u);
}

TEST(Reload, TakesMembersOfPoolsOfSeveralInAndLetsThemGo) {
  const auto several = [](const std::string& names, const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& name : list)
      text += "[[module]]\nname = \"" + name + "\"\npath = \"/" + name + ".so\"\n[[member]]\nname = \"" + name +
              "\"\nmodule = \"" + name + "\"\ntoken_label = \"t\"\n";
    return text + "[[pool]]\nname = \"p\"\nmembers = [" + names + "]\n";
  };
  const ReloadPlan changes = plan(several("\"a\", \"b\"", {"a", "b"}), several("\"b\", \"c\"", {"b", "c"}));
  EXPECT_EQ(changes.live, (Lines{"[[pool]] \"p\": member \"c\" is added.", "[[pool]] \"p\": member \"a\" leaves."}));
  EXPECT_EQ(changes.restart, Lines{});
  EXPECT_EQ(changes.config.pools[0].members, (std::vector<std::string>{"b", "c"}));
}

TEST(Reload, KeepsWhatIsGoneUntilARestart) {
  const ReloadPlan changes = plan(kBase + kPool, kServing);
  EXPECT_EQ(changes.restart, (Lines{"[[module]] \"soft\" is gone: it is served until proxyd restarts.",
                                    "[[module]] \"rest\" is new: it is served when proxyd has restarted.",
                                    "[[member]] \"m\" is gone: it is served until proxyd restarts.",
                                    "[[pool]] \"p\" is gone: it is served until proxyd restarts."}));
  EXPECT_EQ(changes.config.pools.size(), 1u);
}

TEST(Reload, OfEveryTokenAppliesItsAccess) {
  const ReloadPlan changes = plan(kServing, kServing + "set_pin = false\nlanes = 2\n");
  EXPECT_EQ(changes.live, Lines{"[[module]] \"rest\" set_pin changes from true to false."});
  EXPECT_EQ(changes.restart, Lines{"[[module]] \"rest\" lanes changes from 8 to 2 when proxyd restarts."});
  EXPECT_FALSE(changes.config.modules[0].token_access.set_pin);
}

TEST(Reload, NeverShowsAnEnvironmentOrACommandsArguments) {
  const std::string rest = "login = \"daemon\"\n";
  const ReloadPlan changes =
      plan(kBase + rest + "environment = { A = \"hunter1\" }\npin_command = [\"/x\", \"hunter1\"]\n" + kPool,
           kBase + rest + "environment = { A = \"hunter2\" }\npin_command = [\"/x\", \"hunter2\"]\n" + kPool);
  EXPECT_EQ(changes.restart, (Lines{"[[member]] \"m\" pin_command changes when proxyd restarts.",
                                    "[[member]] \"m\" environment changes when proxyd restarts."}));
}

}  // namespace
}  // namespace p11shim

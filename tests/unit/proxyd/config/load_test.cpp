#include "proxyd/config/load.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "parsed.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(ParseConfig, HasTheDocumentedDefaults) {
  const Config config = parsed(kServing);
  EXPECT_EQ(config.listen.unix_path, "/run/p11shim/proxyd.sock");
  EXPECT_EQ(config.listen.mode, 0660u);
  EXPECT_FALSE(config.listen.tcp);
  EXPECT_EQ(config.listen.max_connections, 20'000u);
  EXPECT_EQ(config.control.unix_path, "/run/p11shim/control.sock");
  EXPECT_EQ(config.state.directory, "/var/lib/p11shim");
  EXPECT_EQ(config.limits.max_frame, 64u << 20);
  EXPECT_EQ(config.limits.max_sessions_per_application, 100'000u);
  EXPECT_EQ(config.limits.deadline, seconds(30));
  EXPECT_EQ(config.limits.keygen_deadline, seconds(300));
  EXPECT_EQ(config.log.level, LogLevel::info);
  EXPECT_FALSE(config.audit.enabled);
  const ModuleConfig& module = config.modules.at(0);
  EXPECT_TRUE(module.thread_safe);
  EXPECT_TRUE(module.check_owner);
  EXPECT_EQ(module.flags, CK_FLAGS{CKF_OS_LOCKING_OK});
  EXPECT_EQ(module.token_options.lanes, 8u);
  EXPECT_EQ(module.token_options.pin_recheck, minutes(15));
  EXPECT_TRUE(module.token_access.allow.is_everybody());
  EXPECT_FALSE(module.token_access.admin.is_everybody());
  EXPECT_TRUE(module.token_access.set_pin);
}

TEST(ParseConfig, ReadsEverySection) {
  const Config config = parsed(R"(
[listen]
unix = "/tmp/a.sock"
mode = "0600"
group = "hsm"
tcp = "127.0.0.1:0"
backlog = 5
max_connections = 6
[control]
unix = "/tmp/c.sock"
mode = "0600"
group = "ops"
[state]
directory = "/tmp/state"
[limits]
max_frame = "1MiB"
max_sessions_per_application = 10
max_applications = 11
deadline = "5s"
keygen_deadline = "1m"
[log]
level = "debug"
format = "json"
file = "/tmp/log"
[audit]
enabled = true
file = "/tmp/audit"
mode = "0600"
max_size = "1MiB"
keep = 3
journal = true
classes = ["read", "admin"]
[[module]]
name = "nss"
path = "/usr/lib/libsoftokn3.so"
library_parameters = "configdir='/tmp'"
environment = { A = "1" }
sha256 = "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"
thread_safe = true
flags = ["CKF_LIBRARY_CANT_CREATE_OS_THREADS"]
check_owner = true
allow_owner = [1000]
[[member]]
name = "m"
module = "nss"
token_serial = "0000000000000000"
lanes = 2
max_stuck_lanes = 1
sessions_ro = 3
sessions_rw = 4
max_sessions = 5
isolation = "process"
login = "client"
pin_recheck = "0s"
max_call = "10s"
weight = 50
priority = 2
environment = { B = "2" }
restart_backoff = { min = "1s", max = "2s" }
idle_worker_timeout = "1h"
[[pool]]
name = "p"
label = "Payments"
members = ["m"]
slot = 7
serial = "42"
manufacturer = "us"
model = "proxy"
admin = ["user:root", "gid:0"]
allow = ["group:hsm", "uid:1000"]
set_pin = false
)");
  EXPECT_EQ(config.listen.tcp, (TcpAddress{"127.0.0.1", 0}));
  EXPECT_EQ(config.listen.backlog, 5u);
  EXPECT_EQ(config.control.group, "ops");
  EXPECT_EQ(config.limits.max_frame, 1u << 20);
  EXPECT_EQ(config.limits.max_applications, 11u);
  EXPECT_EQ(config.log.format, LogFormat::json);
  EXPECT_EQ(config.audit.classes, (std::vector{AuditClass::read, AuditClass::admin}));
  EXPECT_EQ(config.audit.keep, 3u);
  const ModuleConfig* module = config.find_module("nss");
  ASSERT_TRUE(module);
  EXPECT_EQ(module->library_parameters, "configdir='/tmp'");
  EXPECT_EQ(module->sha256, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
  EXPECT_EQ(module->flags, CK_FLAGS{CKF_LIBRARY_CANT_CREATE_OS_THREADS});
  EXPECT_EQ(module->allow_owner, std::vector<uid_t>{1000});
  const MemberConfig* member = config.find_member("m");
  ASSERT_TRUE(member);
  EXPECT_EQ(member->token_serial, "0000000000000000");
  EXPECT_EQ(member->options.lanes, 2u);
  EXPECT_EQ(member->options.max_sessions, 5u);
  EXPECT_EQ(member->options.pin_recheck, milliseconds(0));
  EXPECT_EQ(member->options.max_call, seconds(10));
  EXPECT_EQ(member->options.restart_backoff, (RestartBackoff{seconds(1), seconds(2)}));
  EXPECT_EQ(member->weight, 50u);
  const PoolConfig* pool = config.find_pool("p");
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->slot, 7u);
  EXPECT_EQ(pool->members, Lines{"m"});
  EXPECT_EQ(pool->access.admin.selectors().size(), 2u);
  EXPECT_FALSE(pool->access.set_pin);
  EXPECT_EQ(config.find_pool("q"), nullptr);
}

TEST(ParseConfig, AModuleMayShowEveryToken) {
  const Config config = parsed("[[module]]\nname = \"a\"\npath = \"/a.so\"\ntokens = \"*\"\nlanes = 9\nadmin = true\n");
  EXPECT_TRUE(config.modules[0].every_token);
  EXPECT_EQ(config.modules[0].token_options.lanes, 9u);
  EXPECT_TRUE(config.modules[0].token_access.admin.is_everybody());
}

TEST(ParseConfig, LogsInByAnyPinSource) {
  const std::string member =
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n"
      "[[member]]\nname = \"m\"\nmodule = \"a\"\nslot = 0\nlogin = \"daemon\"\n";
  EXPECT_EQ(parsed(member + "pin_file = \"/pin\"").members[0].pin_file, "/pin");
  EXPECT_EQ(parsed(member + "pin_credential = \"pin\"").members[0].pin_credential, "pin");
  EXPECT_EQ(parsed(member + "pin_command = [\"/bin/x\", \"-a\", \"-a\"]").members[0].pin_command,
            (Lines{"/bin/x", "-a", "-a"}));
}

TEST(ParseConfig, DaemonLoginKeepsApplicationsFromChangingThePin) {
  const Config config = parsed(
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n"
      "[[member]]\nname = \"m\"\nmodule = \"a\"\nslot = 0\nlogin = \"daemon\"\n"
      "pin_file = \"/pin\"\n");
  EXPECT_FALSE(config.pools[0].access.set_pin);
}

TEST(ParseConfig, PoolsAreLabelledByTheirNames) {
  const Config config = parsed(
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[member]]\nname = \"m\"\nmodule = \"a\"\n"
      "token_label = \"t\"\n[[pool]]\nname = \"signing\"\nmembers = [\"m\"]\n");
  EXPECT_EQ(config.pools[0].label, "signing");
}

TEST(ParseConfig, AModuleThatIsNotThreadSafeHasOneLane) {
  const Config config = parsed("[[module]]\nname = \"a\"\npath = \"/a\"\nthread_safe = false\ntokens = \"*\"\n");
  EXPECT_EQ(config.modules[0].token_options.lanes, 1u);
}

TEST(WorkerEnvironment, IsTheModulesWithTheMembersOnTop) {
  ModuleConfig module;
  module.environment = {{"A", "module"}, {"B", "module"}};
  MemberConfig member;
  member.environment = {{"B", "member"}, {"C", "member"}};
  EXPECT_EQ(worker_environment(module, member), (Environment{{"A", "module"}, {"B", "member"}, {"C", "member"}}));
}

class LoadConfigFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "load_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    path_ = name + "/proxyd.toml";
  }
  void TearDown() override { std::filesystem::remove_all(std::filesystem::path(path_).parent_path()); }

  Lines write_and_load(const std::string& text, mode_t mode) {
    std::ofstream(path_) << text;
    chmod(path_.c_str(), mode);
    return load();
  }
  Lines load() { return to_lines(load_config_file(path_).problems); }

  std::string path_;
};

TEST_F(LoadConfigFile, ReadsAFile) {
  EXPECT_EQ(write_and_load(kServing, 0640), Lines{});
  EXPECT_EQ(load_config_file(path_)->file, path_);
}

TEST_F(LoadConfigFile, NamesTheFileInErrors) {
  EXPECT_EQ(write_and_load("[log]\nlevel = 1\n" + kServing, 0600),
            Lines{path_ + ":2:9: \"level\" is an integer (expected \"trace\", \"debug\", \"info\", \"warning\", "
                          "\"error\" or \"off\")"});
}

TEST_F(LoadConfigFile, SaysThatThereIsNone) {
  EXPECT_EQ(load(), Lines{path_ + ": cannot read: No such file or directory"});
}

TEST_F(LoadConfigFile, RefusesAFileThatOthersMayWrite) {
  EXPECT_EQ(write_and_load(kServing, 0660), Lines{path_ + ": others than its owner may write it (chmod go-w)"});
}

TEST_F(LoadConfigFile, RefusesSomebodyElsesFile) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write_and_load(kServing, 0600);
  ASSERT_EQ(chown(path_.c_str(), 12345, 0), 0);
  EXPECT_EQ(load(), Lines{path_ + ": belongs to user 12345 (expected root or the user who runs proxyd)"});
}

}  // namespace
}  // namespace p11shim

// What is written must be what proxyd's own reader accepts.
#include "tools/shimctl/run/private_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "proxyd/config/load.h"
#include "tools/shimctl/failure.h"

namespace p11shim {
namespace {

namespace fs = std::filesystem;

class PrivateConfigTest : public testing::Test {
 protected:
  const fs::path folder = [] {
    std::string name = fs::temp_directory_path() / "private_config_test.XXXXXX";
    return fs::path(::mkdtemp(name.data()));
  }();
  const PrivatePlaces places{
      .endpoint = "/private/proxyd.sock", .control = "/private/control.sock", .state = "/private/state"};

  ~PrivateConfigTest() override { fs::remove_all(folder); }

  std::string file(const std::string& text) {
    const auto path = folder / "mine.toml";
    std::ofstream(path) << text;
    return path;
  }
  Config read(const std::string& text) {
    auto config = parse_config(text, "private");
    for (const auto& problem : config.problems) ADD_FAILURE() << to_string(problem) << "\n" << text;
    if (!config) throw std::runtime_error("unreadable");
    EXPECT_EQ(config->listen.unix_path, places.endpoint);
    EXPECT_EQ(config->control.unix_path, places.control);
    EXPECT_EQ(config->state.directory, places.state);
    return std::move(*config);
  }
};

TEST_F(PrivateConfigTest, ShowsEveryTokenOfAModule) {
  const auto config = read(config_for_module({.path = "/usr/lib/m.so", .library_parameters = ""}, places));
  ASSERT_EQ(config.modules.size(), 1u);
  EXPECT_EQ(config.modules[0].path, "/usr/lib/m.so");
  EXPECT_TRUE(config.modules[0].every_token);
  EXPECT_TRUE(config.modules[0].token_access.admin.is_everybody()) << "C_InitToken works";
}

TEST_F(PrivateConfigTest, KeepsHostileTextWhole) {
  const std::string parameters = "configdir='sql:/x \"y\"' \\ '''' \"\"\" # [[pool]]";
  const auto config = read(config_for_module({.path = "/a \"b\"/m.so", .library_parameters = parameters}, places));
  EXPECT_EQ(config.modules[0].path, "/a \"b\"/m.so");
  EXPECT_EQ(config.modules[0].library_parameters, parameters);
  EXPECT_TRUE(config.pools.empty());
}

TEST_F(PrivateConfigTest, MovesWhatReachesOutside) {
  const auto config =
      read(config_from_file(file("[listen]\nunix = \"/run/x.sock\"\ntcp = \"127.0.0.1:9\"\ngroup = \"g\"\n"
                                 "[control]\nunix = \"/run/y.sock\"\n"
                                 "[state]\ndirectory = \"/var/lib/z\"\n"
                                 "[log]\nfile = \"/var/log/w\"\nlevel = \"debug\"\n"
                                 "[[module]]\nname = \"m\"\npath = \"/m.so\"\nthread_safe = false\n"
                                 "[[member]]\nname = \"a\"\nmodule = \"m\"\ntoken_label = \"t\"\n"
                                 "[[pool]]\nname = \"p\"\nmembers = [\"a\"]\n"),
                            places));
  EXPECT_FALSE(config.listen.tcp);
  EXPECT_EQ(config.listen.group, "");
  EXPECT_EQ(config.log.file, "");
  EXPECT_EQ(config.log.level, LogLevel::debug);
  EXPECT_FALSE(config.modules[0].thread_safe);
  EXPECT_EQ(config.pools[0].members, std::vector<std::string>{"a"});
}

TEST_F(PrivateConfigTest, RefusesAFileThatProxydWouldRefuse) {
  for (const char* text : {"[[module]\n", "[[module]]\nname = \"m\"\n", "nonsense = 1\n"}) {
    try {
      config_from_file(file(text), places);
      FAIL() << text;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), ExitCode::kConfiguration);
      EXPECT_NE(std::string(failure.what()).find("mine.toml:1:"), std::string::npos) << failure.what();
    }
  }
}

TEST_F(PrivateConfigTest, RefusesAMissingFile) {
  EXPECT_THROW(config_from_file(folder / "none.toml", places), Failure);
}

}  // namespace
}  // namespace p11shim

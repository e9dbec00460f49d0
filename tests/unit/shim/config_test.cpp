#include "shim/config.h"
#include "tests/places.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>

namespace p11shim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Lines = std::vector<std::string>;

const std::string kEndpointExpected = "(expected \"unix:/path\" or \"tcp:127.0.0.1:port\" (loopback addresses only)";

Lines problems_of(const std::string& text) {
  Lines lines;
  for (const ConfigProblem& problem : parse_shim_config(text, "s.toml", {}).problems) {
    lines.push_back(to_string(problem));
  }
  return lines;
}

ShimEndpoint unix_endpoint(const std::string& path) { return {path, {}}; }

TEST(ShimConfig, HasTheDocumentedDefaults) {
  const ShimConfig config = load_shim_config({});
  EXPECT_EQ(config.endpoints, std::vector{unix_endpoint("/run/p11shim/proxyd.sock")});
  EXPECT_EQ(config.connect_timeout, seconds(3));
  EXPECT_EQ(config.deadline, seconds(30));
  EXPECT_EQ(config.on_unreachable, OnUnreachable::empty);
  EXPECT_EQ(config.fork, ForkMode::inherit);
  EXPECT_EQ(config.log.kind, ShimLogSink::Kind::syslog);
  EXPECT_EQ(config.log_level, LogLevel::warning);
  EXPECT_TRUE(config.problems.empty());
}

TEST(ShimConfig, ReadsEveryKey) {
  const auto config = parse_shim_config(
      "endpoint = [\"unix:/run/a.sock\", \"tcp:127.0.0.1:9223\"]\nconnect_timeout = \"250ms\"\ndeadline = "
      "\"1m\"\n"
      "on_unreachable = \"fail\"\nfork = \"strict\"\nlog = \"file:/tmp/x\"\nlog_level = \"debug\"\n",
      "s.toml", {});
  ASSERT_TRUE(config);
  ASSERT_EQ(config->endpoints.size(), 2u);
  EXPECT_EQ(config->endpoints[0], unix_endpoint("/run/a.sock"));
  EXPECT_EQ(config->endpoints[1].tcp, (TcpAddress{"127.0.0.1", 9223}));
  EXPECT_EQ(config->connect_timeout, milliseconds(250));
  EXPECT_EQ(config->deadline, seconds(60));
  EXPECT_EQ(config->on_unreachable, OnUnreachable::fail);
  EXPECT_EQ(config->fork, ForkMode::strict);
  EXPECT_EQ(config->log, (ShimLogSink{ShimLogSink::Kind::file, "/tmp/x"}));
  EXPECT_EQ(config->log_level, LogLevel::debug);
}

TEST(ShimConfig, OneEndpointNeedsNoList) {
  EXPECT_EQ(parse_shim_config("endpoint = \"unix:/a\"", "s.toml", {})->endpoints, std::vector{unix_endpoint("/a")});
}

TEST(ShimConfig, SaysWhatIsWrongWithEachKey) {
  EXPECT_EQ(problems_of("endpiont = \"unix:/a\"\n"),
            Lines{"s.toml:1:1: unknown key \"endpiont\"; did you mean \"endpoint\"?"});
  EXPECT_EQ(problems_of("endpoint = \"/a\"\n"),
            Lines{"s.toml:1:12: \"endpoint\" is \"/a\" " + kEndpointExpected + ')'});
  EXPECT_EQ(problems_of("endpoint = \"tcp:10.0.0.1:9223\"\n"),
            Lines{"s.toml:1:12: \"endpoint\" is \"tcp:10.0.0.1:9223\" " + kEndpointExpected + ')'});
  EXPECT_EQ(problems_of("endpoint = [\"unix:/a\", \"unix:b\"]\n"),
            Lines{"s.toml:1:24: \"endpoint[1]\" is \"unix:b\" " + kEndpointExpected + ')'});
  EXPECT_EQ(problems_of("endpoint = []\n"),
            Lines{"s.toml:1:12: \"endpoint\" is empty " + kEndpointExpected + ", or a list of them)"});
  EXPECT_EQ(problems_of("endpoint = 1\n"),
            Lines{"s.toml:1:12: \"endpoint\" is an integer " + kEndpointExpected + ", or a list of them)"});
  EXPECT_EQ(problems_of("deadline = \"0s\"\nconnect_timeout = 5\n"),
            (Lines{"s.toml:1:12: \"deadline\" is \"0s\" (expected a duration from \"1ms\" to \"1d\", in ms, "
                   "s, m, h or "
                   "d)",
                   "s.toml:2:19: \"connect_timeout\" is an integer (expected a duration from \"1ms\" to "
                   "\"1d\", in ms, "
                   "s, m, h or d)"}));
  EXPECT_EQ(problems_of("on_unreachable = \"failed\"\nfork = \"yes\"\n"),
            (Lines{"s.toml:1:18: \"on_unreachable\" is \"failed\" (expected \"empty\" or \"fail\"); did you mean "
                   "\"fail\"?",
                   "s.toml:2:8: \"fork\" is \"yes\" (expected \"inherit\" or \"strict\")"}));
  EXPECT_EQ(problems_of("log = \"sterr\"\nlog_level = \"loud\"\n"),
            (Lines{"s.toml:1:7: \"log\" is \"sterr\" (expected \"off\", \"stderr\", \"syslog\" or \"file:/path\"); "
                   "did "
                   "you mean \"stderr\"?",
                   "s.toml:2:13: \"log_level\" is \"loud\" (expected \"trace\", \"debug\", \"info\", \"warning\", "
                   "\"error\" or \"off\")"}));
  EXPECT_EQ(problems_of("colour = false\n"),
            Lines{"s.toml:1:1: unknown key \"colour\" (known: endpoint, connect_timeout, deadline, on_unreachable, "
                  "fork, remember, coalesce, shared_memory, rings, spin, log, log_level)"});
}

std::string text_of(const std::string& path) {
  std::ifstream stream(source_dir() + '/' + path);
  EXPECT_TRUE(stream) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

void expect_defaults(const std::string& text) {
  EXPECT_EQ(problems_of(text), Lines{}) << text;
  const auto config = parse_shim_config(text, "s.toml", {});
  ASSERT_TRUE(config);
  const ShimConfig defaults;
  EXPECT_EQ(config->endpoints, defaults.endpoints);
  EXPECT_EQ(config->connect_timeout, defaults.connect_timeout);
  EXPECT_EQ(config->deadline, defaults.deadline);
  EXPECT_EQ(config->on_unreachable, defaults.on_unreachable);
  EXPECT_EQ(config->fork, defaults.fork);
  EXPECT_EQ(config->rings, defaults.rings);
  EXPECT_EQ(config->log, defaults.log);
  EXPECT_EQ(config->log_level, defaults.log_level);
}

// "known: endpoint, connect_timeout, …" of a table with these keys.
std::string known_keys(const Lines& keys) {
  std::string text;
  for (const std::string& key : keys) text += (text.empty() ? "" : ", ") + key;
  return "s.toml:1:1: unknown key \"xyzzy\" (known: " + text + ')';
}

TEST(ShimReference, HasEveryKeyWithItsDefault) {
  static const std::regex kRow("^\\| `([a-z_]+)` \\| `(.*?)` \\|.*");
  std::istringstream reference(text_of("docs/configuration.md"));
  bool in_section = false;
  Lines keys;
  std::string text;
  for (std::string line; std::getline(reference, line);) {
    std::smatch match;
    in_section = in_section || line == "## shim.toml";
    if (!in_section || !std::regex_match(line, match, kRow)) continue;
    keys.push_back(match[1]);
    text += match[1].str() + " = " + match[2].str() + '\n';
  }
  EXPECT_EQ(problems_of("xyzzy = 1"), Lines{known_keys(keys)});
  expect_defaults(text);
}

TEST(ShimExample, ShowsEveryKeyWithItsDefault) {
  static const std::regex kCommented("(^|\n)#(([a-z_]+) = )");
  const std::string example = text_of("conf/shim.toml");
  EXPECT_EQ(problems_of(example), Lines{});
  Lines keys;
  for (std::sregex_iterator match(example.begin(), example.end(), kCommented), end; match != end; ++match) {
    keys.push_back((*match)[3]);
  }
  EXPECT_EQ(problems_of("xyzzy = 1"), Lines{known_keys(keys)});
  expect_defaults(std::regex_replace(example, kCommented, "$1$2"));
}

TEST(ShimEndpoint, ParsesBackWhatItWrites) {
  for (const char* text : {"unix:/run/p11shim/proxyd.sock", "tcp:127.0.0.1:9223", "tcp:[::1]:1"}) {
    ASSERT_TRUE(parse_endpoint(text)) << text;
    EXPECT_EQ(to_string(*parse_endpoint(text)), text);
  }
}

TEST(ShimEndpoint, RefusesWhatNobodyCanConnectTo) {
  for (const std::string& text :
       {std::string(""), std::string("unix:"), std::string("unix:relative"), "unix:/" + std::string(107, 'x'),
        std::string("tcp:127.0.0.1:0"), std::string("tcp:localhost:1"), std::string("vsock:2:1")}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

constexpr char kTraceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

// The environment that the shim is told of.
char* no_variable(const char*) { return nullptr; }
char* each_variable(const char* name) {
  static char home[] = "/home/a", conf[] = "/c.toml", endpoint[] = "unix:/e", log[] = "debug";
  static char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  if (std::strcmp(name, "HOME") == 0) return home;
  if (std::strcmp(name, "P11SHIM_CONF") == 0) return conf;
  if (std::strcmp(name, "P11SHIM_ENDPOINT") == 0) return endpoint;
  if (std::strcmp(name, "TRACEPARENT") == 0) return traceparent;
  return std::strcmp(name, "P11SHIM_LOG") == 0 ? log : nullptr;
}

TEST(ShimConfigSources, AreTheEnvironmentsAndTheSystems) {
  const ShimConfigSources sources = shim_config_sources(each_variable);
  EXPECT_EQ(sources.system_file, "/etc/p11shim/shim.toml");
  EXPECT_EQ(sources.user_file, "/home/a/.config/p11shim/shim.toml");
  EXPECT_EQ(sources.only_file, "/c.toml");
  EXPECT_EQ(sources.endpoint, "unix:/e");
  EXPECT_EQ(sources.log, "debug");
  EXPECT_EQ(sources.traceparent, kTraceparent);
  EXPECT_TRUE(load_shim_config(sources).trace);
}

TEST(TraceId, IsTheStandards) {
  const auto id = trace_id_of(kTraceparent);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->front(), 0x4b);
  EXPECT_EQ(id->back(), 0x36);
  EXPECT_EQ(trace_id_of("cc" + std::string(kTraceparent).substr(2) + "-what-will-be"), id);
  for (const char* malformed : {"", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
                                "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                                "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
                                "00-4bf92f3577b34da6a3ce929d0e0e473-000f067aa0ba902b7-01",
                                "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01"})
    EXPECT_FALSE(trace_id_of(malformed)) << malformed;
}

// What secure_getenv() makes of any environment when the program runs with raised privileges.
TEST(ShimConfigSources, AreTheSystemsAloneWithoutAnEnvironment) {
  const ShimConfigSources sources = shim_config_sources(no_variable);
  EXPECT_EQ(sources.system_file, "/etc/p11shim/shim.toml");
  EXPECT_EQ(sources.user_file + sources.only_file + sources.endpoint + sources.log, "");
}

class ShimConfigFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "shim_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    sources_.system_file = directory_ + "/system.toml";
    sources_.user_file = directory_ + "/user.toml";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  static void write(const std::string& path, const std::string& text, mode_t mode = 0600) {
    std::ofstream(path) << text;
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  }

  std::string directory_;
  ShimConfigSources sources_;
};

TEST_F(ShimConfigFiles, MayAllBeAbsent) {
  const ShimConfig config = load_shim_config(sources_);
  EXPECT_EQ(config.problems, Lines{});
  EXPECT_EQ(config.deadline, seconds(30));
}

TEST_F(ShimConfigFiles, OverrideEachOtherKeyByKey) {
  write(sources_.system_file, "deadline = \"1s\"\nconnect_timeout = \"1s\"\nendpoint = \"unix:/system\"\n");
  write(sources_.user_file, "connect_timeout = \"2s\"\n");
  sources_.endpoint = "unix:/variable";
  const ShimConfig config = load_shim_config(sources_);
  EXPECT_EQ(config.problems, Lines{});
  EXPECT_EQ(config.deadline, seconds(1));
  EXPECT_EQ(config.connect_timeout, seconds(2));
  EXPECT_EQ(config.endpoints, std::vector{unix_endpoint("/variable")});
}

TEST_F(ShimConfigFiles, AreReplacedByTheNamedOne) {
  write(sources_.system_file, "deadline = \"1s\"\n");
  write(sources_.user_file, "deadline = \"2s\"\n");
  sources_.only_file = directory_ + "/only.toml";
  write(sources_.only_file, "connect_timeout = \"9s\"\n", 0666);
  const ShimConfig config = load_shim_config(sources_);
  EXPECT_EQ(config.problems, Lines{});
  EXPECT_EQ(config.deadline, seconds(30));
  EXPECT_EQ(config.connect_timeout, seconds(9));
}

TEST_F(ShimConfigFiles, ThatAreBrokenCostOneLineAndAreIgnoredWhole) {
  write(sources_.system_file, "deadline = \"1s\"\n");
  write(sources_.user_file, "deadline = \"2s\"\nfork = 1\nx = 2\n");
  const ShimConfig config = load_shim_config(sources_);
  EXPECT_EQ(config.problems, Lines{sources_.user_file + ":2:8: \"fork\" is an integer (expected \"inherit\" or "
                                                        "\"strict\") (and 1 more); the file is ignored"});
  EXPECT_EQ(config.deadline, seconds(1));
  EXPECT_EQ(config.fork, ForkMode::inherit);
}

TEST_F(ShimConfigFiles, ThatAreNotTomlAreIgnored) {
  write(sources_.system_file, "<xml/>\n");
  EXPECT_EQ(load_shim_config(sources_).problems,
            Lines{sources_.system_file + ":1:1: syntax error: root table: expected keys, tables, whitespace or "
                                         "comments, saw '<'; the file is ignored"});
}

TEST_F(ShimConfigFiles, ThatAreNoFilesAreIgnored) {
  ASSERT_EQ(mkfifo(sources_.user_file.c_str(), 0600), 0);
  EXPECT_EQ(load_shim_config(sources_).problems,
            Lines{sources_.user_file + ": is not a regular file; the file is ignored"});
}

// As a daemon that has given up root's rights sees them.
Lines problems_of_nobody(const ShimConfigSources& sources) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    const bool is_nobody = geteuid() != 0 || (setgroups(0, nullptr) == 0 && setgid(12345) == 0 && setuid(12345) == 0);
    std::string text;
    for (const std::string& problem : load_shim_config(sources).problems) text += problem + '\n';
    _exit(is_nobody && write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(ends[1]);
  std::string text(4096, '\0');
  const ssize_t size = read(ends[0], text.data(), text.size());
  close(ends[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  std::istringstream stream(text);
  Lines lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST_F(ShimConfigFiles, ThatCannotBeReadCostOneLine) {
  const std::string why = ": cannot read: Permission denied; the file is ignored";
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  write(sources_.system_file, "deadline = \"1s\"\n", 0000);
  write(sources_.user_file, "deadline = \"2s\"\n", 0000);
  EXPECT_EQ(problems_of_nobody(sources_), (Lines{sources_.system_file + why, sources_.user_file + why}));
  // Somebody else's home, which cannot even be looked into.
  ASSERT_EQ(chmod(directory_.c_str(), 0000), 0);
  EXPECT_EQ(problems_of_nobody(sources_), Lines{sources_.system_file + why});
  ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
}

TEST_F(ShimConfigFiles, ThatLeadNowhereCostOneLine) {
  ASSERT_EQ(symlink(sources_.user_file.c_str(), sources_.user_file.c_str()), 0);
  sources_.system_file = "/etc/passwd/shim.toml";  // absent
  EXPECT_EQ(load_shim_config(sources_).problems,
            Lines{sources_.user_file + ": cannot read: Too many levels of symbolic links; the file is ignored"});
}

TEST_F(ShimConfigFiles, ThatAreNamedMustExist) {
  sources_.only_file = directory_ + "/none.toml";
  EXPECT_EQ(load_shim_config(sources_).problems,
            Lines{sources_.only_file + ": cannot read: No such file or directory; the file is ignored"});
}

TEST_F(ShimConfigFiles, ThatOthersMayWriteAreIgnored) {
  write(sources_.user_file, "endpoint = \"unix:/theirs\"\n", 0620);
  const ShimConfig config = load_shim_config(sources_);
  EXPECT_EQ(config.problems,
            Lines{sources_.user_file + ": may be written by others than its owner; the file is ignored"});
  EXPECT_EQ(config.endpoints, ShimConfig{}.endpoints);
}

TEST_F(ShimConfigFiles, OfSomebodyElseAreIgnored) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  write(sources_.user_file, "endpoint = \"unix:/theirs\"\n");
  ASSERT_EQ(chown(sources_.user_file.c_str(), 12345, 0), 0);
  EXPECT_EQ(load_shim_config(sources_).problems,
            Lines{sources_.user_file + ": belongs to user 12345; the file is ignored"});
}

}  // namespace
}  // namespace p11shim

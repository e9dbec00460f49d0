// The exact text and place of what each key says to a wrong value.
#include "parsed.h"

namespace p11shim {
namespace {

struct Wrong {
  std::string text;
  Lines problems;
};

void expect_each(const std::vector<Wrong>& cases) {
  for (const Wrong& wrong : cases) EXPECT_EQ(problems_of(wrong.text + kServing), wrong.problems) << wrong.text;
}

TEST(ConfigProblems, OfListen) {
  expect_each({
      {"[listen]\nunx = \"/x\"\n", {"p.toml:2:1: unknown key \"unx\" in [listen]; did you mean \"unix\"?"}},
      {"[listen]\nunix = \"x.sock\"\n",
       {"p.toml:2:8: \"unix\" is \"x.sock\" (expected an absolute path of at most 107 bytes, or \"\")"}},
      {"[listen]\nmode = 660\n", {"p.toml:2:8: \"mode\" is an integer (expected an octal mode such as \"0660\")"}},
      {"[listen]\nmode = \"0999\"\n", {"p.toml:2:8: \"mode\" is \"0999\" (expected an octal mode such as \"0660\")"}},
      {"[listen]\ntcp = \"0.0.0.0:9223\"\n",
       {"p.toml:2:7: \"tcp\" is \"0.0.0.0:9223\" (expected a loopback address and port such as "
        "\"127.0.0.1:0\", or "
        "\"\")"}},
      {"[listen]\nmax_connections = 0\n",
       {"p.toml:2:19: \"max_connections\" is 0 (expected a whole number from 1 to 1000000)"}},
      {"[listen]\nbacklog = 1.5\n", {"p.toml:2:11: \"backlog\" is a float (expected a whole number from 1 to 65535)"}},
      {"listen = 5\n", {"p.toml:1:1: \"listen\" is an integer (expected a section [listen])"}},
      {"[[listen]]\n", {"p.toml:1:3: \"listen\" is a list (expected a section [listen])"}},
  });
}

TEST(ConfigProblems, OfALongSocketPath) {
  const std::string path = '/' + std::string(107, 'x');
  EXPECT_EQ(problems_of("[control]\nunix = \"" + path + "\"\n" + kServing),
            Lines{"p.toml:2:8: \"unix\" is \"" + path.substr(0, 80) +
                  "…\" (expected an absolute path of at most 107 bytes, or \"\")"});
}

TEST(ConfigProblems, OfLimits) {
  expect_each({
      {"[limits]\ndeadline = 30\n",
       {"p.toml:2:12: \"deadline\" is an integer (expected a duration from \"100ms\" to \"1d\", in ms, s, m, "
        "h or d)"}},
      {"[limits]\ndeadline = \"30\"\n",
       {"p.toml:2:12: \"deadline\" is \"30\" (expected a duration from \"100ms\" to \"1d\", in ms, s, m, h "
        "or d)"}},
      {"[limits]\nmax_frame = \"1GiB\"\n",
       {"p.toml:2:13: \"max_frame\" is \"1GiB\" (expected a size from \"128KiB\" to \"64MiB\", in B, KiB, "
        "MiB or "
        "GiB)"}},
      {"[limits]\ndeadline = \"10m\"\n", {"p.toml:1:1: \"keygen_deadline\" is shorter than \"deadline\""}},
      {"[limits]\nkeygen_deadline = \"1s\"\n", {"p.toml:2:19: \"keygen_deadline\" is shorter than \"deadline\""}},
  });
}

TEST(ConfigProblems, OfLogAndAudit) {
  expect_each({
      {"[log]\nlevel = \"inof\"\n",
       {"p.toml:2:9: \"level\" is \"inof\" (expected \"trace\", \"debug\", \"info\", \"warning\", \"error\" "
        "or "
        "\"off\"); did you mean \"info\"?"}},
      {"[log]\nformat = \"xml\"\n", {"p.toml:2:10: \"format\" is \"xml\" (expected \"text\" or \"json\")"}},
      {"[log]\nfile = \"log.txt\"\n",
       {"p.toml:2:8: \"file\" is \"log.txt\" (expected an absolute path of at most 4095 bytes, or \"\")"}},
      {"[audit]\nclasses = [\"admin\", \"reads\"]\n",
       {"p.toml:2:21: \"classes[1]\" is \"reads\" (expected \"admin\", \"auth\", \"use\" or \"read\"); did "
        "you mean "
        "\"read\"?"}},
      {"[audit]\nclasses = \"admin\"\n", {"p.toml:2:11: \"classes\" is a string (expected a list of audit classes)"}},
      {"[audit]\nenabled = true\nfile = \"\"\n",
       {"p.toml:2:11: audit is enabled but goes nowhere (expected \"file\" or journal = true)"}},
      {"[audit]\nenabled = \"yes\"\n", {"p.toml:2:11: \"enabled\" is a string (expected true or false)"}},
  });
}

TEST(ConfigProblems, OfSectionsThatDoNotExist) {
  expect_each({
      {"[lisen]\nunix = \"/x\"\n", {"p.toml:1:2: unknown section \"lisen\"; did you mean \"listen\"?"}},
      {"[[modul]]\nname = \"x\"\n", {"p.toml:1:3: unknown section \"modul\"; did you mean \"module\"?"}},
      {"unix = \"/x\"\n",
       {"p.toml:1:1: unknown key \"unix\" (known: listen, control, state, limits, log, audit, module, "
        "member, "
        "pool)"}},
      {"[state]\ndirectory = \"\"\n",
       {"p.toml:2:13: \"directory\" is \"\" (expected an absolute path of at most 4095 bytes)"}},
  });
}

TEST(ConfigProblems, OfModules) {
  expect_each({
      {"[[module]]\n",
       {"p.toml:1:1: [[module]] lacks \"name\" (expected 1 to 64 letters, digits, '-', '_' or '.')",
        "p.toml:1:1: [[module]] lacks \"path\" (expected an absolute path of at most 4095 bytes)"}},
      {"[[module]]\nname = \"a b\"\npath = \"/a\"\n",
       {"p.toml:2:8: \"name\" is \"a b\" (expected 1 to 64 letters, digits, '-', '_' or '.')"}},
      {"[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\nsha256 = \"abc\"\n",
       {"p.toml:5:10: \"sha256\" is \"abc\" (expected 64 hexadecimal digits, or \"\")"}},
      {"[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\nflags = [\"CKF_OS_LOCKING\"]\n",
       {"p.toml:5:10: \"flags[0]\" is \"CKF_OS_LOCKING\" (expected \"CKF_OS_LOCKING_OK\" or "
        "\"CKF_LIBRARY_CANT_CREATE_OS_THREADS\"); did you mean \"CKF_OS_LOCKING_OK\"?"}},
      {"[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\nallow_owner = [\"root\"]\n",
       {"p.toml:5:16: \"allow_owner[0]\" is a string (expected a whole number from 0 to 4294967294)"}},
      {"[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"all\"\n",
       {"p.toml:4:10: \"tokens\" is \"all\" (expected \"*\" or \"\")"}},
  });
}

TEST(ConfigProblems, OfKeysThatNeedEveryToken) {
  const std::string module = "[[module]]\nname = \"a\"\npath = \"/a\"\n";
  EXPECT_EQ(problems_of(module + "lanes = 4\nadmin = true\n" + kServing),
            (Lines{"p.toml:1:1: warning: no member uses module \"a\"",
                   "p.toml:4:1: \"lanes\" is a key of [[member]] (or of a [[module]] with tokens = \"*\")",
                   "p.toml:5:1: \"admin\" is a key of [[pool]] (or of a [[module]] with tokens = \"*\")"}));
}

TEST(ConfigProblems, OfAPinInTheFile) {
  const std::string member =
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n"
      "[[member]]\nname = \"m\"\nmodule = \"a\"\nslot = 0\n";
  const std::string reason = " must not stand in a configuration file (use pin_file, pin_credential or pin_command)";
  for (const std::string key : {"pin", "user_pin", "so_pin", "password"}) {
    for (const std::string value : {"\"hunter2\"", "271828", "[\"hunter2\"]"}) {
      const Lines problems = problems_of(member + key + " = " + value + '\n');
      EXPECT_EQ(problems, Lines{"p.toml:11:1: \"" + key + '"' + reason});
    }
  }
}

TEST(ConfigProblems, OfACommand) {
  const std::string member =
      "[[module]]\nname = \"a\"\npath = \"/a\"\n[[pool]]\nname = \"p\"\nmembers = [\"m\"]\n"
      "[[member]]\nname = \"m\"\nmodule = \"a\"\nslot = 0\nlogin = \"daemon\"\npin_command = ";
  EXPECT_EQ(problems_of(member + "\"/bin/x hunter2\""),
            Lines{"p.toml:12:15: \"pin_command\" is a string (expected a list: the absolute path of a program and "
                  "its arguments)"});
  EXPECT_EQ(problems_of(member + "[]"), Lines{"p.toml:12:15: \"pin_command\" is empty (expected a list: the absolute "
                                              "path of a program and its arguments)"});
  EXPECT_EQ(problems_of(member + "[\"x\", \"hunter2\"]"),
            Lines{"p.toml:12:16: an item of \"pin_command\" is wrong (expected the absolute path of a program)"});
  EXPECT_EQ(problems_of(member + "[\"/x\", 2]"),
            Lines{"p.toml:12:22: an item of \"pin_command\" is wrong (expected text)"});
}

TEST(ConfigProblems, OfAccessLists) {
  const std::string module = "[[module]]\nname = \"a\"\npath = \"/a\"\ntokens = \"*\"\n";
  const std::string expected = "(expected \"user:NAME\", \"group:NAME\", \"uid:NUMBER\" or \"gid:NUMBER\")";
  EXPECT_EQ(
      problems_of(module + "admin = [\"root\", \"uid:x\", \"uid:4294967295\"]\nallow = [\"user:\"]\n"),
      (Lines{"p.toml:5:10: \"admin[0]\" is \"root\" " + expected, "p.toml:5:18: \"admin[1]\" is \"uid:x\" " + expected,
             "p.toml:5:27: \"admin[2]\" is \"uid:4294967295\" " + expected,
             "p.toml:6:10: \"allow[0]\" is \"user:\" " + expected}));
  EXPECT_EQ(problems_of(module + "admin = \"root\"\nallow = true\n"),
            (Lines{"p.toml:5:9: \"admin\" is a string (expected true, false or a list of selectors such as "
                   "\"user:root\")",
                   "p.toml:6:9: \"allow\" is a boolean (expected a list of selectors such as \"group:hsm\")"}));
}

TEST(ConfigProblems, AreAllReportedAtOnce) {
  EXPECT_EQ(
      problems_of("[listen]\nmode = 1\nx = 2\n[log]\nlevel = 3\n[[module]]\npath = \"a\"\ntokens = \"*\"\n").size(),
      5u);
}

}  // namespace
}  // namespace p11shim

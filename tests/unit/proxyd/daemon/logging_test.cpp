// A message may quote what applications chose: it stays one line of the log.
#include "proxyd/daemon/logging.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "compare/private_directory.h"

namespace p11shim {
namespace {

constexpr char kForged[] =
    "key\n2026-01-01 00:00:00.000 info all is well\x1b[2J\xc2\x9b"
    "1mü";

std::string logged(LogFormat format) {
  const compare::PrivateDirectory directory;
  LogConfig config;
  config.file = directory.path() / "log";
  config.format = format;
  const auto log = make_log(config);
  log->warn("the copy of {} is lost", kForged);
  log->flush();
  std::ifstream file(config.file);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Logging, TextOfOthersMakesNoLineOfItsOwn) {
  const std::string text = logged(LogFormat::text);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_TRUE(text.ends_with(
      "warning the copy of key\\x0a2026-01-01 00:00:00.000 info all is well\\x1b[2J\\xc2\\x9b1mü is lost\n"))
      << text;
}

TEST(Logging, JsonIsAsciiOfOneLine) {
  const std::string text = logged(LogFormat::json);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  for (const char character : text.substr(0, text.size() - 1)) EXPECT_TRUE(character >= 0x20 && character < 0x7f);
  EXPECT_EQ(nlohmann::json::parse(text)["message"], std::string("the copy of ") + kForged + " is lost");
}

TEST(Logging, FileThatWasMovedAwayIsMadeAnew) {
  const compare::PrivateDirectory directory;
  LogConfig config;
  config.file = directory.path() / "log";
  const auto log = make_log(config);
  log->warn("one");
  std::filesystem::rename(config.file, config.file + ".1");
  log->warn("two");
  reopen_log(*log);
  log->warn("three");
  log->flush();
  EXPECT_GT(std::filesystem::file_size(config.file + ".1"), std::filesystem::file_size(config.file));
  EXPECT_EQ(std::filesystem::status(config.file).permissions() & std::filesystem::perms(0027),
            std::filesystem::perms(0));
}

}  // namespace
}  // namespace p11shim

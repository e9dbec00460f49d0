#include "config/text_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace p11shim {
namespace {

class TextFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "text_file_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& text) {
    std::ofstream(path()) << text;
    chmod(path().c_str(), 0600);
    return path();
  }
  std::string path() const { return (directory_ / "file").string(); }

  std::filesystem::path directory_;
};

TEST_F(TextFileTest, ReadsTheWholeFileAndWhoOwnsIt) {
  const TextFile file = read_text_file(write("a = 1\n"));
  EXPECT_EQ(file.error, 0);
  EXPECT_EQ(file.text, "a = 1\n");
  EXPECT_EQ(file.owner, geteuid());
  EXPECT_FALSE(file.others_may_write);
}

TEST_F(TextFileTest, SeesThatOthersMayWrite) {
  write("");
  chmod(path().c_str(), 0620);
  EXPECT_TRUE(read_text_file(path()).others_may_write);
  chmod(path().c_str(), 0602);
  EXPECT_TRUE(read_text_file(path()).others_may_write);
}

TEST_F(TextFileTest, SaysWhyAFileCannotBeRead) {
  const TextFile file = read_text_file(path());
  EXPECT_EQ(file.error, ENOENT);
  EXPECT_EQ(file.message, "cannot read: No such file or directory");
}

TEST_F(TextFileTest, DoesNotWaitForAPipe) {
  ASSERT_EQ(mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(read_text_file(path()).message, "is not a regular file");
}

TEST_F(TextFileTest, RefusesADirectory) {
  EXPECT_EQ(read_text_file(directory_.string()).message, "is not a regular file");
}

TEST_F(TextFileTest, RefusesWhatNoConfigurationNeeds) {
  EXPECT_EQ(read_text_file(write(std::string(1 << 20, '#'))).error, 0);
  EXPECT_EQ(read_text_file(write(std::string((1 << 20) + 1, '#'))).message, "is larger than 1 MiB");
}

}  // namespace
}  // namespace p11shim

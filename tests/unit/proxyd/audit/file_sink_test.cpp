#include "proxyd/audit/file_sink.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace p11shim {
namespace {

namespace fs = std::filesystem;

class FileSinkTest : public testing::Test {
 protected:
  fs::path folder = [] {
    std::string name = fs::temp_directory_path() / "file_sink_test.XXXXXX";
    return fs::path(::mkdtemp(name.data()));
  }();
  std::string path = folder / "audit.log";

  ~FileSinkTest() override { fs::remove_all(folder); }

  static std::string content(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  static void put(const fs::path& file, std::string_view text) { std::ofstream(file, std::ios::binary) << text; }
  static mode_t mode(const fs::path& file) {
    struct stat status {};
    EXPECT_EQ(::stat(file.c_str(), &status), 0);
    return status.st_mode & 07777;
  }
};

TEST_F(FileSinkTest, AppendsToWhatIsThere) {
  put(path, "old\n");
  FileSink sink({.path = path});
  sink.write("one\ntwo\n");
  sink.write("three\n");
  EXPECT_EQ(content(path), "old\none\ntwo\nthree\n");
}

TEST_F(FileSinkTest, MakesTheFileReadableForItsGroupOnly) {
  const mode_t before = ::umask(0);
  FileSink sink({.path = path});
  ::umask(before);
  EXPECT_EQ(mode(path), 0640u);
}

TEST_F(FileSinkTest, MakesTheSameModeUnderAStrictUmask) {
  const mode_t before = ::umask(0077);
  FileSink sink({.path = path});
  ::umask(before);
  EXPECT_EQ(mode(path), 0640u);
}

TEST_F(FileSinkTest, LeavesTheModeOfAnExistingFileAlone) {
  put(path, "");
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  FileSink sink({.path = path});
  EXPECT_EQ(mode(path), 0600u);
}

TEST_F(FileSinkTest, EndsAHalfLineBeforeAddingToIt) {
  put(path, "whole\nhal");
  FileSink sink({.path = path});
  sink.write("next\n");
  EXPECT_EQ(content(path), "whole\nhal\nnext\n");
}

TEST_F(FileSinkTest, RotatesBySizeAndKeepsSoMany) {
  FileSink sink({.path = path, .max_size = 10, .keep = 2});
  for (const char* lines : {"first.....\n", "second....\n", "third.....\n", "4\n"}) sink.write(lines);
  EXPECT_EQ(content(path), "4\n");
  EXPECT_EQ(content(path + ".1"), "third.....\n");
  EXPECT_EQ(content(path + ".2"), "second....\n");
  EXPECT_FALSE(fs::exists(path + ".3"));
  EXPECT_EQ(mode(path), 0640u);
}

TEST_F(FileSinkTest, NeverRotatesInTheMiddleOfABatch) {
  FileSink sink({.path = path, .max_size = 4, .keep = 1});
  sink.write("one\ntwo\nthree\n");
  EXPECT_EQ(content(path + ".1"), "one\ntwo\nthree\n");
}

TEST_F(FileSinkTest, CountsWhatTheFileHadBefore) {
  put(path, "nearly full\n");
  FileSink sink({.path = path, .max_size = 13, .keep = 1});
  sink.write("x\n");
  EXPECT_EQ(content(path + ".1"), "nearly full\nx\n");
}

TEST_F(FileSinkTest, KeepsNoRotatedFileIfToldSo) {
  FileSink sink({.path = path, .max_size = 4, .keep = 0});
  sink.write("12345\n");
  sink.write("6\n");
  EXPECT_EQ(content(path), "6\n");
  EXPECT_FALSE(fs::exists(path + ".1"));
}

TEST_F(FileSinkTest, WritesIntoANewFileAfterReopen) {
  FileSink sink({.path = path});
  sink.write("before\n");
  fs::rename(path, folder / "moved");
  sink.write("meanwhile\n");
  sink.reopen();
  sink.write("after\n");
  EXPECT_EQ(content(folder / "moved"), "before\nmeanwhile\n");
  EXPECT_EQ(content(path), "after\n");
}

TEST_F(FileSinkTest, RefusesWhatIsNoRegularFile) {
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_THROW(FileSink({.path = folder / "fifo"}), AuditSinkError);
  EXPECT_THROW(FileSink({.path = folder}), AuditSinkError);
  EXPECT_THROW(FileSink({.path = folder / "none" / "audit.log"}), AuditSinkError);
}

TEST_F(FileSinkTest, RefusesToFollowALink) {
  put(folder / "victim", "precious\n");
  fs::create_symlink(folder / "victim", path);
  EXPECT_THROW(FileSink({.path = path}), AuditSinkError);
  EXPECT_EQ(content(folder / "victim"), "precious\n");
}

TEST_F(FileSinkTest, SaysWhyItCannotOpen) {
  try {
    FileSink({.path = "/proc/no/such/place"});
    FAIL();
  } catch (const AuditSinkError& error) {
    EXPECT_STREQ(error.what(), "cannot open /proc/no/such/place: No such file or directory");
  }
}

TEST_F(FileSinkTest, LeavesNoHalfLineWhenTheDiskIsFull) {
  // A file size limit makes write(2) store a part and then fail, as a full disk does.
  FileSink sink({.path = path});
  sink.write("whole\n");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 10;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(sink.write("does not fit\n"), AuditSinkError);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(content(path), "whole\n");
  sink.write("fits again\n");
  EXPECT_EQ(content(path), "whole\nfits again\n");
}

TEST_F(FileSinkTest, KeepsTheLinesWhenItCannotRotate) {
  FileSink sink({.path = path, .max_size = 4, .keep = 1});
  fs::create_directories(path + ".1/in-the-way");
  try {
    sink.write("12345\n");
    FAIL() << "a rotation that fails is reported";
  } catch (const AuditSinkError& error) {
    EXPECT_FALSE(error.lost);
  }
  EXPECT_THROW(sink.write("6\n"), AuditSinkError);
  EXPECT_EQ(content(path), "12345\n6\n");
  fs::remove_all(path + ".1");
  sink.write("7\n");
  EXPECT_EQ(content(path + ".1"), "12345\n6\n7\n");
}

}  // namespace
}  // namespace p11shim

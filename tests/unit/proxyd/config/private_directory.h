// A directory for one test, which nobody else can write in.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace p11shim {

class PrivateDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "proxyd_config_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = std::filesystem::canonical(name).string();
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ + '/' + name; }
  std::string write(const std::string& name, const std::string& bytes, mode_t mode = 0600) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    EXPECT_EQ(chmod(path(name).c_str(), mode), 0);
    return path(name);
  }

  std::string directory_;
};

}  // namespace p11shim

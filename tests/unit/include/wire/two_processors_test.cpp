// Whether control groups let two threads run at a time, by files as the kernel shows them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "wire/spin.h"

namespace p11shim {
namespace {

class TwoProcessors : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "p11shim-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = root_.string() + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  void be_in(const std::string& groups) const { write("/proc/self/cgroup", groups); }
  [[nodiscard]] bool has_two() const { return groups_leave_two_processors(root_.string()); }

 private:
  std::filesystem::path root_;
};

TEST_F(TwoProcessors, AreThereWhereNothingSaysOtherwise) {
  EXPECT_TRUE(has_two()) << "nothing can be read";
  be_in("0::/app");
  EXPECT_TRUE(has_two()) << "a group without limits";
  write("/sys/fs/cgroup/app/cpu.max", "max 100000");
  EXPECT_TRUE(has_two());
  write("/sys/fs/cgroup/app/cpu.max", "nonsense");
  EXPECT_TRUE(has_two());
}

TEST_F(TwoProcessors, FollowFromQuotaAndPeriod) {
  be_in("0::/app");
  for (const auto& [limit, has] : {std::pair("150000 100000", false),
                                   {"199999 100000", false},
                                   {"200000 100000", true},
                                   {"50000 20000", true},
                                   {"20000 20000", false}}) {
    write("/sys/fs/cgroup/app/cpu.max", limit);
    EXPECT_EQ(has_two(), has) << limit;
  }
}

TEST_F(TwoProcessors, AreDeniedByAnyGroupThatOursIsIn) {
  be_in("0::/machine/app/service");
  write("/sys/fs/cgroup/machine/app/service/cpu.max", "max 100000");
  write("/sys/fs/cgroup/machine/app/cpu.max", "400000 100000");
  EXPECT_TRUE(has_two());
  write("/sys/fs/cgroup/machine/cpu.max", "100000 100000");
  EXPECT_FALSE(has_two());
  write("/sys/fs/cgroup/machine/cpu.max", "max 100000");
  write("/sys/fs/cgroup/cpu.max", "100000 100000");
  EXPECT_FALSE(has_two()) << "a container sees its own group as the root";
}

TEST_F(TwoProcessors, AreDeniedByTheFirstVersionAsWell) {
  be_in("12:cpuset:/other\n4:cpu,cpuacct:/app/service\n1:name=systemd:/app\n0::/app");
  write("/sys/fs/cgroup/cpu/app/service/cpu.cfs_quota_us", "-1");
  write("/sys/fs/cgroup/cpu/app/service/cpu.cfs_period_us", "100000");
  EXPECT_TRUE(has_two());
  write("/sys/fs/cgroup/cpu/other/cpu.cfs_quota_us", "1000");
  write("/sys/fs/cgroup/cpu/other/cpu.cfs_period_us", "100000");
  EXPECT_TRUE(has_two()) << "of a group that we are in for other things";
  write("/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us", "150000");
  write("/sys/fs/cgroup/cpu/app/cpu.cfs_period_us", "100000");
  EXPECT_FALSE(has_two());
}

}  // namespace
}  // namespace p11shim

#include "fixture.h"
#include "tests/places.h"

#include <cstdlib>
#include <fstream>
#include <string>

namespace p11shim {

namespace fs = std::filesystem;

namespace {

fs::path new_folder() {
  std::string name = fs::temp_directory_path() / "shimctl_test.XXXXXX";
  return fs::canonical(::mkdtemp(name.data()));
}

}  // namespace

ShimctlTest::ShimctlTest() : folder(new_folder()) {
  for (const char* name : {"bin", "lib", "tmp"}) fs::create_directory(folder / name);
  fs::copy(fs::path(build_dir()) / "bin/shimctl", folder / "bin/shimctl");
  fs::copy(fs::path(build_dir()) / "tests/fake_proxyd", folder / "bin/proxyd");
  std::ofstream{shim} << "a shim";
  std::ofstream{module} << "a module";
}

ShimctlTest::~ShimctlTest() { fs::remove_all(folder); }

std::vector<std::string> ShimctlTest::shimctl(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), folder / "bin/shimctl");
  return arguments;
}

Variables ShimctlTest::variables(const Variables& more) const {
  Variables all = more;
  all["TMPDIR"] = temporary;
  all["P11TEST_PID_FILE"] = folder / "pid";
  return all;
}

pid_t ShimctlTest::proxyd_pid() const {
  pid_t pid = 0;
  std::ifstream(folder / "pid") >> pid;
  return pid;
}

// A zombie runs no more; who reaps it is not our business.
bool ShimctlTest::is_running(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
  std::string all;
  std::getline(status, all);
  const auto name_end = all.rfind(") ");
  return name_end != std::string::npos && all[name_end + 2] != 'Z';
}

}  // namespace p11shim

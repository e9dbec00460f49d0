// An installation of its own: a copy of the built shimctl with the fake proxyd and something for a shim
// beside it.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "process.h"

namespace p11shim {

class ShimctlTest : public testing::Test {
 protected:
  ShimctlTest();
  ~ShimctlTest() override;

  // The command line of `shimctl arguments…`.
  std::vector<std::string> shimctl(std::vector<std::string> arguments) const;
  // With TMPDIR and the fake proxyd's pid file in our folder.
  Variables variables(const Variables& more = {}) const;

  pid_t proxyd_pid() const;  // of the fake started last; 0 if none was
  static bool is_running(pid_t pid);

  template <class Condition>
  static bool eventually(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + Process::kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  const std::filesystem::path folder;
  const std::filesystem::path temporary = folder / "tmp";
  const std::filesystem::path shim = folder / "lib" / "libpkcs11-shim.so";
  const std::string module = folder / "module.so";
};

}  // namespace p11shim

// The runs that a file for `bench suite` describes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace p11shim {

struct SuiteRun {
  std::string name;
  std::vector<std::string> only;
  std::string key;
  std::string mix;
  std::int64_t threads = 1;
  std::chrono::milliseconds duration{0};
  std::int64_t iterations = 0;
  std::chrono::milliseconds warmup{1000};
  std::int64_t rate = 0;
  std::vector<std::int64_t> data_sizes;
};

// Throws Failure with every mistake in it and its line.
std::vector<SuiteRun> read_suite_file(const std::string& path);

}  // namespace p11shim

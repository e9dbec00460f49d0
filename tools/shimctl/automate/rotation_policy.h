// Which keys are rotated when, from a file. Knows nothing of PKCS#11.
//
//   [[rule]]
//   pattern = "prod-*"
//   max_age = "90d"
//   keep = 3                       # former versions; older ones are destroyed
//   canary = 1
//   canary_command = "/usr/local/bin/try-key"
//   backup = "/var/backups/keys"
//   kek = "kek"
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace p11shim {

struct RotationRule {
  std::string pattern;
  std::chrono::milliseconds max_age{0};  // 0: due whenever asked
  std::int64_t keep = 0;                 // 0: all
  std::int64_t canary = 0;
  std::string canary_command;
  std::string type;  // of the new keys; empty: as before
  std::string backup;
  std::string kek;
};

// Throws Failure with every mistake and its line.
std::vector<RotationRule> read_rotation_policy(const std::string& path);

}  // namespace p11shim

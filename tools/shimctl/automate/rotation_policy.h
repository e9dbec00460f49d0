// Which keys are rotated when, from a file. Knows nothing of PKCS#11.
//
//   [[rule]]
//   pattern = "prod-*"
//   max_age = "90d"
//   keep = 3                       # former versions; older ones are destroyed
//   canary = 1
//   canary_command = "/usr/local/bin/try-key"
//   stage = "25%"
//   backup = "/var/backups/keys"
//   kek = "kek"
//   sign_with = "signer"
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
  std::string try_command;     // must please every new key before it is live
  std::string canary_command;  // the first ones when they are
  std::string stage;           // how many of the others at once: "10", "25%"; empty: all
  std::string stage_command;   // after each stage
  std::string type;            // of the new keys; empty: as before
  std::string backup;
  std::string kek;
  std::string sign_with;
};

// Of `keys` that are to be rotated, how many a stage has: at least 1. Throws Failure (kUsage) for a text that is none.
std::size_t stage_size(const RotationRule& rule, std::size_t keys);

// Throws Failure with every mistake and its line.
std::vector<RotationRule> read_rotation_policy(const std::string& path);

}  // namespace p11shim

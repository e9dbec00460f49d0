// A plan of changes to a token, from TOML or YAML: variables and counts are filled in, so that what remains is
// a list of steps. Knows nothing of PKCS#11.
//
//   name = "keys of {env}"
//   [variables]
//   env = "prod"
//   [[step]]
//   action = "generate"          # rename, set, delete
//   label = "{env}-{n:3}"
//   type = "ec:P-256"
//   count = 100                  # {n} counts from 1, here as 001
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace p11shim {

struct PlanStep {
  std::string action;
  std::string label;  // of the key that is made or changed
  std::string type;
  std::string id;  // hexadecimal; empty: random
  std::string attributes;
  std::string public_attributes;
  std::string to;  // rename
};

struct Plan {
  std::string name;
  std::string text_sha256;  // of the file and the variables: tells plans apart
  std::vector<PlanStep> steps;
};

inline constexpr std::size_t kMostPlanSteps = 100'000;

// `variables` ("env=test") replace the file's. A file that ends in .yaml or .yml is YAML. Throws Failure with
// every mistake in it, its line and column, and what was probably meant.
Plan read_plan(const std::string& path, const std::vector<std::string>& variables);

}  // namespace p11shim

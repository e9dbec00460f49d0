// What these tests have in common: a configuration's text becomes either a Config or the list of its
// problems.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxyd/config/load.h"

namespace p11shim {

using Lines = std::vector<std::string>;

// Enough to serve something; appended after what a test is about, so that its lines count from 1.
inline const std::string kServing = "\n[[module]]\nname = \"rest\"\npath = \"/rest.so\"\ntokens = \"*\"\n";

inline Lines to_lines(const std::vector<ConfigProblem>& problems) {
  Lines lines;
  for (const ConfigProblem& problem : problems) lines.push_back(to_string(problem));
  return lines;
}

// Errors and warnings.
inline Lines problems_of(const std::string& text) { return to_lines(parse_config(text, "p.toml").problems); }

inline Config parsed(const std::string& text) {
  ConfigResult<Config> result = parse_config(text, "p.toml");
  for (const std::string& line : to_lines(result.problems)) {
    EXPECT_NE(line.find("warning: "), std::string::npos) << line;
  }
  return result ? *result : Config{};
}

}  // namespace p11shim

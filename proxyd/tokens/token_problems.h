// What is wrong with the tokens that are to be one pool, as their modules show them: each in one line for the operator.
#pragma once

#include <string>
#include <vector>

#include "calls/lane_calls.h"

namespace p11shim {

struct SeenToken {
  std::string member;
  const SlotEntry* entry = nullptr;  // null: its module shows no such token
};

std::vector<std::string> token_problems(const std::vector<SeenToken>& seen);

}  // namespace p11shim

// What was done in an operation that is not over, so that another member can take it over. Only in balanced pools.
#pragma once

#include <vector>

#include "calls/policy.h"
#include "proxyd/objects/state_directory.h"
#include "wire/buffer.h"

namespace p11shim {

struct RecordedCall {
  std::uint32_t call = 0;
  bool has_mechanism = false;
  std::uint64_t mechanism = 0;
  std::vector<std::uint64_t> objects;  // virtual handles
  Buffer body;                         // wiped with it: it is data
  bool compares = true;                // false: the application was given nothing by it
  Identity output{};                   // hash of what the application was given; another member must give the same
};

struct ReplayRecord {
  Operation operation = Operation::none;
  bool replayable = true;  // false: too long, or it cannot be done a second time
  std::size_t bytes = 0;
  std::vector<RecordedCall> calls;
};

}  // namespace p11shim

// What the contract is over TCP. Nothing tells who calls there, so nobody may administer a token: a case that does is the same
// up to that call, which proxyd refuses. Those cases are named here, each with its reason; all others are the same to their end.
#pragma once

#include <string>
#include <vector>

#include "compare/differences.h"

namespace p11shim::contract {

// Why this case ends with a refusal over TCP; null: it does not.
const char* refused_over_tcp(const std::string& test_case);

// The first difference is the refusal, and nothing before it.
bool is_refusal(const std::vector<compare::Difference>& differences);

}  // namespace p11shim::contract

// Between proxyd's JSON and what shimctl shows.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/shimctl/output/value.h"

namespace p11shim {

Value value_of(const nlohmann::json& json);

}  // namespace p11shim

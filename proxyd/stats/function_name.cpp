#include "proxyd/stats/function_name.h"

#include "calls/table.h"

namespace p11shim {

static_assert(kCallCount <= 128, "Registry::kFunctions must hold every call of the table");

std::string_view function_name(std::uint32_t number) {
  const CallInfo* info = call_info(number);
  return info == nullptr ? "unknown" : info->name;
}

}  // namespace p11shim

// The name of a call by its number, without the templates of the call table.
#pragma once

#include <cstdint>
#include <string_view>

namespace p11shim {

// "C_Sign"; "unknown" for a number that the table does not have.
std::string_view function_name(std::uint32_t number);

}  // namespace p11shim

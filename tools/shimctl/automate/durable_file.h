// A file that survives a loss of power once it is written: what it is about may be destroyed then.
#pragma once

#include <string>
#include <string_view>

namespace p11shim {

// For its owner's eyes only; there as a whole, or what was there before stays. Throws Failure.
void write_durable_file(const std::string& path, std::string_view bytes);

}  // namespace p11shim

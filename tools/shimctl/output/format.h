// -o: the forms in which a command can write its data.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace p11shim {

enum class OutputFormat : std::uint8_t { kTable, kJson };

inline const std::map<std::string, OutputFormat>& output_formats() {
  static const std::map<std::string, OutputFormat> formats{{"table", OutputFormat::kTable},
                                                           {"json", OutputFormat::kJson}};
  return formats;
}

}  // namespace p11shim

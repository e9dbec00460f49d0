// Covers parse_config, describe, compare and parse_shim_config: any text is either a configuration or at
// least one error that says where it is, and nothing that is read is lost between reading and comparing.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "proxyd/config/describe.h"
#include "proxyd/config/load.h"
#include "proxyd/config/reload.h"
#include "shim/config.h"

namespace {

using p11shim::ConfigProblem;
using p11shim::ConfigResult;

void require(bool condition) {
  if (!condition) std::abort();
}

// A value or an error, never both; every line of it fit for a log.
template <class T>
void check(const ConfigResult<T>& result) {
  bool has_error = false;
  for (const ConfigProblem& problem : result.problems) {
    has_error = has_error || problem.severity == ConfigProblem::Severity::error;
    for (const char c : to_string(problem)) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  }
  require(has_error != result.value.has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto config = p11shim::parse_config(text, "f");
  check(config);
  if (config) {
    require(!describe(*config).empty());
    require(compare(*config, *config).is_empty());
  }
  check(p11shim::parse_shim_config(text, "f", {}));
  return 0;
}

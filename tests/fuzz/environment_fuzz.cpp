// Covers load_shim_config with nothing but the environment, parse_endpoint among it: any text in P11SHIM_ENDPOINT, P11SHIM_LOG and
// the switches is either used, or ignored with one line that says so. An endpoint means the same when it is written again.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "shim/config.h"

namespace {

using p11shim::ShimConfig;
using p11shim::ShimConfigSources;

void require(bool condition) {
  if (!condition) std::abort();
}

// One setting each; which of them `text` is.
void check(const std::string& text, std::string ShimConfigSources::*source) {
  ShimConfigSources sources;
  sources.*source = text;
  const ShimConfig config = load_shim_config(sources);
  require(!config.endpoints.empty() && config.problems.size() <= 1);
  for (const std::string& problem : config.problems)
    for (const char c : problem) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  for (const p11shim::ShimEndpoint& endpoint : config.endpoints) {
    require(endpoint.tcp ? endpoint.tcp->is_loopback() : endpoint.unix_path.starts_with('/'));
    require(p11shim::parse_endpoint(to_string(endpoint)) == endpoint);
  }
  require((config.log.kind == p11shim::ShimLogSink::Kind::file) == config.log.path.starts_with('/'));
  // What was ignored has changed nothing.
  const ShimConfig usual;
  if (config.problems.empty()) return;
  require(config.endpoints == usual.endpoints && config.log == usual.log && config.log_level == usual.log_level);
  require(config.coalesce == usual.coalesce && config.shared_memory == usual.shared_memory &&
          config.rings == usual.rings);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As the environment has it: up to the first NUL.
  std::string text(reinterpret_cast<const char*>(data), size);
  text.resize(std::min(text.find('\0'), text.size()));
  check(text, &ShimConfigSources::endpoint);
  check(text, &ShimConfigSources::log);
  check(text, &ShimConfigSources::coalesce);
  check(text, &ShimConfigSources::shared_memory);
  check(text, &ShimConfigSources::rings);
  check(text, &ShimConfigSources::traceparent);
  return 0;
}

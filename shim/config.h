// The shim's configuration: where proxyd is, how long to wait for it, where to log. Read once, at
// C_Initialize.
//
// Sources, each later one overriding the keys that it sets: built-in defaults, /etc/p11shim/shim.toml,
// ~/.config/p11shim/shim.toml, or P11SHIM_CONF instead of both files, then P11SHIM_ENDPOINT,
// P11SHIM_COALESCE, P11SHIM_SHARED_MEMORY and P11SHIM_LOG. TRACEPARENT, which belongs to no program, says of whose trace the
// calls are; one that does not follow the standard is as good as none.
// A source that is broken, or that somebody untrusted could have written, is ignored whole and costs one line
// in `problems`: an application must never fail for it. A program that runs with raised privileges
// (AT_SECURE) ignores its environment, and with it the user's file.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/log_level.h"
#include "config/problem.h"
#include "config/tcp_address.h"

namespace p11shim {

// "unix:/run/p11shim/proxyd.sock" or "tcp:127.0.0.1:9223" (loopback only).
struct ShimEndpoint {
  std::string unix_path;  // empty: TCP
  std::optional<TcpAddress> tcp;

  friend bool operator==(const ShimEndpoint&, const ShimEndpoint&) = default;
};
std::optional<ShimEndpoint> parse_endpoint(std::string_view text);
std::string to_string(const ShimEndpoint& endpoint);

struct ShimLogSink {
  enum class Kind : std::uint8_t { off, standard_error, file, syslog };

  Kind kind = Kind::syslog;
  std::string path;  // of a file

  friend bool operator==(const ShimLogSink&, const ShimLogSink&) = default;
};

// What C_Initialize does while no endpoint answers.
enum class OnUnreachable : std::uint8_t {
  empty,  // succeeds; slots show as empty until proxyd is there
  fail,   // CKR_DEVICE_ERROR
};

// What a child process is after fork.
enum class ForkMode : std::uint8_t {
  inherit,  // an application of its own that starts with the parent's sessions and logins
  strict,   // not initialised, as the standard has it
};

struct ShimConfig {
  std::vector<ShimEndpoint> endpoints{{"/run/p11shim/proxyd.sock", {}}};  // tried in this order
  std::chrono::milliseconds connect_timeout{3'000};                       // for one attempt at one endpoint
  std::chrono::milliseconds deadline{30'000};                             // for one call
  OnUnreachable on_unreachable = OnUnreachable::empty;
  ForkMode fork = ForkMode::inherit;
  std::chrono::milliseconds remember{1'000};  // how long an answer may be given again without asking; 0: never
  bool coalesce = true;                       // calls that belong together travel as one message
  bool shared_memory =
      true;                // large data goes through memory shared with proxyd's workers, where the endpoint is local
  bool rings = true;       // so do small messages, while the receiver is awake
  std::uint32_t spin = 0;  // microseconds of looking for an answer before sleeping; 0: none
  ShimLogSink log;
  LogLevel log_level = LogLevel::warning;
  std::optional<std::array<std::uint8_t, 16>> trace;  // of all calls; none: each has its own

  std::vector<std::string> problems;  // one line for each source that was ignored
};

struct ShimConfigSources {
  std::string system_file;
  std::string user_file;      // this and what follows: empty if there is none
  std::string only_file;      // replaces both
  std::string endpoint;       // endpoints, separated by commas
  std::string coalesce;       // "on", "off"
  std::string shared_memory;  // the same
  std::string rings;          // the same
  std::string log;            // "debug:file:/x", "stderr", "debug"
  std::string traceparent;    // W3C Trace Context: "00-<trace id>-<parent id>-<flags>"
};

// Of this process; `get` is secure_getenv() but for tests.
ShimConfigSources shim_config_sources(char* (*get)(const char* name));

// None: it is absent or malformed.
std::optional<std::array<std::uint8_t, 16>> trace_id_of(std::string_view traceparent);

// A file's text on top of `base`.
ConfigResult<ShimConfig> parse_shim_config(std::string_view text, const std::string& file, const ShimConfig& base);

ShimConfig load_shim_config(const ShimConfigSources& sources);

// What C_Initialize calls. Nothing only if there is no memory (CKR_HOST_MEMORY).
std::optional<ShimConfig> shim_config() noexcept;

}  // namespace p11shim

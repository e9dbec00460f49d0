#include "shim/config.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "config/section.h"
#include "config/text_file.h"

namespace p11shim {
namespace {

constexpr std::string_view kUnix = "unix:", kTcp = "tcp:", kFile = "file:";

struct EndpointKind {
  using From = std::string;
  static std::string expected() { return "\"unix:/path\" or \"tcp:127.0.0.1:port\" (loopback addresses only)"; }
  static std::optional<ShimEndpoint> parse(const std::string& text) { return parse_endpoint(text); }
  static std::string show(const ShimEndpoint& endpoint) { return in_quotes(to_string(endpoint)); }
};

// One endpoint or a list of them.
struct EndpointsKind {
  static std::string expected() { return EndpointKind::expected() + ", or a list of them"; }

  static void read(const ConfigValue& value, const std::string& path, std::vector<ShimEndpoint>& endpoints,
                   ConfigReport& report) {
    if (value.get<ConfigValue::List>()) {
      ListKind<EndpointKind>{{}, "endpoints"}.read(value, path, endpoints, report);
      const bool is_empty = value.get<ConfigValue::List>()->empty();
      if (is_empty) report.error(value.place, refused(path, "empty", expected()));
      return;
    }
    if (!value.get<std::string>()) return report.error(value.place, wrong_type(path, value, expected()));
    std::optional<ShimEndpoint> endpoint;
    read_value(value, path, EndpointKind{}, endpoint, report);
    if (endpoint) endpoints = {std::move(*endpoint)};
  }
};

std::optional<ShimLogSink> parse_sink(std::string_view text) {
  if (text == "off") return ShimLogSink{ShimLogSink::Kind::off, {}};
  if (text == "stderr") return ShimLogSink{ShimLogSink::Kind::standard_error, {}};
  if (text == "syslog") return ShimLogSink{ShimLogSink::Kind::syslog, {}};
  if (!text.starts_with(kFile)) return std::nullopt;
  const auto path = PathKind{}.parse(std::string(text.substr(kFile.size())));
  return path ? std::optional(ShimLogSink{ShimLogSink::Kind::file, *path}) : std::nullopt;
}

struct LogSinkKind {
  using From = std::string;
  static std::string expected() { return "\"off\", \"stderr\", \"syslog\" or \"file:/path\""; }
  static std::optional<ShimLogSink> parse(const std::string& text) { return parse_sink(text); }
  static std::string near(const std::string& text) {
    constexpr std::array<std::string_view, 3> kWords{"off", "stderr", "syslog"};
    return did_you_mean(text, kWords);
  }
};

constexpr ChoiceKind<LogLevel, kLogLevels.size()> kLogLevel{kLogLevels};
constexpr ChoiceKind<OnUnreachable, 2> kOnUnreachable{
    {{{"empty", OnUnreachable::empty}, {"fail", OnUnreachable::fail}}}};
constexpr ChoiceKind<ForkMode, 2> kFork{{{{"inherit", ForkMode::inherit}, {"strict", ForkMode::strict}}}};
constexpr ChoiceKind<bool, 2> kSwitch{{{{"on", true}, {"off", false}}}};
constexpr DurationKind kPatience{std::chrono::milliseconds(1), std::chrono::hours(24)};

constexpr DurationKind kRemember{std::chrono::milliseconds(0), std::chrono::hours(24)};

constexpr auto kFields = std::tuple{
    config_field("endpoint", &ShimConfig::endpoints, EndpointsKind{}),
    config_field("connect_timeout", &ShimConfig::connect_timeout, kPatience),
    config_field("deadline", &ShimConfig::deadline, kPatience),
    config_field("on_unreachable", &ShimConfig::on_unreachable, kOnUnreachable),
    config_field("fork", &ShimConfig::fork, kFork),
    config_field("remember", &ShimConfig::remember, kRemember),
    config_field("coalesce", &ShimConfig::coalesce, kSwitch),
    config_field("shared_memory", &ShimConfig::shared_memory, kSwitch),
    config_field("rings", &ShimConfig::rings, kSwitch),
    config_field("spin", &ShimConfig::spin, WholeNumberKind{0, 1000}),
    config_field("log", &ShimConfig::log, LogSinkKind{}),
    config_field("log_level", &ShimConfig::log_level, kLogLevel),
};

// One line, however many problems there are: this goes to the log of somebody's application.
std::string first_of(const std::vector<ConfigProblem>& problems) {
  std::string line = to_string(problems.front());
  if (problems.size() > 1) line += " (and " + std::to_string(problems.size() - 1) + " more)";
  return line + "; the file is ignored";
}

// Who writes this file decides where PINs go.
std::string untrusted(const TextFile& file) {
  if (file.owner != 0 && file.owner != geteuid()) return "belongs to user " + std::to_string(file.owner);
  return file.others_may_write ? "may be written by others than its owner" : std::string();
}

enum class Whose : std::uint8_t { the_system, the_user, named };  // named: by P11SHIM_CONF

// A daemon that has given up root still has root's HOME, and may not look into it.
bool is_out_of_sight(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) != 0 && errno == EACCES;
}

bool is_absent(const TextFile& file, const std::string& path, Whose whose) {
  if (whose == Whose::named) return false;
  return file.error == ENOENT || file.error == ENOTDIR || (whose == Whose::the_user && is_out_of_sight(path));
}

void apply_file(const std::string& path, Whose whose, ShimConfig& config) {
  const TextFile file = read_text_file(path);
  if (file.error != 0 && is_absent(file, path, whose)) return;
  const bool named_by_user = whose == Whose::named;
  std::string reason = file.error != 0 || named_by_user ? file.message : untrusted(file);
  if (!reason.empty()) {
    config.problems.push_back(path + ": " + reason + "; the file is ignored");
    return;
  }
  ConfigResult<ShimConfig> result = parse_shim_config(file.text, path, config);
  if (result) {
    config = std::move(*result);
  } else {
    config.problems.push_back(first_of(result.problems));
  }
}

void apply_endpoints(const std::string& text, ShimConfig& config) {
  std::vector<ShimEndpoint> endpoints;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    auto endpoint = parse_endpoint(item);
    if (!endpoint) {
      config.problems.push_back("P11SHIM_ENDPOINT is " + in_quotes(text) + " (expected " + EndpointKind::expected() +
                                "); it is ignored");
      return;
    }
    endpoints.push_back(std::move(*endpoint));
    begin = end + 1;
  }
  config.endpoints = std::move(endpoints);
}

void apply_switch(const char* name, const std::string& text, bool& setting, ShimConfig& config) {
  if (text.empty()) return;
  if (const auto is_on = kSwitch.parse(text)) setting = *is_on;
  else
    config.problems.push_back(name + std::string(" is ") + in_quotes(text) +
                              " (expected \"on\" or \"off\"); it is ignored");
}

// "level", "sink" or "level:sink".
void apply_log(const std::string& text, ShimConfig& config) {
  const std::string_view all(text);
  const std::size_t colon = std::min(all.find(':'), all.size());
  const auto level = kLogLevel.parse(std::string(all.substr(0, colon)));
  const bool only_level = level && colon == all.size();
  // A level alone is given by somebody who wants to see something. "off" is a level and a sink: both are
  // silent.
  const auto sink =
      parse_sink(only_level ? (*level == LogLevel::off ? "off" : "stderr") : (level ? all.substr(colon + 1) : all));
  if (!sink) {
    config.problems.push_back("P11SHIM_LOG is " + in_quotes(text) + " (expected a level, one of " +
                              LogSinkKind::expected() + ", or both such as \"debug:stderr\"); it is ignored");
    return;
  }
  config.log = *sink;
  if (level) config.log_level = *level;
}

int hexadecimal(char digit) {  // W3C: lowercase only
  return digit >= '0' && digit <= '9' ? digit - '0' : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

}  // namespace

// https://www.w3.org/TR/trace-context/#traceparent-header: a later version may be longer; version ff is none.
std::optional<std::array<std::uint8_t, 16>> trace_id_of(std::string_view traceparent) {
  constexpr std::string_view kForm = "vv-tttttttttttttttttttttttttttttttt-pppppppppppppppp-ff";
  const bool is_first_version = traceparent.starts_with("00-");
  if (traceparent.size() < kForm.size() || traceparent.starts_with("ff")) return std::nullopt;
  if (traceparent.size() > kForm.size() && (is_first_version || traceparent[kForm.size()] != '-')) return std::nullopt;
  for (std::size_t i = 0; i < kForm.size(); ++i)
    if (kForm[i] == '-' ? traceparent[i] != '-' : hexadecimal(traceparent[i]) < 0) return std::nullopt;
  std::array<std::uint8_t, 16> id{};
  for (std::size_t i = 0; i < id.size(); ++i)
    id[i] = static_cast<std::uint8_t>(hexadecimal(traceparent[3 + 2 * i]) << 4 | hexadecimal(traceparent[4 + 2 * i]));
  const bool has_parent = traceparent.substr(36, 16).find_first_not_of('0') != std::string_view::npos;
  return has_parent && id != decltype(id){} ? std::optional(id) : std::nullopt;
}

std::optional<ShimEndpoint> parse_endpoint(std::string_view text) {
  if (text.starts_with(kUnix)) {
    const PathKind socket_path{.longest = kLongestSocketPath};
    auto path = socket_path.parse(std::string(text.substr(kUnix.size())));
    return path ? std::optional(ShimEndpoint{std::move(*path), {}}) : std::nullopt;
  }
  if (!text.starts_with(kTcp)) return std::nullopt;
  auto address = parse_tcp_address(text.substr(kTcp.size()));
  const bool usable = address && address->is_loopback() && address->port != 0;
  return usable ? std::optional(ShimEndpoint{{}, std::move(address)}) : std::nullopt;
}

std::string to_string(const ShimEndpoint& endpoint) {
  return endpoint.tcp ? std::string(kTcp) + to_string(*endpoint.tcp) : std::string(kUnix) + endpoint.unix_path;
}

ShimConfigSources shim_config_sources(char* (*get)(const char* name)) {
  const auto variable = [get](const char* name) {
    const char* value = get(name);
    return std::string(value ? value : "");
  };
  ShimConfigSources sources;
  sources.system_file = "/etc/p11shim/shim.toml";
  const std::string home = variable("HOME");
  if (home.starts_with('/')) sources.user_file = home + "/.config/p11shim/shim.toml";
  sources.only_file = variable("P11SHIM_CONF");
  sources.endpoint = variable("P11SHIM_ENDPOINT");
  sources.coalesce = variable("P11SHIM_COALESCE");
  sources.shared_memory = variable("P11SHIM_SHARED_MEMORY");
  sources.rings = variable("P11SHIM_RINGS");
  sources.log = variable("P11SHIM_LOG");
  sources.traceparent = variable("TRACEPARENT");
  return sources;
}

ConfigResult<ShimConfig> parse_shim_config(std::string_view text, const std::string& file, const ShimConfig& base) {
  ConfigReport report(file);
  const ConfigValue document = parse_toml(text, report);
  if (report.has_errors()) return {std::nullopt, report.take_problems()};
  ConfigResult<ShimConfig> result{base, {}};
  ConfigSection root(document, {}, {}, report);
  root.read(*result, kFields);
  root.finish();
  if (report.has_errors()) result.value.reset();
  result.problems = report.take_problems();
  return result;
}

ShimConfig load_shim_config(const ShimConfigSources& sources) {
  ShimConfig config;
  if (sources.only_file.empty()) {
    if (!sources.system_file.empty()) apply_file(sources.system_file, Whose::the_system, config);
    if (!sources.user_file.empty()) apply_file(sources.user_file, Whose::the_user, config);
  } else {
    apply_file(sources.only_file, Whose::named, config);
  }
  if (!sources.endpoint.empty()) apply_endpoints(sources.endpoint, config);
  apply_switch("P11SHIM_COALESCE", sources.coalesce, config.coalesce, config);
  apply_switch("P11SHIM_SHARED_MEMORY", sources.shared_memory, config.shared_memory, config);
  apply_switch("P11SHIM_RINGS", sources.rings, config.rings, config);
  if (!sources.log.empty()) apply_log(sources.log, config);
  config.trace = trace_id_of(sources.traceparent);
  return config;
}

std::optional<ShimConfig> shim_config() noexcept {
  try {
    return load_shim_config(shim_config_sources(secure_getenv));
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace p11shim

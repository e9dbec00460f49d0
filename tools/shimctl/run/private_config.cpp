#include "tools/shimctl/run/private_config.h"

#include <sstream>
#include <vector>

#include "config/toml.h"
#include "proxyd/config/load.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

toml::table socket_table(const std::filesystem::path& path) {
  return toml::table{{"unix", path.string()}, {"mode", "0600"}};
}

std::string with_places(toml::table config, const PrivatePlaces& places) {
  toml::table listen = socket_table(places.endpoint);
  for (const char* kept : {"max_connections_per_user", "shared_memory"})
    if (const toml::node* setting = config["listen"][kept].node()) listen.insert(kept, *setting);
  config.insert_or_assign("listen", std::move(listen));
  config.insert_or_assign("control", socket_table(places.control));
  config.insert_or_assign("state", toml::table{{"directory", places.state.string()}});
  if (auto* log = config["log"].as_table()) log->erase("file");
  std::ostringstream text;
  text << toml::toml_formatter(config) << '\n';
  return text.str();
}

std::string all_of(const std::vector<ConfigProblem>& problems) {
  std::string text;
  for (const auto& problem : problems) text += "\n  " + to_string(problem);
  return text;
}

}  // namespace

std::string config_for_module(const ModuleChoice& module, const PrivatePlaces& places) {
  toml::table entry{{"name", "module"}, {"path", module.path}, {"tokens", "*"}, {"admin", true}};
  if (!module.library_parameters.empty()) entry.insert("library_parameters", module.library_parameters);
  return with_places(toml::table{{"module", toml::array{std::move(entry)}}}, places);
}

std::string config_from_file(const std::string& file, const PrivatePlaces& places) {
  if (const auto checked = load_config_file(file); !checked) {
    throw Failure(ExitCode::kConfiguration, "the configuration cannot be used:" + all_of(checked.problems), "");
  }
  auto parsed = toml::parse_file(file);
  if (!parsed) {
    throw Failure(ExitCode::kConfiguration, "cannot read " + file + ": " + std::string(parsed.error().description()),
                  "");
  }
  return with_places(std::move(parsed).table(), places);
}

}  // namespace p11shim

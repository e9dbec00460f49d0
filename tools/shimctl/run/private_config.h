// The configuration of a private proxyd: a module whose tokens are all shown, or a file of the user's with
// everything that would reach outside (sockets, state, log) moved into the private directory.
#pragma once

#include <filesystem>
#include <string>

namespace p11shim {

struct PrivatePlaces {
  std::filesystem::path endpoint;  // sockets
  std::filesystem::path control;
  std::filesystem::path state;  // directory
};

struct ModuleChoice {
  std::string path;                // absolute
  std::string library_parameters;  // as NSS wants them; empty: none
};

// Both return TOML. Throws Failure (kConfiguration) if the file cannot be used; every problem in it is named,
// with its line.
std::string config_for_module(const ModuleChoice& module, const PrivatePlaces& places);
std::string config_from_file(const std::string& file, const PrivatePlaces& places);

}  // namespace p11shim

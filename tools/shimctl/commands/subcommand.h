// How a command is declared: its options are the members of one struct, which lives as long as the parser's
// callbacks do.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

// A noun whose verbs are its subcommands.
inline CLI::App& add_noun(CLI::App& root, const char* name, const char* description) {
  auto* noun = root.add_subcommand(name, description);
  noun->require_subcommand(1);
  return *noun;
}

template <class Options>
struct Subcommand {
  CLI::App* app;
  std::shared_ptr<Options> options;
};

// `run(invocation, options)` is called when the whole command line is known.
template <class Options>
Subcommand<Options> add_command(CLI::App& parent, Invocation& invocation, const char* name, const char* description,
                                ExitCode (*run)(const Invocation&, const Options&)) {
  const auto options = std::make_shared<Options>();
  auto* app = parent.add_subcommand(name, description);
  app->callback([&invocation, options, run] {
    invocation.command = [&invocation, options, run] { return run(invocation, *options); };
  });
  return {app, options};
}

struct NoOptions {};

}  // namespace p11shim

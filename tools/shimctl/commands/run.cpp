#include "tools/shimctl/commands/run.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "tools/shimctl/commands/stats_rows.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/run/child_process.h"
#include "tools/shimctl/run/installation.h"
#include "tools/shimctl/run/private_config.h"
#include "tools/shimctl/run/private_folder.h"
#include "tools/shimctl/run/private_proxyd.h"
#include "tools/shimctl/run/signal_watch.h"

namespace p11shim {

namespace fs = std::filesystem;

namespace {

// As the shell has them.
constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;

struct Options {
  std::string module;
  std::string config;
  std::string library_parameters;
  bool stats = false;
  std::vector<std::string> command;
};

void check(const Options& options) {
  if (options.command.empty()) {
    throw Failure(ExitCode::kUsage, "no command to run", "shimctl run --module PATH -- COMMAND [ARGUMENT…]");
  }
  if (options.module.empty() == options.config.empty()) {
    throw Failure(ExitCode::kUsage, "either --module or --config says what proxyd stands in front of",
                  "shimctl run --module /usr/lib/softhsm/libsofthsm2.so -- COMMAND");
  }
  if (!options.library_parameters.empty() && options.module.empty()) {
    throw Failure(ExitCode::kUsage, "--library-parameters belongs to --module",
                  "put library_parameters into the configuration's [[module]]");
  }
}

std::string config_of(const Options& options, const PrivatePlaces& places) {
  if (!options.config.empty()) return config_from_file(options.config, places);
  std::error_code error;
  const fs::path module = fs::absolute(options.module, error);
  if (!fs::is_regular_file(module, error)) {
    throw Failure(ExitCode::kConfiguration, "there is no module " + options.module,
                  "give the path of a PKCS#11 library");
  }
  return config_for_module({.path = module.string(), .library_parameters = options.library_parameters}, places);
}

// 128 + the signal, if it was ended by one.
int run_command(const Options& options, const PrivatePlaces& places, const fs::path& shim, const SignalWatch& signals,
                PrivateProxyd& proxyd, std::ostream& err) {
  ChildOptions child;
  child.arguments = options.command;
  child.variables["P11SHIM_ENDPOINT"] = "unix:" + places.endpoint.string();
  child.variables["P11SHIM_CONTROL"] = places.control.string();
  child.variables["P11_MODULE"] = shim.string();
  child.blocked_signals = signals.blocked_before();
  ChildProcess command(child);
  bool told = false;
  for (;;) {
    const auto code = command.exit_code();
    if (proxyd.has_ended() && !std::exchange(told, true)) {
      err << "shimctl: proxyd ended before the command did:" << proxyd.last_words() << std::endl;
    }
    if (code) return *code;
    signals.wait(-1, std::nullopt);
    while (const auto signal = signals.take()) {
      if (!signal->is_ours()) command.signal(signal->number);
    }
  }
}

void write_stats(const PrivatePlaces& places, std::ostream& err) {
  try {
    const auto snapshot = ControlClient(places.control.string()).ask("stats", {{"raw", true}});
    err << '\n';
    write_rows(err, read_rows(snapshot, StatsSubject::kFunctions, "total"), {.emphasis = wants_colour(STDERR_FILENO)});
    err.flush();
  } catch (const Failure& failure) {
    err << "shimctl: no statistics: " << failure.what() << std::endl;
  }
}

// What the command sees of it may be no more than an empty list of slots.
void tell_errors(PrivateProxyd& proxyd, std::ostream& err) {
  for (const auto& error : proxyd.new_errors()) err << "shimctl: proxyd: " << error << std::endl;
}

int run_guarded(const Options& options, std::ostream& err) {
  check(options);
  const auto installation = Installation::find();
  const SignalWatch signals;
  const PrivateFolder folder;
  const auto places = PrivateProxyd::places_in(folder);
  PrivateProxyd proxyd(installation.proxyd, folder, config_of(options, places), signals);
  tell_errors(proxyd, err);
  const int code = run_command(options, places, installation.shim, signals, proxyd, err);
  tell_errors(proxyd, err);
  if (options.stats) write_stats(places, err);
  return code;
}

// The exit code is the command's own, whatever it is.
ExitCode run(const Invocation& invocation, const Options& options) {
  try {
    return ExitCode{run_guarded(options, invocation.err)};
  } catch (const ChildProcess::NotExecuted& reason) {
    invocation.err << "shimctl: cannot execute " << options.command.front() << ": "
                   << std::generic_category().message(reason.error) << std::endl;
    return ExitCode{reason.error == ENOENT ? kNotFound : kCannotExecute};
  } catch (const Interrupted& interrupted) {
    return ExitCode{128 + interrupted.signal};
  }
}

}  // namespace

void add_run(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("run", "Run one command with a private proxyd in front of a module");
  const auto options = std::make_shared<Options>();  // lives as long as the parser's callbacks
  command->add_option("--module", options->module, "PKCS#11 library: each of its tokens becomes a virtual token")
      ->option_text("PATH");
  command->add_option("--config", options->config, "proxyd's configuration, with its sockets and state made private")
      ->option_text("FILE");
  command
      ->add_option("--library-parameters,--init-args", options->library_parameters,
                   "What an NSS module wants in its C_Initialize arguments")
      ->option_text("TEXT");
  command->add_flag("--stats", options->stats, "Print to stderr what the command called");
  command->fallthrough(false);
  command->prefix_command();
  command->footer(
      "The command finds P11SHIM_ENDPOINT, P11SHIM_CONTROL and P11_MODULE (the shim's path) in its environment, which "
      "is "
      "otherwise ours.\n"
      "Its exit code becomes shimctl's.\n\n"
      "Examples:\n"
      "  shimctl run --module /usr/lib/softhsm/libsofthsm2.so -- sh -c 'pkcs11-tool --module \"$P11_MODULE\" "
      "-L'\n"
      "  shimctl run --stats --config proxyd.toml -- ./my-application");
  command->callback([&invocation, options, command] {
    options->command = command->remaining();
    options->command.insert(options->command.end(), invocation.command_line.begin(), invocation.command_line.end());
    invocation.command = [&invocation, options] { return run(invocation, *options); };
  });
}

}  // namespace p11shim

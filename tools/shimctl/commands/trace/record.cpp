#include "tools/shimctl/commands/trace/record.h"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "tools/shimctl/failure.h"
#include "tools/shimctl/run/child_process.h"
#include "tools/shimctl/run/installation.h"
#include "tools/shimctl/run/signal_watch.h"

namespace p11shim {

namespace {

constexpr int kNotFound = 127, kCannotExecute = 126;

std::string real_module(const Invocation& invocation) {
  if (invocation.token.module.empty()) return Installation::find_shim().string();
  std::error_code error;
  const std::string& path = invocation.token.module;
  if (std::filesystem::is_regular_file(path, error)) return std::filesystem::absolute(path).string();
  throw Failure(ExitCode::kConfiguration, "there is no module " + path, "--module takes the path of a PKCS#11 library");
}

int run_to_its_end(const ChildOptions& options, const SignalWatch& signals) {
  ChildProcess command(options);
  for (;;) {
    if (const auto code = command.exit_code()) return *code;
    signals.wait(-1, std::nullopt);
    while (const auto signal = signals.take())
      if (!signal->is_ours()) command.signal(signal->number);
  }
}

}  // namespace

int record_command(const Invocation& invocation, const std::string& file) {
  const SignalWatch signals;
  ChildOptions child;
  child.arguments = invocation.command_line;
  child.variables["P11SHIM_TRACE_MODULE"] = real_module(invocation);
  child.variables["P11SHIM_TRACE_FILE"] = file;
  child.variables["P11_MODULE"] = Installation::find_trace().string();
  child.blocked_signals = signals.blocked_before();
  try {
    return run_to_its_end(child, signals);
  } catch (const ChildProcess::NotExecuted& reason) {
    invocation.err << "shimctl: cannot execute " << child.arguments.front() << ": "
                   << std::generic_category().message(reason.error) << std::endl;
    return reason.error == ENOENT ? kNotFound : kCannotExecute;
  }
}

}  // namespace p11shim

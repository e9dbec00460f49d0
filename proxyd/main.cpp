// proxyd: reads its configuration, checks it, and runs.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "proxyd/config/check.h"
#include "proxyd/config/describe.h"
#include "proxyd/config/load.h"
#include "proxyd/daemon/daemon.h"
#include "proxyd/daemon/dev_mode.h"
#include "proxyd/daemon/logging.h"
#include "proxyd/daemon/process.h"
#include "proxyd/daemon/running.h"
#include "proxyd/daemon/token_check.h"
#include "proxyd/daemon/version.h"

namespace {

using namespace p11shim;

constexpr int kFailed = 1;
constexpr int kBadConfiguration = 3;

constexpr const char* kExamples =
    "Examples:\n"
    "  proxyd --dev                              try it: two fresh SoftHSM tokens, nothing of yours touched\n"
    "  proxyd --check --config proxyd.toml       what would be served, and everything that is wrong\n"
    "  proxyd --config /etc/p11shim/proxyd.toml  run (systemd does: systemctl start proxyd)\n"
    "\n"
    "Signals: SIGTERM drains and stops, SIGHUP reloads the configuration.\n";

bool tell(const std::vector<ConfigProblem>& problems) {
  bool errors = false;
  for (const ConfigProblem& problem : problems) {
    std::cerr << to_string(problem) << '\n';
    errors |= problem.severity == ConfigProblem::Severity::error;
  }
  return !errors;
}

int check(const std::string& file) {
  auto config = load_config_file(file);
  bool good = tell(config.problems) && config;
  if (config) {
    good &= tell(resolve_accounts(*config));
    good &= tell(check_machine(*config));
    if (const auto told = problems_of_running(config->control.unix_path)) {
      for (const std::string& problem : *told)
        std::cerr << "warning: " << problem << " (says the proxyd that is running)\n";
    } else if (good) {
      for (const std::string& problem : problems_of_tokens(*config, find_worker_program()))
        std::cerr << "warning: " << problem << '\n';
    }
    std::cout << describe(*config);
  }
  std::cout << (good ? "The configuration is good.\n" : "The configuration has errors.\n");
  return good ? 0 : kBadConfiguration;
}

int run(Config config, std::function<void(const Daemon&)> ready) {
  const auto log = make_log(config.log);
  log_problems(*log, resolve_accounts(config));
  log_problems(*log, check_machine(config));
  uv_loop_t loop;
  uv_loop_init(&loop);
  int status = kFailed;
  try {
    Daemon daemon(loop, *log, std::move(config), find_worker_program());
    status = daemon.run(std::move(ready));
  } catch (const std::exception& error) {
    log->error("{}", error.what());
  }
  // Until libuv has let go of the handles that were closed, and the workers have finalised their modules: they would be
  // killed with us. They have a time limit of their own, and a signal ends us now.
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"proxyd: one PKCS#11 token over real HSMs, for many applications"};
  std::string file = "/etc/p11shim/proxyd.toml";
  bool only_check = false;
  bool dev = false;
  app.add_option("-c,--config", file, "configuration file")->capture_default_str();
  app.add_flag("--check", only_check, "check the configuration and say what it means; serve nothing");
  app.add_flag("--dev", dev, "run on two fresh SoftHSM tokens in a private directory");
  app.set_version_flag("--version", std::string("proxyd ") + kVersion);
  app.footer(kExamples);
  CLI11_PARSE(app, argc, argv);

  try {
    if (only_check) return check(file);
    confine_process();
    if (dev) {
      DevMode mode;
      return run(mode.config(), [&](const Daemon& daemon) { mode.greet(daemon.endpoints()); });
    }
    auto config = load_config_file(file);
    if (!tell(config.problems) || !config) return kBadConfiguration;
    return run(std::move(*config), nullptr);
  } catch (const std::exception& error) {
    std::cerr << "proxyd: " << error.what() << '\n';
    return kFailed;
  }
}

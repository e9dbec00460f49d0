// What shimctl sees of a proxyd, with known figures: its configuration, readiness, control socket and end.
// P11TEST_PROXYD chooses a defect: "fails" (to start), "silent" (never ready), "dies" (once it is ready).
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>
#include <uv.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>

#include "proxyd/config/load.h"
#include "proxyd/control/control.h"
#include "proxyd/control/reports.h"
#include "proxyd/loop/log_quota.h"
#include "proxyd/stats/registry.h"

namespace {

using namespace p11shim;
using nlohmann::json;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

StatusReport status_report(const Config& config) {
  StatusReport report;
  report.version = variable("P11TEST_VERSION");
  report.pid = ::getpid();
  report.state = "ready";
  report.endpoints = {"unix:" + config.listen.unix_path};
  report.pools.push_back({.pool = "signing", .slot = 7, .virtual_sessions = 12, .logged_in_applications = 1});
  MemberReport up{.pool = "signing",
                  .member = "hsm1",
                  .state = "up",
                  .reason = "",
                  .module = "/m.so",
                  .token = "t",
                  .serial = "s",
                  .workers = {}};
  up.workers.push_back({.domain = "user", .pid = 4242, .state = "ready", .lanes = 4});
  report.members.push_back(up);
  ApplicationReport application;
  application.program = "evil\x1b[2J\xff";
  report.applications.push_back(application);
  report.audit = {{"ok", false}, {"last_error", "disk full"}, {"lost", 3}};
  return report;
}

ControlHandlers handlers(const Config& config, Registry& registry) {
  ControlHandlers result;
  result["status"] = [&config](const json&, const ControlReply& reply) { reply.ok(to_json(status_report(config))); };
  result["ping"] = [](const json& arguments, const ControlReply& reply) {
    if (!arguments.contains("member")) return reply.ok(to_json(PingReport{.version = "", .pid = 1}));
    MemberPingReport report{.pool = "signing", .member = "hsm1", .rv_name = "CKR_OK"};
    if (variable("P11TEST_PING") == "fails") report.rv = 0x30, report.rv_name = "CKR_DEVICE_ERROR";
    if (variable("P11TEST_PING") == "unknown") return reply.fail({"not_found", "there is no such member", ""});
    reply.ok(to_json(report));
  };
  result["pools"] = [](const json&, const ControlReply& reply) {
    const json ejected{
        {"member", "hsm1"}, {"state", "ejected"}, {"administrative", {{"state", "ready"}}}, {"ejections", 2}};
    const json drained{
        {"member", "hsm2"}, {"state", "draining"}, {"administrative", {{"state", "drain"}}}, {"ejections", 0}};
    reply.ok({{"pools", json::array({{{"pool", "signing"}, {"members", json::array({ejected, drained})}}})}});
  };
  result["stats"] = [&registry](const json& arguments, const ControlReply& reply) {
    const bool raw = arguments.value("raw", false);
    reply.ok(registry.snapshot(raw ? Registry::Detail::kRaw : Registry::Detail::kSummary));
    // One more call between any two questions.
    registry.record({.member = registry.member("signing", "hsm1"),
                     .function = 44,
                     .rv = CKR_DEVICE_ERROR,
                     .times = {.hsm = 2'000'000, .total = 5'000'000}});
  };
  return result;
}

void record_some_calls(Registry& registry) {
  const auto member = registry.member("signing", "hsm1");
  registry.client("uid 33 nginx");
  for (int i = 0; i < 99; ++i) {
    registry.record(
        {.member = member, .function = 44, .mechanism = CKM_ECDSA, .times = {.hsm = 1'000'000, .total = 2'000'000}});
  }
  registry.record({.member = member, .function = 19, .rv = CKR_PIN_INCORRECT, .times = {.total = 1000}});
}

}  // namespace

int main(int argc, char** argv) {
  std::ofstream(variable("P11TEST_PID_FILE")) << ::getpid() << std::endl;
  if (variable("P11TEST_PROXYD") == "fails") {
    std::cerr << "first line\nthe module is broken" << std::endl;
    return 3;
  }
  const auto config = argc == 3 ? load_config_file(argv[2]) : ConfigResult<Config>{};
  if (!config) {
    for (const auto& problem : config.problems) std::cerr << to_string(problem) << '\n';
    return 3;
  }
  std::signal(SIGPIPE, SIG_IGN);
  uv_loop_t loop;
  uv_loop_init(&loop);
  spdlog::logger log("fake", std::make_shared<spdlog::sinks::stderr_sink_st>());
  LogQuota quota(log);
  Registry registry;
  record_some_calls(registry);
  auto control = std::make_unique<Control>(loop, quota, ControlOptions{.path = config->control.unix_path},
                                           handlers(*config, registry));
  uv_signal_t end;
  uv_signal_init(&loop, &end);
  end.data = &control;
  uv_signal_start(
      &end,
      [](uv_signal_t* handle, int) {
        static_cast<std::unique_ptr<Control>*>(handle->data)->reset();
        uv_close(reinterpret_cast<uv_handle_t*>(handle), nullptr);
      },
      SIGTERM);
  if (variable("P11TEST_PROXYD") != "silent") sd_notify(0, "STATUS=ready\nREADY=1");
  if (variable("P11TEST_PROXYD") == "dies") {
    std::cerr << "out of luck" << std::endl;
    ::_exit(1);
  }
  uv_run(&loop, UV_RUN_DEFAULT);
  return 0;
}

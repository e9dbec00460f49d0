// The shapes are an interface: shimctl and the operators' scripts read them.
#include "proxyd/control/reports.h"

#include <gtest/gtest.h>

namespace p11shim {
namespace {

using nlohmann::json;

TEST(Reports, StatusHasThisShape) {
  StatusReport report;
  report.version = "0.1.0";
  report.pid = 10;
  report.state = "ready";
  report.uptime_seconds = 1.5;
  report.endpoints = {"unix:/run/p11shim/proxyd.sock"};
  report.pools.push_back({.pool = "signing", .slot = 1, .virtual_sessions = 20, .logged_in_applications = 2});
  MemberReport member{.pool = "signing",
                      .member = "hsm1",
                      .state = "up",
                      .reason = "",
                      .module = "/usr/lib/softhsm/libsofthsm2.so",
                      .token = "t",
                      .serial = "s",
                      .workers = {}};
  member.workers.push_back({.domain = "user", .pid = 11, .state = "ready", .lanes = 4, .busy_lanes = 1});
  report.members.push_back(member);
  ApplicationReport application;
  application.id = "00ff";
  application.uid = 33;
  application.program = "nginx";
  application.logged_in = {"signing"};
  report.applications.push_back(application);
  report.audit = {{"ok", true}};

  EXPECT_EQ(to_json(report), json::parse(R"({
    "version": "0.1.0", "pid": 10, "state": "ready", "uptime_seconds": 1.5,
    "endpoints": ["unix:/run/p11shim/proxyd.sock"],
    "pools": [{"pool": "signing", "slot": 1, "virtual_sessions": 20, "logged_in_applications": 2}],
    "members": [{"pool": "signing", "member": "hsm1", "state": "up", "reason": "",
                 "module": "/usr/lib/softhsm/libsofthsm2.so", "token": "t", "serial": "s",
                 "workers": [{"domain": "user", "pid": 11, "state": "ready", "lanes": 4, "busy_lanes": 1,
                              "stuck_lanes": 0, "real_sessions": 0, "restarts": 0, "queued": 0, "memory_kib": null}]}],
    "applications": [{"id": "00ff", "uid": 33, "gid": null, "pid": null, "program": "nginx", "connections": 0,
                      "virtual_sessions": 0, "logged_in": ["signing"], "calls": 0, "failed": 0,
                      "connected_seconds": 0.0, "idle_seconds": 0.0}],
    "audit": {"ok": true}})"));
}

TEST(Reports, PingsHaveThisShape) {
  EXPECT_EQ(to_json(PingReport{.version = "0.1.0", .pid = 10}), json::parse(R"({"version": "0.1.0", "pid": 10})"));
  const MemberPingReport member{
      .pool = "p", .member = "m", .rv = 48, .rv_name = "CKR_DEVICE_ERROR", .queue_ns = 1, .hsm_ns = 2};
  EXPECT_EQ(to_json(member), json::parse(R"({"pool": "p", "member": "m", "rv": 48, "rv_name": "CKR_DEVICE_ERROR",
                                             "queue_ns": 1, "hsm_ns": 2})"));
}

}  // namespace
}  // namespace p11shim

#include "tools/shimctl/commands/status.h"

#include <unistd.h>

#include <nlohmann/json.hpp>
#include <ostream>

#include "tools/shimctl/control_client.h"
#include "tools/shimctl/output/member_text.h"
#include "tools/shimctl/output/present.h"
#include "tools/shimctl/output/quantity_text.h"
#include "tools/shimctl/output/table.h"
#include "tools/shimctl/output/terminal.h"
#include "tools/shimctl/output/terminal_text.h"
#include "tools/shimctl/output/value_json.h"

namespace p11shim {

using nlohmann::json;

namespace {

std::string text(const json& object, const char* key) {
  const json& value = object.at(key);
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string joined(const json& array) {
  std::string all;
  for (const auto& entry : array) all += (all.empty() ? "" : ", ") + entry.get<std::string>();
  return all.empty() ? "-" : all;
}

void write_section(std::ostream& out, const Table& table, const char* if_empty) {
  out << '\n';
  if (table.empty()) {
    out << if_empty << '\n';
  } else {
    table.write(out, wants_colour(STDOUT_FILENO));
  }
}

void write_heading(std::ostream& out, const json& status) {
  out << "proxyd " << terminal_text(text(status, "version")) << ", pid " << text(status, "pid") << ", "
      << terminal_text(text(status, "state")) << ", up " << age_text(status.at("uptime_seconds")) << ", listening on "
      << terminal_text(joined(status.at("endpoints"))) << '\n';
  const json& audit = status.at("audit");
  if (audit.is_object() && audit.value("ok", true) == false) {
    out << "AUDIT LOG FAILING: " << terminal_text(audit.value("last_error", "")) << " (" << audit.value("lost", 0)
        << " records lost";
    if (const json incomplete = audit.value("incomplete", json(0)); incomplete != 0)
      out << ", " << incomplete << " not in every place";
    out << ")\n";
  }
}

Table pools(const json& status) {
  Table table({{"POOL"}, {"SLOT", Align::kRight}, {"SESSIONS", Align::kRight}, {"LOGGED IN", Align::kRight}});
  for (const auto& pool : status.at("pools")) {
    table.add_row(
        {text(pool, "pool"), text(pool, "slot"), text(pool, "virtual_sessions"), text(pool, "logged_in_applications")});
  }
  return table;
}

Table members(const json& status) {
  Table table({{"MEMBER"}, {"STATE"}, {"TOKEN"}, {"SERIAL"}, {"MODULE"}, {"REASON"}});
  for (const auto& member : status.at("members")) {
    table.add_row({member_text(text(member, "pool"), text(member, "member")), text(member, "state"),
                   text(member, "token"), text(member, "serial"), text(member, "module"), text(member, "reason")});
  }
  return table;
}

Table workers(const json& status) {
  Table table({{"WORKER"},
               {"DOMAIN"},
               {"PID", Align::kRight},
               {"STATE"},
               {"LANES", Align::kRight},
               {"BUSY", Align::kRight},
               {"STUCK", Align::kRight},
               {"QUEUED", Align::kRight},
               {"REAL SESSIONS", Align::kRight},
               {"RESTARTS", Align::kRight}});
  for (const auto& member : status.at("members")) {
    for (const auto& worker : member.at("workers")) {
      table.add_row({member_text(text(member, "pool"), text(member, "member")), text(worker, "domain"),
                     text(worker, "pid"), text(worker, "state"), text(worker, "lanes"), text(worker, "busy_lanes"),
                     text(worker, "stuck_lanes"), text(worker, "queued"), text(worker, "real_sessions"),
                     text(worker, "restarts")});
    }
  }
  return table;
}

Table applications(const json& status) {
  Table table({{"APPLICATION"},
               {"UID", Align::kRight},
               {"PID", Align::kRight},
               {"SESSIONS", Align::kRight},
               {"LOGGED IN"},
               {"CALLS", Align::kRight},
               {"FAILED", Align::kRight},
               {"IDLE", Align::kRight}});
  for (const auto& application : status.at("applications")) {
    table.add_row({text(application, "program"), text(application, "uid"), text(application, "pid"),
                   text(application, "virtual_sessions"), joined(application.at("logged_in")),
                   text(application, "calls"), text(application, "failed"), age_text(application.at("idle_seconds"))});
  }
  return table;
}

// Where there are only rows, they are the members.
Report report_of(const json& status, OutputFormat format) {
  Report report{.name = "status", .data = value_of(status)};
  if (format != OutputFormat::kCsv && format != OutputFormat::kPlain) return report;
  report.rows_key = "members";
  for (const char* key : {"pool", "member", "state", "token", "serial", "module", "reason"}) {
    report.columns.push_back({key, key});
  }
  for (const auto& member : status.at("members")) report.rows.push_back(value_of(member));
  return report;
}

ExitCode run(const Invocation& invocation) {
  const json status = ControlClient(invocation.control_path).ask("status");
  if (invocation.format != OutputFormat::kTable) {
    present(invocation, report_of(status, invocation.format));
    return ExitCode::kOk;
  }
  write_heading(invocation.out, status);
  write_section(invocation.out, pools(status), "no pools");
  write_section(invocation.out, members(status), "no members");
  write_section(invocation.out, workers(status), "no workers");
  write_section(invocation.out, applications(status), "no applications");
  return ExitCode::kOk;
}

}  // namespace

void add_status(CLI::App& root, Invocation& invocation) {
  auto* command = root.add_subcommand("status", "Show pools, members, workers and applications");
  command->footer("Examples:\n  shimctl status\n  shimctl status -o json | jq '.data.members[].state'");
  command->callback([&invocation] { invocation.command = [&invocation] { return run(invocation); }; });
}

}  // namespace p11shim

// Checks 8 to 11: proxyd as it runs, and its configuration.
#include <filesystem>

#include "proxyd/config/check.h"
#include "proxyd/config/load.h"
#include "tools/shimctl/control_client.h"
#include "tools/shimctl/doctor/patient.h"
#include "tools/shimctl/failure.h"
#include "tools/shimctl/token/token_access.h"

namespace p11shim {

namespace {

constexpr std::chrono::seconds kPatience{5};

// Null if this proxyd does not know the question.
nlohmann::json answer(const Patient& patient, const char* question) {
  try {
    return ControlClient(patient.invocation.control_path).ask(question, nlohmann::json::object(), kPatience);
  } catch (const Failure&) {
    return {};
  }
}

void ask_proxyd(Patient& patient, Examination& found) {
  try {
    ControlClient control(patient.invocation.control_path);
    patient.status = control.ask("status", nlohmann::json::object(), kPatience);
  } catch (const Failure& failure) {
    if (!patient.proxied) return found.skip("control-socket", "the module is used without proxyd");
    return found.fail("control-socket", failure.reason().what);
  }
  found.pass("control-socket", patient.invocation.control_path + ", proxyd " + patient.status.value("version", "?") +
                                   ", pid " + std::to_string(patient.status.value("pid", 0)));
  patient.pools = answer(patient, "pools");
  patient.stats = answer(patient, "stats");
}

void compare_versions(const Patient& patient, Examination& found) {
  if (patient.status.is_null()) return found.skip("proxyd-version", "proxyd does not say it");
  const std::string running = patient.status.value("version", "");
  if (running == patient.version) found.pass("proxyd-version", running);
  else found.fail("proxyd-version", "proxyd is " + running + ", shimctl " + patient.version);
}

void examine_protocol(const Patient& patient, Examination& found) {
  if (!patient.proxied) return found.skip("protocol", "the module is used without proxyd");
  try {
    TokenAccess access(patient.invocation);
    const auto slots = access.module().slots(false);
    found.pass("protocol", "the shim sees " + std::to_string(slots.size()) + " slots");
  } catch (const std::exception& error) {
    found.fail("protocol", error.what());
  }
}

void examine_configuration(Patient& patient, Examination& found) {
  std::error_code error;
  if (!std::filesystem::exists(patient.config_path, error))
    return found.skip("proxyd-configuration", patient.config_path + (error ? ": " + error.message() : " is not there"));
  auto config = load_config_file(patient.config_path);
  auto problems = config.problems;
  if (config) {
    patient.config = std::move(*config);
    for (auto& more : {resolve_accounts(*patient.config), check_machine(*patient.config)})
      problems.insert(problems.end(), more.begin(), more.end());
  }
  for (const ConfigProblem& problem : problems) {
    if (problem.severity == ConfigProblem::Severity::error) found.fail("proxyd-configuration", to_string(problem));
    else found.warn("proxyd-configuration", to_string(problem));
  }
  if (problems.empty()) found.pass("proxyd-configuration", patient.config_path);
}

}  // namespace

void examine_proxyd(Patient& patient, Examination& found) {
  ask_proxyd(patient, found);
  compare_versions(patient, found);
  examine_protocol(patient, found);
  examine_configuration(patient, found);
}

}  // namespace p11shim

// What doctor examines, and what is known of it: the module or the shim, the running proxyd, its
// configuration. Whatever could not be had is empty, and the checks that need it are skipped.
#pragma once

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "proxyd/config/config.h"
#include "tools/shimctl/doctor/examination.h"
#include "tools/shimctl/invocation.h"

namespace p11shim {

struct Patient {
  const Invocation& invocation;
  bool proxied = true;                         // no --module
  std::string config_path;                     // proxyd.toml
  std::string unit_path;                       // of proxyd.service; empty: where systemd looks for it
  std::string version;                         // shimctl's
  std::chrono::milliseconds patience{10'000};  // with a module that loads

  std::optional<Config> config{};
  nlohmann::json status{};  // these three: what proxyd answered; null if it did not
  nlohmann::json pools{};
  nlohmann::json stats{};
};

void examine_load_path(Patient& patient, Examination& found);  // 1 to 4
void examine_endpoint(Patient& patient, Examination& found);   // 5 to 7
void examine_proxyd(Patient& patient, Examination& found);     // 8 to 11; fills in the patient's fields
void examine_tokens(Patient& patient, Examination& found);     // 12 to 19
void examine_pools(Patient& patient, Examination& found);      // 20 to 24
void examine_machine(Patient& patient, Examination& found);    // 25 to 33
void examine_unit(Patient& patient, Examination& found);       // 34
void examine_readiness(Patient& patient, Examination& found);  // 101 and on

}  // namespace p11shim

// shimctl doctor: what is wrong between an application and its keys, in numbered checks, and how to mend it.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "tools/shimctl/invocation.h"

namespace p11shim {

struct DoctorOptions {
  bool readiness = false;  // what production needs on top, with a score
  std::string config = "/etc/p11shim/proxyd.toml";
  std::string unit;
  std::string fail_on = "fail";
  unsigned seconds = 10;  // that a module may take to load
};

ExitCode run_doctor(const Invocation& invocation, const DoctorOptions& options);

void add_doctor(CLI::App& root, Invocation& invocation);

}  // namespace p11shim

// What calls cost beside time: processor time and context switches of everybody who takes part in them.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace p11shim {

struct Usage {
  double cpu_ns = 0;
  double switches = 0;
};

// One operation of one workload on one thread.
struct DataPath {
  std::string workload;
  std::string target;
  Usage client;
  Usage servers;
};

// How often one operation entered the kernel.
struct SystemCalls {
  std::string workload;
  std::string target;
  double client = 0;
  double servers = 0;
};

// Of this process, its threads that have ended included: "CPU_NS SWITCHES".
std::string own_usage();
Usage parse_usage(const std::string& text);
// Of the threads that these processes have now.
Usage usage_of(const std::vector<pid_t>& processes);

}  // namespace p11shim

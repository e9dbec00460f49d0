#include "many.h"

#include <array>
#include <sstream>
#include <stdexcept>

namespace p11shim {
namespace {

// proxyd's processor time for one forwarded call of applications that work at the same time.
double cpu_per_call(Target& target, std::vector<Process*>& active, std::chrono::milliseconds duration) {
  const std::vector<pid_t> proxyd{target.proxyd()};
  const Usage before = usage_of(proxyd);
  for (Process* application : active) application->send("run random-32 1 " + std::to_string(duration.count()));
  double operations = 0;
  for (Process* application : active) {
    std::istringstream answer(application->answer());
    double its = 0;
    answer >> its;
    operations += its;
  }
  if (operations == 0) throw std::runtime_error("the active applications did nothing");
  return (usage_of(proxyd).cpu_ns - before.cpu_ns) / operations;
}

}  // namespace

void measure_sessions(const BenchPaths& paths, const Crowds& crowds, Facts& facts) {
  Target target = Target::shim(paths);
  const pid_t proxyd = target.proxyd();
  target.client().ask("sessions 1");
  const double before = static_cast<double>(private_bytes(proxyd));
  target.client().ask("sessions " + std::to_string(crowds.sessions));
  facts.session_bytes = (static_cast<double>(private_bytes(proxyd)) - before) / crowds.sessions;
  target.client().ask("sessions-call");
  facts.sessions_held = crowds.sessions;
}

// The active ones are connected first, so that all rounds are theirs; the idle ones come in three steps.
void measure_applications(const BenchPaths& paths, const Crowds& crowds, Facts& facts) {
  Target target = Target::shim(paths);
  const pid_t proxyd = target.proxyd();
  std::vector<Process*> active;
  for (unsigned i = 0; i < crowds.active; ++i) {
    active.push_back(&target.add_client());
    active.back()->ask("open 1");
  }
  const auto measure = [&](unsigned idle) {
    std::vector<double> figures;
    for (unsigned round = 0; round < crowds.rounds; ++round)
      figures.push_back(cpu_per_call(target, active, crowds.round));
    facts.cpu_per_call[idle] = median(figures).value_or(0);
  };
  measure(0);
  const double before = static_cast<double>(private_bytes(proxyd));
  std::vector<Process*> idle;
  unsigned connected = 0;
  for (const unsigned wanted : std::array{crowds.applications / 100, crowds.applications / 10, crowds.applications}) {
    if (wanted <= connected) continue;
    idle.push_back(&target.add_client());
    idle.back()->ask("crowd " + std::to_string(wanted - connected));
    connected = wanted;
    if (connected == crowds.applications)
      facts.application_bytes = (static_cast<double>(private_bytes(proxyd)) - before) / connected;
    measure(connected);
  }
  for (Process* crowd : idle) crowd->ask("crowd-call");
  facts.applications_held = connected;
  for (Process* crowd : idle) crowd->ask("crowd-end");
}

}  // namespace p11shim

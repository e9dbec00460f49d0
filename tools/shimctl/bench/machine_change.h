// What the machine's own speed (machine_work.h) says of one report, and of two that are compared.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace p11shim {

// A machine that varies by less is taken for one speed.
inline constexpr double kLeastOfMachine = 0.05;
// What is said of a run whose slices' speeds (the 10th and the 90th of a hundred) are further apart.
inline constexpr double kVariesMuch = 0.1;
// Operations follow the machine's speed, but not exactly: this part of its change explains nothing and is no proof.
inline constexpr double kDoubtOfMachine = 0.3;

// environment.machine of a report with these tests; null if nothing was measured.
nlohmann::json machine_of(const nlohmann::json& tests);

// Whether both environments were measured with the same work.
bool same_work(const nlohmann::json& a, const nlohmann::json& b);

// Of each slice, in logarithms. Empty if the machine's speed is not known in all of them.
std::vector<double> log_machine(const nlohmann::json& test);

// The test as it would have been, had the work always taken `machine_ns`, had everything followed the machine, and had
// there always been a processor for it (of which the rate alone knows).
nlohmann::json without_machine(const nlohmann::json& test, double machine_ns);

struct MachineChange {
  double ratio = 1;  // of the times of the same work: above 1 is slower
  double low = 1;    // the interval at alpha
  double high = 1;
  double p = 1;

  bool differs(double alpha) const;
  nlohmann::json to_json() const;
};
MachineChange machine_change(const std::vector<double>& a, const std::vector<double>& b, double alpha);

// Sets machine.text of p11shim.bench.compare/1, for reports with these names: "the machine itself was 28 % slower in
// b.json", or null if there is nothing to say.
void describe_machine(nlohmann::json& comparison, const std::string& a, const std::string& b);

}  // namespace p11shim

#include "tools/shimctl/bench/machine_change.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "tools/shimctl/bench/machine_work.h"
#include "tools/shimctl/bench/statistics.h"

namespace p11shim {

using nlohmann::json;

namespace {

constexpr double kShortestBusy = 1e-3;  // part of the time, of who does nothing but wait

void scale(json& object, const char* key, double factor) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_number()) *found = found->get<double>() * factor;
}

void scale_latency(json& latency, double factor) {
  if (!latency.is_object()) return;
  for (auto& entry : latency["percentiles"]) {
    for (const char* key : {"ns", "low_ns", "high_ns"}) scale(entry, key, factor);
  }
}

std::string percent(double value) {
  std::ostringstream text;
  text.precision(value < 10 ? 2 : 3);
  text << value << " %";
  return text.str();
}

}  // namespace

json machine_of(const json& tests) {
  std::vector<double> times;
  for (const auto& test : tests) {
    for (const double each : log_machine(test)) times.push_back(std::exp(each));
  }
  if (times.empty()) return nullptr;
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))];
  };
  return {{"work", MachineWork::name()},
          {"median_ns", median_of(times)},
          {"p10_ns", at(0.1)},
          {"p90_ns", at(0.9)},
          {"varied_percent", 100 * (at(0.9) / at(0.1) - 1)},
          {"slices", times.size()}};
}

bool same_work(const json& a, const json& b) {
  const auto work = [](const json& environment) {
    const json machine = environment.value("machine", json());
    return machine.is_object() ? machine["work"] : json();
  };
  return !work(a).is_null() && work(a) == work(b);
}

std::vector<double> log_machine(const json& test) {
  std::vector<double> times;
  if (!test.contains("slices")) return times;
  for (const auto& slice : test["slices"]) {
    const json time = slice.value("machine_ns", json());
    if (!time.is_number() || !(time.get<double>() > 0)) return {};
    times.push_back(std::log(time.get<double>()));
  }
  return times;
}

json without_machine(const json& test, double machine_ns) {
  json steady = test;
  double measured = 0;
  double steadied = 0;
  std::vector<double> factors;
  for (auto& slice : steady["slices"]) {
    const double factor = machine_ns / slice["machine_ns"].get<double>();
    factors.push_back(factor);
    const double busy_s = slice.value("busy_s", 0.0);
    measured += busy_s;
    if (busy_s > 0) slice["busy_s"] = std::max(busy_s - slice.value("waited_s", 0.0), kShortestBusy * busy_s);
    for (const char* key : {"median_ns", "max_ns", "busy_s"}) scale(slice, key, factor);
    scale(slice, "rate", 1 / factor);
    steadied += slice.value("busy_s", 0.0);
  }
  if (steadied > 0) scale(steady["rate"], "per_second", measured / steadied);
  const double middle = geometric_mean(factors);
  for (const char* key : {"latency", "response"}) scale_latency(steady[key], middle);
  return steady;
}

bool MachineChange::differs(double alpha) const { return p < alpha && std::abs(ratio - 1) >= kLeastOfMachine; }

json MachineChange::to_json() const { return {{"ratio", ratio}, {"low", low}, {"high", high}, {"p", p}}; }

MachineChange machine_change(const std::vector<double>& a, const std::vector<double>& b, double alpha) {
  const Difference found = separate_difference(a, b, alpha);
  return {.ratio = std::exp(found.value),
          .low = std::exp(found.value - found.half_width),
          .high = std::exp(found.value + found.half_width),
          .p = found.p};
}

void describe_machine(json& comparison, const std::string& a, const std::string& b) {
  json& machine = comparison["machine"];
  if (machine.is_null()) return;
  machine["text"] = nullptr;
  const double ratio = machine["ratio"];
  if (machine["differs"] == true) {
    machine["text"] = "the machine itself was " + percent(100 * std::abs(ratio - 1)) +
                      (ratio > 1 ? " slower" : " faster") + " in " + b;
    return;
  }
  std::string text;
  for (const auto& [key, name] : {std::pair("varied_a_percent", a), std::pair("varied_b_percent", b)}) {
    const double varied = machine[key];
    if (varied <= 100 * kVariesMuch) continue;
    text += (text.empty() ? "the machine itself varied by " : ", by ") + percent(varied) + " during " + name;
  }
  if (!text.empty()) machine["text"] = text;
}

}  // namespace p11shim

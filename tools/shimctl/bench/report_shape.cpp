#include "tools/shimctl/bench/report_shape.h"

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "proxyd/stats/histogram.h"

namespace p11shim {

using nlohmann::json;

namespace {

enum Kind : unsigned {
  kNull = 1,
  kNumber = 2,
  kCount = 4,  // a number without sign or fraction
  kText = 8,
  kBoolean = 16,
  kObject = 32,
  kArray = 64,
};

struct Field {
  const char* name;
  unsigned kinds;
};

bool is(const json& value, unsigned kinds) {
  return ((kinds & kNull) != 0 && value.is_null()) || ((kinds & kNumber) != 0 && value.is_number()) ||
         ((kinds & kCount) != 0 && value.is_number_unsigned()) || ((kinds & kText) != 0 && value.is_string()) ||
         ((kinds & kBoolean) != 0 && value.is_boolean()) || ((kinds & kObject) != 0 && value.is_object()) ||
         ((kinds & kArray) != 0 && value.is_array());
}

void need(const json& object, const std::string& where, std::initializer_list<Field> fields) {
  if (!object.is_object()) throw std::invalid_argument(where + " is a " + object.type_name() + ", not an object");
  for (const auto& [name, kinds] : fields) {
    const auto found = object.find(name);
    if (found == object.end()) throw std::invalid_argument(where + "." + name + " is missing");
    if (!is(*found, kinds))
      throw std::invalid_argument(where + "." + name + " is a " + found->type_name() + ", which it cannot be");
  }
}

template <typename Check>
void each(const json& array, const std::string& where, Check&& check) {
  for (std::size_t i = 0; i < array.size(); ++i) check(array[i], where + "[" + std::to_string(i) + "]");
}

void need_latency(const json& latency, const std::string& where) {
  need(latency, where, {{"count", kCount}, {"max_ns", kNumber}, {"percentiles", kArray}, {"raw", kObject}});
  each(latency["percentiles"], where + ".percentiles", [](const json& entry, const std::string& at) {
    need(entry, at, {{"percent", kNumber}, {"ns", kNumber}, {"low_ns", kNumber | kNull}, {"high_ns", kNumber | kNull}});
  });
  try {
    Histogram::from_raw(latency["raw"]);
  } catch (const std::exception&) {
    throw std::invalid_argument(where + ".raw is no histogram");
  }
}

void need_measured(const json& test, const std::string& where) {
  need(test, where,
       {{"count", kCount},
        {"failed", kCount},
        {"wrong", kCount},
        {"errors", kObject},
        {"threads", kCount},
        {"rate", kObject},
        {"latency", kObject},
        {"response", kObject | kNull},
        {"slices", kArray},
        {"noise", kObject | kNull}});
  need(test["rate"], where + ".rate", {{"per_second", kNumber}, {"low", kNumber | kNull}, {"high", kNumber | kNull}});
  need_latency(test["latency"], where + ".latency");
  if (!test["response"].is_null()) need_latency(test["response"], where + ".response");
  if (!test["noise"].is_null()) need(test["noise"], where + ".noise", {{"too_noisy", kBoolean}});
  each(test["slices"], where + ".slices", [](const json& slice, const std::string& at) {
    need(slice, at,
         {{"start_s", kNumber},
          {"seconds", kNumber},
          {"count", kCount},
          {"rate", kNumber},
          {"median_ns", kNumber | kNull},
          {"p90_ns", kNumber | kNull},
          {"p99_ns", kNumber | kNull},
          {"max_ns", kNumber | kNull}});
    if (slice.contains("busy_s")) need(slice, at, {{"busy_s", kNumber}});
    if (slice.contains("waited_s")) need(slice, at, {{"waited_s", kNumber}});
    if (slice.contains("machine_ns")) need(slice, at, {{"machine_ns", kNumber | kNull}});
    if (slice["count"] != 0) need(slice, at, {{"median_ns", kNumber}, {"max_ns", kNumber}});
  });
}

void need_test(const json& test, const std::string& where) {
  need(test, where,
       {{"name", kText},
        {"data_size", kCount | kNull},
        {"side", kText | kNull},
        {"status", kText},
        {"reason", kText | kNull},
        {"comparison", kObject | kNull}});
  if (!test["comparison"].is_null()) {
    need(test["comparison"], where + ".comparison",
         {{"ratio", kNumber}, {"low", kNumber}, {"high", kNumber}, {"verdict", kText}});
  }
  if (test.contains("latency")) need_measured(test, where);
}

void need_machine(const json& machine) {
  if (machine.is_null()) return;
  need(
      machine, "data.environment.machine",
      {{"work", kText}, {"median_ns", kNumber}, {"p10_ns", kNumber}, {"p90_ns", kNumber}, {"varied_percent", kNumber}});
}

void need_stress(const json& stress) {
  const std::string where = "data.stress";
  need(stress, where, {{"intervals", kArray}, {"trends", kObject}});
  each(stress["intervals"], where + ".intervals", [](const json& each, const std::string& at) {
    need(each, at,
         {{"start_s", kNumber},
          {"seconds", kNumber},
          {"errors", kCount},
          {"rate", kNumber},
          {"median_ns", kNumber | kNull},
          {"p99_ns", kNumber | kNull},
          {"max_ns", kNumber | kNull},
          {"cpu", kNumber},
          {"rss_bytes", kNumber},
          {"temperature", kNumber | kNull}});
  });
  for (const auto& [name, trend] : stress["trends"].items()) {
    if (trend.is_null()) continue;
    need(trend, where + ".trends." + name,
         {{"per_second", kNumber}, {"change_percent", kNumber}, {"p", kNumber}, {"verdict", kText}});
  }
}

}  // namespace

std::string report_flaw(const json& document) {
  try {
    need(document, "the document", {{"data", kObject}});
    const json& data = document["data"];
    need(data, "data",
         {{"complete", kBoolean},
          {"interrupted_by", kText | kNull},
          {"settings", kObject},
          {"environment", kObject},
          {"tests", kArray}});
    need(data["environment"], "data.environment", {{"modules", kArray}});
    if (data["environment"].contains("machine")) need_machine(data["environment"]["machine"]);
    each(data["environment"]["modules"], "data.environment.modules", [](const json& module, const std::string& at) {
      need(module, at,
           {{"side", kText},
            {"path", kText},
            {"library", kText},
            {"library_version", kText},
            {"token", kText},
            {"token_model", kText},
            {"firmware_version", kText}});
    });
    each(data["tests"], "data.tests", need_test);
    if (data.contains("stress")) need_stress(data["stress"]);
  } catch (const std::invalid_argument& flaw) {
    return flaw.what();
  }
  return {};
}

}  // namespace p11shim

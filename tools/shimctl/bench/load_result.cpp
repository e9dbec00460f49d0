#include "tools/shimctl/bench/load_result.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace p11shim {

using nlohmann::json;

namespace {

json lane_json(const LaneRecord& lane) {
  return {{"service", lane.service.raw()},
          {"response", lane.response.raw()},
          {"busy_ns", lane.busy_ns},
          {"waited_ns", lane.waited_ns},
          {"errors", lane.errors}};
}

LaneRecord lane_in(const json& text) {
  return {.service = Histogram::from_raw(text.at("service")),
          .response = Histogram::from_raw(text.at("response")),
          .busy_ns = text.at("busy_ns"),
          .waited_ns = text.at("waited_ns"),
          .errors = text.at("errors")};
}

}  // namespace

void LaneRecord::merge(const LaneRecord& other) {
  service.merge(other.service);
  response.merge(other.response);
  busy_ns += other.busy_ns;
  waited_ns += other.waited_ns;
  errors += other.errors;
}

void LoadResult::merge(const LoadResult& other) {
  for (std::size_t i = 0; i < other.slices.size(); ++i) {
    if (i == slices.size()) {
      slices.push_back(other.slices[i]);
      continue;
    }
    slices[i].seconds = std::max(slices[i].seconds, other.slices[i].seconds);
    auto& machine_ns = slices[i].machine_ns;
    machine_ns.insert(machine_ns.end(), other.slices[i].machine_ns.begin(), other.slices[i].machine_ns.end());
    for (std::size_t lane = 0; lane < slices[i].lanes.size(); ++lane)
      slices[i].lanes[lane].merge(other.slices[i].lanes.at(lane));
  }
  threads.insert(threads.end(), other.threads.begin(), other.threads.end());
  for (std::size_t lane = 0; lane < errors.size(); ++lane) {
    for (const auto& [rv, count] : other.errors.at(lane)) errors[lane][rv] += count;
    wrong[lane] += other.wrong.at(lane);
    ran[lane].count += other.ran.at(lane).count;
    ran[lane].ns += other.ran.at(lane).ns;
  }
  checked += other.checked;
  if (first_wrong.empty()) first_wrong = other.first_wrong;
  not_begun += other.not_begun;
  warmup_s = std::max(warmup_s, other.warmup_s);
  steady = steady && other.steady;
  gave_up = gave_up && other.gave_up;
  interrupted = interrupted || other.interrupted;
}

json LoadResult::to_json() const {
  json text{{"slices", json::array()}, {"threads", json::array()},   {"errors", json::array()},
            {"wrong", wrong},          {"checked", checked},         {"first_wrong", first_wrong},
            {"not_begun", not_begun},  {"warmup_s", warmup_s},       {"steady", steady},
            {"gave_up", gave_up},      {"interrupted", interrupted}, {"ran", json::array()}};
  for (const auto& slice : slices) {
    json lanes = json::array();
    for (const auto& lane : slice.lanes) lanes.push_back(lane_json(lane));
    text["slices"].push_back({{"start_s", slice.start_s},
                              {"seconds", slice.seconds},
                              {"lanes", std::move(lanes)},
                              {"machine_ns", slice.machine_ns}});
  }
  for (const auto& thread : threads)
    text["threads"].push_back({thread.count, thread.errors, thread.busy_ns, thread.sum_ns});
  for (const auto& of_lane : ran) text["ran"].push_back({of_lane.count, of_lane.ns});
  for (const auto& of_lane : errors) {
    json counts = json::array();
    for (const auto& [rv, count] : of_lane) counts.push_back({rv, count});
    text["errors"].push_back(std::move(counts));
  }
  return text;
}

LoadResult LoadResult::from_json(const json& text) {
  LoadResult result;
  for (const auto& slice : text.at("slices")) {
    LoadSlice one{.start_s = slice.at("start_s"), .seconds = slice.at("seconds")};
    for (const auto& lane : slice.at("lanes")) one.lanes.push_back(lane_in(lane));
    one.machine_ns = slice.at("machine_ns").get<std::vector<double>>();
    result.slices.push_back(std::move(one));
  }
  for (const auto& thread : text.at("threads"))
    result.threads.push_back(
        {.count = thread.at(0), .errors = thread.at(1), .busy_ns = thread.at(2), .sum_ns = thread.at(3)});
  for (const auto& counts : text.at("errors")) {
    auto& of_lane = result.errors.emplace_back();
    for (const auto& entry : counts) of_lane[entry.at(0).get<CK_RV>()] = entry.at(1);
  }
  for (const auto& of_lane : text.at("ran")) result.ran.push_back({.count = of_lane.at(0), .ns = of_lane.at(1)});
  result.wrong = text.at("wrong").get<std::vector<std::uint64_t>>();
  result.checked = text.at("checked");
  result.first_wrong = text.at("first_wrong");
  result.not_begun = text.at("not_begun");
  result.warmup_s = text.at("warmup_s");
  result.steady = text.at("steady");
  result.gave_up = text.at("gave_up");
  result.interrupted = text.at("interrupted");
  return result;
}

}  // namespace p11shim

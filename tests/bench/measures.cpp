#include "measures.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "workload.h"

namespace p11shim {
namespace {

constexpr unsigned kManyThreads = 8;
constexpr unsigned kMoreThreads = 32;

// Answered in the application's process as a rule.
constexpr const char* kLocal[] = {"session-info", "mechanism-info", "token-info",
                                  "slot-list",    "get-attributes", "open-close"};

// The cheapest call that must go all the way to the module and back.
constexpr char kRoundTrip[] = "random-32";

// One key among many by its label, and what it is.
constexpr char kSearch[] = "find-and-read";

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[200];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

const char* ours_in(Placement placement) { return placement == Placement::kTwoCores ? "shim-spin" : "shim"; }

std::string place(const Cell& cell) {
  return format("%u thread%s, %s", cell.threads, cell.threads == 1 ? "" : "s",
                std::string(placement_name(cell.placement)).c_str());
}

Measure round_trip(Placement placement) {
  const Cell cell{placement, kRoundTrip, 1};
  return {"round trip, " + place(cell), "<= 2.8 x raw ping-pong",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.latency_ratio(cell, "shim", "echo");
            if (!ratio) return std::nullopt;
            return Outcome{
                format("%.2f x (%.1f us, raw %.1f us)", *ratio, results.latency_ns(cell, "shim").value_or(0) / 1e3,
                       results.latency_ns(cell, "echo").value_or(0) / 1e3),
                *ratio <= 2.8, *ratio};
          }};
}

// p11-kit cannot carry AES-CBC's parameter: there its AES-ECB of the same size stands in, which is the faster
// of the two.
Cell peer_of(Cell cell) {
  if (const std::size_t mode = cell.workload.find("cbc"); mode != std::string::npos) {
    cell.workload.replace(mode, 3, "ecb");
  }
  return cell;
}

Measure throughput(std::string_view workload) {
  const Cell cell{Placement::kFree, std::string(workload), kManyThreads};
  return {
      "throughput, 8 threads, " + cell.workload, ">= 2 x p11-kit or >= 0.7 x direct",
      [cell](const Results& results) -> std::optional<Outcome> {
        const auto direct = results.throughput_ratio(cell, "shim", "direct");
        const auto ours = results.throughput(cell, "shim");
        if (!direct || !ours) return std::nullopt;
        const auto theirs = results.throughput(peer_of(cell), "p11-kit");
        const double peer = results.throughput_ratio(cell, "shim", "p11-kit").value_or(theirs ? *ours / *theirs : 0);
        return Outcome{format("%.2f x p11-kit, %.2f x direct", peer, *direct), *direct >= 0.7 || peer >= 2.0, *direct};
      }};
}

// Without shared memory: what a program gets that is configured so, and what a network could carry. A limit of 0: printed.
Measure by_socket(const char* workload, unsigned threads, double least) {
  const Cell cell{Placement::kFree, workload, threads};
  return {format("throughput over sockets, %u threads, %s", threads, workload),
          least == 0 ? kPrinted : format(">= %.2f x direct", least),
          [cell, least](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.throughput_ratio(cell, "shim-socket", "direct");
            if (!ratio) return std::nullopt;
            return Outcome{format("%.2f x direct", *ratio), *ratio >= least, *ratio};
          }};
}

Measure of_direct(const char* workload, unsigned threads, double least, bool beats_peer) {
  const Cell cell{Placement::kFree, workload, threads};
  return {format("throughput, %u thread%s, %s", threads, threads == 1 ? "" : "s", workload),
          format(">= %.2f x direct%s", least, beats_peer ? ", >= p11-kit" : ""),
          [cell, least, beats_peer](const Results& results) -> std::optional<Outcome> {
            const auto direct = results.throughput_ratio(cell, "shim", "direct");
            if (!direct) return std::nullopt;
            const auto peer = results.throughput_ratio(cell, "shim", "p11-kit");
            return Outcome{format("%.2f x direct, %.2f x p11-kit", *direct, peer.value_or(0)),
                           *direct >= least && (!beats_peer || peer.value_or(1) >= 1), *direct};
          }};
}

// What a proxy adds to the time that the module itself takes, over what the peer adds. A limit of 0: printed.
Measure added(const char* workload, Placement placement, double limit) {
  const Cell cell{placement, workload, 1};
  return {"added time, " + place(cell) + ", " + cell.workload,
          limit == 0 ? kPrinted : format("<= %.2f x p11-kit's", limit),
          [cell, limit](const Results& results) -> std::optional<Outcome> {
            const auto direct = results.latency_ns(cell, "direct");
            const auto ours = results.latency_ns(cell, ours_in(cell.placement));
            const auto theirs = results.latency_ns(cell, "p11-kit");
            const auto ratio = results.added_ratio(cell, ours_in(cell.placement), "p11-kit", "direct");
            if (!direct || !ours || !theirs || !ratio) return std::nullopt;
            return Outcome{format("%.2f x (%.1f us, p11-kit %.1f us, the module itself %.1f us)", *ratio,
                                  (*ours - *direct) / 1e3, (*theirs - *direct) / 1e3, *direct / 1e3),
                           *ratio <= limit, *ratio};
          }};
}

// The same where the module takes so long that its own noise would hide it: counted by a stopwatch around the module.
Measure added_around(const char* workload, double limit) {
  const std::string name = workload;
  return {"added time, 1 thread, one core, " + name, format("<= %.2f x p11-kit's", limit),
          [name, limit](const Results& results) -> std::optional<Outcome> {
            const Facts& facts = results.facts();
            const auto ratio = facts.added_over_peer.find(name);
            if (ratio == facts.added_over_peer.end()) return std::nullopt;
            return Outcome{format("%.2f x (%.1f us, the module itself %.1f us)", ratio->second,
                                  facts.added_ns.at(name) / 1e3, facts.inside_ns.at(name) / 1e3),
                           ratio->second <= limit, ratio->second};
          }};
}

Measure of_peer(const char* workload, Placement placement, double limit) {
  const Cell cell{placement, workload, 1};
  return {"time, " + place(cell) + ", " + cell.workload, format("<= %.2f x p11-kit", limit),
          [cell, limit](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.latency_ratio(cell, ours_in(cell.placement), "p11-kit");
            if (!ratio) return std::nullopt;
            return Outcome{format("%.2f x (%.1f us, p11-kit %.1f us)", *ratio,
                                  results.latency_ns(cell, ours_in(cell.placement)).value_or(0) / 1e3,
                                  results.latency_ns(cell, "p11-kit").value_or(0) / 1e3),
                           *ratio <= limit, *ratio};
          }};
}

// What a caller gets in a second, slow calls included, where the median leaves them out.
Measure mean_of_peer(const char* workload, Placement placement) {
  const Cell cell{placement, workload, 1};
  return {"mean time, " + place(cell) + ", " + cell.workload, kPrinted,
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.throughput_ratio(cell, "p11-kit", ours_in(cell.placement));
            const auto ours = results.throughput(cell, ours_in(cell.placement));
            const auto theirs = results.throughput(cell, "p11-kit");
            if (!ratio || !ours || !theirs) return std::nullopt;
            return Outcome{format("%.2f x p11-kit (%.1f us, p11-kit %.1f us)", *ratio, 1e6 / *ours, 1e6 / *theirs),
                           true, *ratio};
          }};
}

Measure small_calls() {
  const Cell cell{Placement::kFree, kRoundTrip, kManyThreads};
  return {"small calls, " + place(cell), ">= 0.7 x one-loop echo, >= 4 x p11-kit",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto echo = results.throughput_ratio(cell, "shim", "echo-loop");
            const auto peer = results.throughput_ratio(cell, "shim", "p11-kit");
            if (!echo || !peer) return std::nullopt;
            return Outcome{format("%.2f x echo, %.2f x p11-kit", *echo, *peer), *echo >= 0.7 && *peer >= 4, *echo};
          }};
}

Measure second_peer(const char* workload, unsigned threads) {
  const Cell cell{Placement::kFree, workload, threads};
  return {"throughput over caml-crush, " + place(cell) + ", " + cell.workload, ">= 1 x",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.throughput_ratio(cell, "shim", "caml-crush");
            if (!ratio) return std::nullopt;
            return Outcome{format("%.2f x", *ratio), *ratio >= 1, *ratio};
          }};
}

Measure local(const char* workload) {
  const Cell cell{Placement::kOneCore, workload, 1};
  return {"time, " + place(cell) + ", " + cell.workload, "<= 2 us or <= 0.2 x p11-kit",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ours = results.latency_ns(cell, "shim");
            if (!ours) return std::nullopt;
            const auto peer = results.latency_ratio(cell, "shim", "p11-kit");
            return Outcome{format("%.2f us, %.3f x p11-kit", *ours / 1e3, peer.value_or(0)),
                           *ours <= 2000 || (peer && *peer <= 0.2), *ours / 1e3};
          }};
}

Measure network(const char* workload) {
  const std::string name = workload;
  return {"over TCP, 1 ms of round trip, " + name, "<= 1.15 round trips",
          [name](const Results& results) -> std::optional<Outcome> {
            const auto found = results.facts().round_trips.find(name);
            if (found == results.facts().round_trips.end()) return std::nullopt;
            return Outcome{format("%.2f (%.2f ms)", found->second, results.facts().remote_time_ns.at(name) / 1e6),
                           found->second <= 1.15, found->second};
          }};
}

Measure idle_beside_active() {
  return {"proxyd CPU per call beside idle applications", "flat within 20 %",
          [](const Results& results) -> std::optional<Outcome> {
            const auto& figures = results.facts().cpu_per_call;
            if (figures.size() < 2 || figures.begin()->second <= 0) return std::nullopt;
            std::string text;
            for (const auto& [idle, ns] : figures)
              text += format("%s%u: %.1f us", text.empty() ? "" : ", ", idle, ns / 1e3);
            const double ratio = figures.rbegin()->second / figures.begin()->second;
            return Outcome{text + format("; %.2f x", ratio), ratio <= 1.2, ratio};
          }};
}

// A figure of Facts with a limit.
Measure fact(const char* name, const char* target, std::optional<double> Facts::*fact, const char* pattern, double unit,
             double most) {
  return {name, target, [=](const Results& results) -> std::optional<Outcome> {
            const auto value = results.facts().*fact;
            if (!value) return std::nullopt;
            return Outcome{format(pattern, *value / unit), *value <= most, *value / unit};
          }};
}

Measure held(const char* name, const char* target, std::optional<double> Facts::*fact, double least) {
  return {name, target, [=](const Results& results) -> std::optional<Outcome> {
            const auto value = results.facts().*fact;
            if (!value) return std::nullopt;
            return Outcome{format("%.0f", *value), *value >= least, *value};
          }};
}

Measure start() {
  return {"C_Initialize to an open session", "<= 0.3 ms", [](const Results& results) -> std::optional<Outcome> {
            const auto shim = results.facts().start_shim_ns;
            if (!shim) return std::nullopt;
            const double peer = results.facts().start_p11_kit_ns.value_or(0);
            return Outcome{format("%.2f ms (p11-kit %.2f ms)", *shim / 1e6, peer / 1e6), *shim <= 0.3e6, *shim / 1e6};
          }};
}

}  // namespace

std::vector<Measure> all_measures() {
  using enum Placement;
  std::vector<Measure> measures{
      added("ecdsa-logical", kOneCore, 0.3),
      added("ecdsa-logical", kTwoCores, 0.2),
      added("ecdsa-logical", kFree, 0),
      fact("first use of a key, ecdsa-logical", kPrinted, &Facts::first_use_ns, "%.0f us", 1e3, 0),
      of_peer(kRoundTrip, kOneCore, 1.0),
      of_peer(kRoundTrip, kTwoCores, 0.3),
      mean_of_peer(kRoundTrip, kOneCore),
      mean_of_peer(kRoundTrip, kTwoCores),
      small_calls(),
      of_peer("aes-ecb-64k", kOneCore, 0.5),
      of_peer("aes-ecb-1m", kOneCore, 0.33),
      added_around(kSearch, 0.25),
  };
  for (const char* workload : kLocal) measures.push_back(local(workload));
  for (const char* workload : {"ecdsa-logical", kSearch, kRoundTrip}) measures.push_back(network(workload));
  for (const unsigned threads : {kManyThreads, kMoreThreads}) {
    measures.push_back(of_direct("rsa-2048", threads, 0.97, true));
    measures.push_back(of_direct("ecdsa-p256", threads, 0.75, true));
    measures.push_back(by_socket("rsa-2048", threads, 0.95));
    measures.push_back(by_socket("ecdsa-p256", threads, 0));
  }
  measures.push_back(of_direct("aes-cbc-1m", 1, 0.8, false));
  measures.push_back(second_peer("ecdsa-p256", 1));
  measures.push_back(second_peer("ecdsa-p256", kManyThreads));
  measures.push_back(idle_beside_active());
  measures.push_back(held("connected applications held", "10000", &Facts::applications_held, 10'000));
  measures.push_back(held("virtual sessions held", "100000", &Facts::sessions_held, 100'000));
  measures.push_back(
      fact("idle application in proxyd", "<= 32 KiB", &Facts::application_bytes, "%.1f KiB", 1024, 32 * 1024));
  measures.push_back(fact("idle virtual session", "<= 1 KiB", &Facts::session_bytes, "%.2f KiB", 1024, 1024));
  measures.push_back(start());
  measures.push_back(round_trip(kOneCore));
  measures.push_back(round_trip(kTwoCores));
  for (const Workload& workload : kWorkloads) measures.push_back(throughput(workload.name));
  return measures;
}

bool is_round_trip(const Cell& cell) { return cell.workload == kRoundTrip; }

bool decides(const Cell& cell) {
  const auto is_one_of = [&](std::initializer_list<const char*> workloads) {
    return std::any_of(workloads.begin(), workloads.end(), [&](const char* name) { return cell.workload == name; });
  };
  if (cell.placement == Placement::kFree)
    return cell.threads == kManyThreads || (cell.threads == kMoreThreads && is_one_of({"rsa-2048", "ecdsa-p256"}));
  if (cell.threads != 1) return false;
  if (is_one_of({kRoundTrip, "ecdsa-logical"})) return true;
  return cell.placement == Placement::kOneCore &&
         (is_one_of({"aes-ecb-64k", "aes-ecb-1m"}) ||
          std::any_of(std::begin(kLocal), std::end(kLocal), [&](const char* name) { return cell.workload == name; }));
}

}  // namespace p11shim

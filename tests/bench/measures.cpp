#include "measures.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "workload.h"

namespace p11shim {
namespace {

constexpr double kRoundTripLimit = 2.8;
constexpr double kOverPeer = 2.0;
constexpr double kOfDirect = 0.7;
constexpr double kRsaOfDirect = 0.93;
constexpr double kApplicationLimit = 32 * 1024;
constexpr double kSessionLimit = 1024;
constexpr double kApplications = 2000;
constexpr double kStartLimitNs = 0.3e6;
constexpr unsigned kManyThreads = 8;
constexpr double kSignAdded = 0.3;
constexpr double kFindAdded = 0.25;
constexpr double kLocalNs = 2000;
constexpr double kLocalOfPeer = 0.2;

// Answered in the application's process as a rule.
constexpr const char* kLocal[] = {"session-info", "mechanism-info", "get-attributes", "open-close"};
// One logical operation each, whatever the number of calls.
constexpr const char* kLogical[] = {"ecdsa-logical", "find-and-read"};

// The cheapest call that must go all the way to the module and back.
constexpr char kRoundTrip[] = "random-32";

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[160];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

Measure round_trip(Placement placement) {
  const Cell cell{placement, kRoundTrip, 1};
  return {"round trip, 1 thread, " + std::string(placement_name(placement)), "<= 2.8 x raw ping-pong",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ratio = results.latency_ratio(cell, "shim", "echo");
            if (!ratio) return std::nullopt;
            const std::string figure =
                format("%.2f x (%.1f us, raw %.1f us)", *ratio, results.latency_ns(cell, "shim").value_or(0) / 1e3,
                       results.latency_ns(cell, "echo").value_or(0) / 1e3);
            return Outcome{figure, *ratio <= kRoundTripLimit};
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
  return {"throughput, 8 threads, " + cell.workload, ">= 2 x p11-kit or >= 0.7 x direct",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto direct = results.throughput_ratio(cell, "shim", "direct");
            const auto ours = results.throughput(cell, "shim");
            if (!direct || !ours) return std::nullopt;
            const auto theirs = results.throughput(peer_of(cell), "p11-kit");
            const double peer =
                results.throughput_ratio(cell, "shim", "p11-kit").value_or(theirs ? *ours / *theirs : 0);
            return Outcome{format("%.2f x p11-kit, %.2f x direct", peer, *direct),
                           *direct >= kOfDirect || peer >= kOverPeer};
          }};
}

Measure rsa() {
  const Cell cell{Placement::kFree, "rsa-2048", kManyThreads};
  return {"RSA-2048 signatures, 8 threads", ">= 0.93 x direct",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto direct = results.throughput_ratio(cell, "shim", "direct");
            if (!direct) return std::nullopt;
            const double peer = results.throughput_ratio(cell, "p11-kit", "direct").value_or(0);
            return Outcome{format("%.2f x direct (p11-kit %.2f)", *direct, peer), *direct >= kRsaOfDirect};
          }};
}

// What a proxy adds to the time that the module itself takes, over what the peer adds.
Measure added(const char* workload, double limit) {
  const Cell cell{Placement::kOneCore, workload, 1};
  return {"added time, 1 thread, one core, " + cell.workload, format("<= %.2f x p11-kit's", limit),
          [cell, limit](const Results& results) -> std::optional<Outcome> {
            const auto direct = results.latency_ns(cell, "direct");
            const auto ours = results.latency_ns(cell, "shim");
            const auto theirs = results.latency_ns(cell, "p11-kit");
            if (!direct || !ours || !theirs || *theirs <= *direct) return std::nullopt;
            const double ratio = (*ours - *direct) / (*theirs - *direct);
            return Outcome{format("%.2f x (%.1f us, p11-kit %.1f us, the module itself %.1f us)", ratio,
                                  (*ours - *direct) / 1e3, (*theirs - *direct) / 1e3, *direct / 1e3),
                           ratio <= limit};
          }};
}

Measure local(const char* workload) {
  const Cell cell{Placement::kOneCore, workload, 1};
  return {"time, 1 thread, one core, " + cell.workload, "<= 2 us or <= 0.2 x p11-kit",
          [cell](const Results& results) -> std::optional<Outcome> {
            const auto ours = results.latency_ns(cell, "shim");
            if (!ours) return std::nullopt;
            const auto peer = results.latency_ratio(cell, "shim", "p11-kit");
            return Outcome{format("%.2f us, %.3f x p11-kit", *ours / 1e3, peer.value_or(0)),
                           *ours <= kLocalNs || (peer && *peer <= kLocalOfPeer)};
          }};
}

Measure application_memory() {
  return {"idle application in proxyd", "<= 32 KiB", [](const Results& results) -> std::optional<Outcome> {
            const auto bytes = results.facts().application_bytes;
            if (!bytes) return std::nullopt;
            return Outcome{format("%.1f KiB", *bytes / 1024), *bytes <= kApplicationLimit};
          }};
}

Measure session_memory() {
  return {"idle virtual session", "<= 1 KiB", [](const Results& results) -> std::optional<Outcome> {
            const auto bytes = results.facts().session_bytes;
            if (!bytes) return std::nullopt;
            return Outcome{format("%.2f KiB", *bytes / 1024), *bytes <= kSessionLimit};
          }};
}

Measure applications_held() {
  return {"connected applications held", "2000", [](const Results& results) -> std::optional<Outcome> {
            const auto held = results.facts().applications_held;
            if (!held) return std::nullopt;
            return Outcome{format("%.0f", *held), *held >= kApplications};
          }};
}

Measure start() {
  return {"C_Initialize to an open session", "<= 0.3 ms", [](const Results& results) -> std::optional<Outcome> {
            const auto shim = results.facts().start_shim_ns;
            if (!shim) return std::nullopt;
            const double peer = results.facts().start_p11_kit_ns.value_or(0);
            return Outcome{format("%.2f ms (p11-kit %.2f ms)", *shim / 1e6, peer / 1e6), *shim <= kStartLimitNs};
          }};
}

}  // namespace

std::vector<Measure> all_measures() {
  std::vector<Measure> measures{round_trip(Placement::kOneCore), round_trip(Placement::kTwoCores)};
  for (const Workload& workload : kWorkloads) measures.push_back(throughput(workload.name));
  measures.push_back(rsa());
  measures.push_back(added("ecdsa-logical", kSignAdded));
  measures.push_back(added("find-and-read", kFindAdded));
  for (const char* workload : kLocal) measures.push_back(local(workload));
  measures.push_back(application_memory());
  measures.push_back(session_memory());
  measures.push_back(applications_held());
  measures.push_back(start());
  return measures;
}

bool is_round_trip(const Cell& cell) { return cell.workload == kRoundTrip; }

bool decides(const Cell& cell) {
  if (cell.placement == Placement::kFree) return cell.threads == kManyThreads;
  if (cell.threads != 1) return false;
  const auto is_this = [&](const char* workload) { return cell.workload == workload; };
  return cell.workload == kRoundTrip ||
         (cell.placement == Placement::kOneCore && (std::any_of(std::begin(kLocal), std::end(kLocal), is_this) ||
                                                    std::any_of(std::begin(kLogical), std::end(kLogical), is_this)));
}

}  // namespace p11shim

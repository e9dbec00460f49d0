#include "measures.h"

#include <cstdio>

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
            const std::string figure = format("%.2f x (%.1f us, raw %.1f us)", *ratio,
                                              results.latency_ns(cell, "shim").value_or(0) / 1e3,
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
  return {
      "C_Initialize to an open session", "<= 0.3 ms", [](const Results& results) -> std::optional<Outcome> {
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
  measures.push_back(application_memory());
  measures.push_back(session_memory());
  measures.push_back(applications_held());
  measures.push_back(start());
  return measures;
}

bool decides(const Cell& cell) {
  if (cell.placement == Placement::kFree) return cell.threads == kManyThreads;
  return cell.threads == 1 && cell.workload == kRoundTrip;
}

}  // namespace p11shim

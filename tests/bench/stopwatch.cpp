#include "stopwatch.h"

#include <fstream>
#include <stdexcept>

namespace p11shim {
namespace {
constexpr char kInside[] = "inside";
}  // namespace

Stopwatch::Stopwatch(const BenchPaths& paths, const std::string& name) : paths_(paths) {
  static int number = 0;
  const auto folder = paths.folder / (name + "-stopwatch" + std::to_string(++number));
  std::filesystem::create_directory(folder);
  // A copy: whoever resolves links would find the counter of another target.
  paths_.module = folder / "libp11shim-stopwatch.so";
  std::filesystem::copy_file(paths.programs / "libp11shim-stopwatch.so", paths_.module);
  std::filesystem::create_symlink(paths.module, folder / "module");
  std::ofstream(folder / kInside, std::ios::binary).write("\0\0\0\0\0\0\0\0", sizeof(std::uint64_t));
}

std::uint64_t Stopwatch::inside_ns() const {
  std::uint64_t count = 0;
  std::ifstream file(paths_.module.parent_path() / kInside, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(&count), sizeof count)) throw std::runtime_error("the stopwatch is gone");
  return count;
}

Stopwatch::Split Stopwatch::run(Target& target, std::string_view workload, std::chrono::milliseconds duration) const {
  const std::uint64_t before = inside_ns();
  const Timing timing = target.run(workload, 1, duration);
  const double operations = static_cast<double>(std::max<std::uint64_t>(timing.operations, 1));
  const double inside = static_cast<double>(inside_ns() - before) / operations;
  return {inside, timing.mean_ns() - inside};
}

void measure_added(const BenchPaths& paths, const char* workload, std::chrono::milliseconds round, unsigned rounds,
                   bool with_peer, Facts& facts) {
  const Stopwatch our_watch(paths, "shim");
  const Stopwatch their_watch(paths, "p11-kit");
  Target ours = Target::shim(our_watch.paths());
  std::optional<Target> theirs;
  if (with_peer) theirs = Target::p11_kit(their_watch.paths());
  ours.open(1);
  ours.place(Placement::kOneCore);
  if (theirs) theirs->open(1), theirs->place(Placement::kOneCore);
  std::vector<double> ratios;
  std::vector<double> added;
  std::vector<double> inside;
  for (unsigned i = 0; i < rounds; ++i) {
    const auto our = our_watch.run(ours, workload, round);
    added.push_back(our.added_ns);
    inside.push_back(our.inside_ns);
    if (theirs) ratios.push_back(our.added_ns / their_watch.run(*theirs, workload, round).added_ns);
  }
  facts.added_ns[workload] = median(std::move(added)).value_or(0);
  facts.inside_ns[workload] = median(std::move(inside)).value_or(0);
  if (const auto ratio = median(std::move(ratios))) facts.added_over_peer[workload] = *ratio;
}

}  // namespace p11shim

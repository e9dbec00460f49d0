// walk: a seeded random walk over PKCS#11 on both sides, compared call by call.
//
//   walk --backend softhsm --seed 7 --steps 3000
//   walk --backend nss --seed 1 --steps 500 --threads 4
//   walk --backend softhsm --seed 7 --only 3,8,90        some steps of a walk, as a found difference prints them
//
// Exit status: 0 equal, 1 different, 77 the backend is not installed.
#include <sys/mman.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sstream>
#include <thread>

#include "compare/comparator.h"
#include "compare/token_calls.h"
#include "minimise.h"
#include "tests/places.h"

namespace {

using namespace p11shim::walk;
using p11shim::contract::CaseAborted;

constexpr int kSkipped = 77;
constexpr auto kPatience = std::chrono::seconds(60);

struct Options {
  std::string backend;
  std::string module;
  std::string build = p11shim::build_dir();
  std::string differences = p11shim::source_dir() + "/docs/differences.md";
  std::uint64_t seed = 1;
  std::uint64_t steps = 1000;
  std::vector<std::uint64_t> only;
  unsigned threads = 0;
  bool twice_direct = false;
  bool tcp = false;
  bool no_minimise = false;
  std::string save;  // transcripts, as FILE.direct and FILE.proxied, and FILE.log
};

void append(int from, int to) {
  char buffer[65536];
  lseek(from, 0, SEEK_SET);
  for (ssize_t got; (got = read(from, buffer, sizeof buffer)) > 0;)
    if (write(to, buffer, static_cast<std::size_t>(got)) != got) std::abort();
}

// Each thread writes its own transcript; they are put one after the other.
void walk_in_threads(Application& app, const Scene& scene, const Module& module, const Path& path, unsigned threads,
                     int fd) {
  const auto keep = app.start_logged_in();
  std::vector<int> transcripts;
  std::vector<std::thread> walkers;
  std::vector<std::string> failures(threads);
  for (unsigned i = 0; i < threads; ++i) {
    // A single one writes where it is read even after a crash.
    const int transcript_fd =
        transcripts.emplace_back(threads == 1 ? dup(fd) : memfd_create("transcript", MFD_CLOEXEC));
    walkers.emplace_back([&, i, transcript_fd] {
      TranscriptWriter transcript(transcript_fd);
      Application own(scene, module, transcript);
      own.slot = app.slot;
      own.other_slot = app.other_slot;
      Walker walker(own, false, "thread" + std::to_string(i) + "-");
      try {
        walker.walk({path.seed + 1000 * (i + 1), path.steps});
      } catch (const CaseAborted& aborted) {
        failures[i] = aborted.what();
      }
    });
  }
  for (std::thread& walker : walkers) walker.join();
  TranscriptWriter all(fd);
  for (unsigned i = 0; i < threads; ++i) {
    all.note("thread", i);
    if (threads > 1) append(transcripts[i], fd);
    close(transcripts[i]);
    if (!failures[i].empty()) all.note("failure", failures[i]);
  }
  app.close_session(keep);
  app.finalize();
}

ChildEnd run(const Side& side, const Options& options, const Path& path) {
  return side.run(
      [&](const Scene& scene, int fd) {
        TranscriptWriter transcript(fd);
        const Module module(scene.module);
        Application app(scene, module, transcript);
        if (options.threads > 0) return walk_in_threads(app, scene, module, path, options.threads, fd);
        app.start();
        Walker(app, true, "").walk(path);
        app.finalize();
      },
      std::chrono::seconds(300));
}

std::string warnings_of(const std::string& log) {
  std::istringstream lines(log);
  std::string warnings;
  for (std::string line; std::getline(lines, line);)
    if (line.find(" warn") != std::string::npos || line.find(" error") != std::string::npos) warnings += line + "\n";
  return warnings;
}

struct Result {
  std::vector<TranscriptLine> direct;
  std::vector<Difference> differences;
  std::string failure;
  std::string warnings;  // of proxyd
  bool equal() const { return differences.empty() && failure.empty(); }
};

class Pair {
 public:
  Pair(const Options& options, const FreshTokens& tokens)
      : options_(options),
        allowed_(AllowedDifferences::read(options.differences)),
        direct_(tokens, std::nullopt),
        proxied_(tokens, options.twice_direct ? std::nullopt
                                              : std::optional(ProxyPrograms{
                                                    std::filesystem::path(options.build) / "bin/proxyd",
                                                    std::filesystem::path(options.build) / "lib/libpkcs11-shim.so",
                                                    {},
                                                    options.tcp})) {}

  Result walk(const std::vector<std::uint64_t>& steps) const {
    const Path path{options_.seed, steps, !options_.tcp};
    const ChildEnd ours = run(direct_, options_, path), theirs = run(proxied_, options_, path);
    if (!options_.save.empty()) {
      std::ofstream(options_.save + ".direct") << ours.output;
      std::ofstream(options_.save + ".proxied") << theirs.output;
      std::ofstream(options_.save + ".log") << theirs.log;
    }
    Result result;
    result.direct = parse_transcript(ours.output);
    result.warnings = warnings_of(theirs.log);
    if (!ours.failure.empty()) result.failure = "directly: " + ours.failure;
    if (!theirs.failure.empty()) result.failure += "through the proxy: " + theirs.failure;
    result.differences = compare("walk", options_.backend, result.direct, parse_transcript(theirs.output), allowed_);
    return result;
  }

 private:
  const Options& options_;
  AllowedDifferences allowed_;
  Side direct_, proxied_;
};

std::uint64_t step_at(const std::vector<TranscriptLine>& lines, std::size_t line) {
  for (std::size_t i = std::min(line, lines.size()); i > 0; --i)
    if (lines[i - 1].call == "note" && lines[i - 1].out.contains("step")) return lines[i - 1].out["step"];
  return 0;
}

void print(const Result& result) {
  if (!result.failure.empty()) std::cout << result.failure << "\n";
  if (result.differences.empty()) return;
  std::cout << "step " << step_at(result.direct, result.differences[0].line) << ": "
            << explain(result.differences[0], result.direct) << result.warnings;
}

int search(const Options& options, const FreshTokens& tokens) {
  const Pair pair(options, tokens);
  if (options.tcp) std::cout << "over TCP nobody administers: every login is the user's\n";
  std::vector<std::uint64_t> steps = options.only;
  if (steps.empty()) {
    steps.resize(options.steps);
    std::iota(steps.begin(), steps.end(), 1);
  }
  Result result = pair.walk(steps);
  std::cout << options.backend << ", seed " << options.seed << ": " << steps.size() << " steps, "
            << result.direct.size() << " lines, " << (result.equal() ? "equal" : "different") << "\n";
  if (result.equal()) return 0;
  print(result);
  if (options.no_minimise || options.threads > 0 || result.differences.empty()) return 1;

  const std::uint64_t last = step_at(result.direct, result.differences[0].line);
  std::erase_if(steps, [&](std::uint64_t step) { return step > last; });
  steps = minimise(
      steps, [&](const auto& fewer) { return !pair.walk(fewer).differences.empty(); }, kPatience);
  result = pair.walk(steps);
  std::cout << "\nenough to see it: --seed " << options.seed << " --only ";
  for (std::size_t i = 0; i < steps.size(); ++i) std::cout << (i ? "," : "") << steps[i];
  std::cout << "\n";
  for (const TranscriptLine& line : result.direct)
    if (line.call != "note")
      std::cout << "    " << line.call << " " << line.in.dump().substr(0, 200) << " → " << line.rv << "\n";
  print(result);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Walks randomly over PKCS#11, directly and through the proxy, and compares");
  app.add_option("--backend", options.backend, "softhsm or nss")->required();
  app.add_option("--module", options.module, "the vendor's module; the distribution's by default");
  app.add_option("--build", options.build, "where bin/proxyd and lib/libpkcs11-shim.so are");
  app.add_option("--differences", options.differences, "the table of differences that may be");
  app.add_option("--seed", options.seed);
  app.add_option("--steps", options.steps);
  app.add_option("--only", options.only, "only these steps")->delimiter(',');
  app.add_option("--threads", options.threads, "this many walkers in one process");
  app.add_option("--save", options.save, "keep the transcripts and proxyd's log under this name");
  app.add_flag("--tcp", options.tcp, "reach the proxy over TCP; the security officer never logs in");
  app.add_flag("--twice-direct", options.twice_direct, "compare the module with itself");
  app.add_flag("--no-minimise", options.no_minimise);
  CLI11_PARSE(app, argc, argv);

  const auto backend = Backend::named(options.backend);
  if (!backend) {
    std::cerr << "no backend " << options.backend << ": softhsm or nss\n";
    return 2;
  }
  if (options.module.empty()) options.module = backend->module();
  if (options.module.empty()) {
    std::cerr << options.backend << " is not installed\n";
    return kSkipped;
  }
  try {
    const FreshTokens tokens(*backend, options.module);
    return search(options, tokens);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

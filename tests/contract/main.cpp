// contract_suite: does an application see the same through the shim and proxyd as on the module itself?
//
//   contract_suite --backend softhsm                        every case on both sides, compared
//   contract_suite --backend nss --case 'sign*' --verbose   some of them
//   contract_suite --backend softhsm --tcp                  the proxy is reached over TCP
//   contract_suite --backend softhsm --record FILE [--proxied] [--module PATH]
//   contract_suite --backend softhsm --compare FILE FILE
//
// Exit status: 0 equal, 1 different, 77 the backend is not installed.
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "over_tcp.h"
#include "suite.h"
#include "tests/places.h"

namespace {

using namespace p11shim::contract;

constexpr int kSkipped = 77;

struct Options {
  std::string backend;
  std::string module;
  std::string pattern = "*";
  std::string build = p11shim::build_dir();
  std::string differences = p11shim::source_dir() + "/docs/differences.md";
  std::string record;
  std::vector<std::string> compared;
  bool list = false;
  bool proxied = false;
  bool twice_direct = false;
  bool tcp = false;
  bool verbose = false;

  ProxyPrograms programs() const {
    return {
        std::filesystem::path(build) / "bin/proxyd", std::filesystem::path(build) / "lib/libpkcs11-shim.so", {}, tcp};
  }
};

std::vector<Case> chosen(const Options& options) {
  std::vector<Case> cases = all_cases();
  std::erase_if(cases, [&](const Case& test_case) {
    return fnmatch(options.pattern.c_str(), test_case.name, 0) != 0 ||
           (test_case.backend && test_case.backend != options.backend);
  });
  return cases;
}

int compare_files(const Options& options) {
  Verdict verdict(options.backend, AllowedDifferences::read(options.differences), std::cout);
  const auto direct = load_records(options.compared[0]);
  const auto proxied = load_records(options.compared[1]);
  for (const auto& [name, record] : direct) {
    auto other = proxied.find(name);
    verdict.judge(name, record, other == proxied.end() ? CaseRecord{} : other->second);
  }
  return verdict.conclude() ? 0 : 1;
}

int record(const Options& options, const FreshTokens& tokens) {
  const Side side(tokens, options.proxied ? std::optional(options.programs()) : std::nullopt);
  std::map<std::string, CaseRecord> records;
  for (const Case& test_case : chosen(options)) {
    CaseRecord& made = records[test_case.name] = run_case(test_case, side);
    if (!made.failure.empty()) std::cout << test_case.name << ": " << made.failure << "\n";
  }
  save_records(records, options.record);
  return 0;
}

int run_both(const Options& options, const FreshTokens& tokens) {
  const Side direct(tokens, std::nullopt);
  const Side proxied(tokens, options.twice_direct ? std::nullopt : std::optional(options.programs()));
  Verdict verdict(options.backend, AllowedDifferences::read(options.differences), std::cout);
  for (const Case& test_case : chosen(options)) {
    if (options.verbose) std::cout << test_case.name << std::endl;
    const CaseRecord ours = run_case(test_case, direct), theirs = run_case(test_case, proxied);
    const char* refused = options.tcp ? refused_over_tcp(test_case.name) : nullptr;
    if (refused != nullptr) verdict.judge_refused(test_case.name, refused, ours, theirs);
    else verdict.judge(test_case.name, ours, theirs);
  }
  if (options.pattern == "*" && !options.twice_direct && !options.tcp) verdict.report_unused_rows();
  return verdict.conclude() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Compares an application's view of a PKCS#11 module with its view through the proxy");
  app.add_option("--backend", options.backend, "softhsm or nss")->required();
  app.add_option("--module", options.module, "the vendor's module; the distribution's by default");
  app.add_option("--case", options.pattern, "only cases that match this shell pattern");
  app.add_option("--build", options.build, "where bin/proxyd and lib/libpkcs11-shim.so are");
  app.add_option("--differences", options.differences, "the table of differences that may be");
  app.add_option("--record", options.record, "only record, to this file");
  app.add_option("--compare", options.compared, "only compare two such files")->expected(2);
  app.add_flag("--proxied", options.proxied, "record through the proxy");
  app.add_flag("--tcp", options.tcp, "reach the proxy over TCP");
  app.add_flag("--twice-direct", options.twice_direct, "compare the module with itself");
  app.add_flag("--list", options.list, "print the cases");
  app.add_flag("--verbose", options.verbose, "print each case's name as it begins");
  CLI11_PARSE(app, argc, argv);

  const auto backend = Backend::named(options.backend);
  if (!backend) {
    std::cerr << "no backend " << options.backend << ": softhsm or nss\n";
    return 2;
  }
  if (options.list) {
    for (const Case& test_case : chosen(options)) std::cout << test_case.name << "\n";
    return 0;
  }
  try {
    if (!options.compared.empty()) return compare_files(options);
    if (options.module.empty()) options.module = backend->module();
    if (options.module.empty()) {
      std::cerr << options.backend << " is not installed\n";
      return kSkipped;
    }
    const FreshTokens tokens(*backend, options.module);
    return options.record.empty() ? run_both(options, tokens) : record(options, tokens);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

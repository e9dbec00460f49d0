// p11shim-bench-pools: what pools of several members promise, measured. Each HSM is simulated: SoftHSM with the fault module
// before it, which gives every signature 5 ms and runs one at a time, so 200 a second. One line per measure, and at the end
// "bench-pools: N of M targets reached". Exits with 1 only if an operation failed that should not, or was wrong.
#include <gtest/gtest.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "integration/pool_members.h"
#include "load.h"
#include "mixed.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

constexpr char kHsm[] = "C_Sign latency=5ms concurrency=1";
constexpr char kSlowHsm[] = "C_Sign latency=50ms concurrency=1";
constexpr char kFaultHsm[] = "C_Sign latency=2ms\n";
constexpr std::size_t kThreadsPerMember = 4;
constexpr std::size_t kOutageThreads = 16;
constexpr milliseconds kSavedRetries(2000);  // in an outage they are used up by then

class Report {
 public:
  // `reached` empty: a figure without target.
  void line(const std::string& measure, const std::string& target, const std::string& figure,
            std::optional<bool> reached) {
    std::printf("%-62s %-22s %-22s %s\n", measure.c_str(), target.c_str(), figure.c_str(),
                !reached   ? ""
                : *reached ? "reached"
                           : "missed");
    std::fflush(stdout);
    if (!reached) return;
    ++targets_;
    reached_ += *reached;
  }
  void safe(const std::string& measure, const Load::Result& result) {
    const bool good = result.failed == 0 && result.wrong == 0;
    char figure[96];
    std::snprintf(figure, sizeof figure, "%llu of %llu failed%s",
                  static_cast<unsigned long long>(result.failed + result.wrong),
                  static_cast<unsigned long long>(result.good + result.failed), result.failed == 0 ? "" : " (0x");
    std::string text = figure;
    if (result.failed != 0) std::snprintf(figure, sizeof figure, "%lx)", result.first_error), text += figure;
    line(measure + ": failed operations", "0", text, good);
    unsafe_ |= !good;
  }
  int end() const {
    std::printf("bench-pools: %d of %d targets reached\n", reached_, targets_);
    return unsafe_ ? 1 : 0;
  }

 private:
  int targets_ = 0;
  int reached_ = 0;
  bool unsafe_ = false;
};

std::string text(double value, const char* unit) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f%s", value < 10 ? 2 : 0, value, unit);
  return buffer;
}

constexpr char kPatient[] = "attempt_timeout = \"10s\"\nbreaker = { failures = 100, percent = 100 }\n";

void make_rsa_key(TestApplication& application, CK_SESSION_HANDLE session) {
  CK_MECHANISM mechanism{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0};
  CK_ULONG bits = 2048;
  CK_BYTE exponent[] = {1, 0, 1};
  CK_BYTE id[] = {2};
  char label[] = "rsa";
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  CK_ATTRIBUTE of_public[] = {{CKA_MODULUS_BITS, &bits, sizeof bits},
                              {CKA_PUBLIC_EXPONENT, exponent, sizeof exponent},
                              {CKA_TOKEN, &yes, 1},
                              {CKA_PRIVATE, &no, 1},
                              {CKA_VERIFY, &yes, 1},
                              {CKA_ID, id, 1},
                              {CKA_LABEL, label, 3}};
  CK_ATTRIBUTE of_private[] = {
      {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}, {CKA_ID, id, 1}, {CKA_LABEL, label, 3}};
  CK_OBJECT_HANDLE public_key = 0, private_key = 0;
  if (application->C_GenerateKeyPair(session, &mechanism, of_public, std::size(of_public), of_private,
                                     std::size(of_private), &public_key, &private_key) != CKR_OK)
    throw std::runtime_error("no RSA key can be made");
}

// So many HSMs under as many threads as they can use; one of them may be turned slow once all are at work.
Load::Result under_load(std::size_t count, milliseconds duration, Load::Key key = Load::Key::ec,
                        bool one_turns_slow = false) {
  PoolMembers members(count, key == Load::Key::rsa ? make_rsa_key : PoolMembers::Makes{});
  for (std::size_t i = 0; i < count; ++i) members.rules(i).set(kHsm);
  PrivateProxyd proxyd(members.config(kPatient, "lanes = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, kThreadsPerMember * count, 16, key);
  eventually([&] {
    const auto report = proxyd.ask("{\"command\":\"pools\"}");
    std::size_t up = 0;
    for (const auto& member : report["result"]["pools"][0]["members"]) up += member["state"] == "up";
    return up == count;
  });
  load.measure(milliseconds(700));  // warm
  if (one_turns_slow) {
    members.rules(0).set(kSlowHsm);
    load.measure(milliseconds(700));
  }
  Load::Result result = load.measure(duration);
  load.stop();
  return result;
}

void measure_scaling(Report& report, milliseconds duration) {
  const double one = under_load(1, duration).rate();
  report.line("one HSM", "-", text(one, " signatures/s"), {});
  Load::Result four;
  for (const std::size_t count : {2, 3, 4, 6, 8, 12, 16}) {
    Load::Result result = under_load(count, duration);
    const double ratio = result.rate() / (static_cast<double>(count) * one);
    report.line(std::to_string(count) + " HSMs over " + std::to_string(count) + " x one", ">= 0.97",
                text(ratio, "") + " (" + text(result.rate(), "/s") + ")", ratio >= 0.97);
    if (count == 4) four = std::move(result);
  }
  const double one_rsa = under_load(1, duration, Load::Key::rsa).rate();
  report.line("RSA-2048, one HSM", "-", text(one_rsa, " signatures/s"), {});
  for (const std::size_t count : {2, 3, 4}) {
    const double rate = under_load(count, duration, Load::Key::rsa).rate();
    const double ratio = rate / (static_cast<double>(count) * one_rsa);
    report.line("RSA-2048, " + std::to_string(count) + " HSMs over " + std::to_string(count) + " x one", ">= 0.97",
                text(ratio, "") + " (" + text(rate, "/s") + ")", ratio >= 0.97);
  }
  const Load::Result slow = under_load(4, duration, Load::Key::ec, true);
  const double p99 = four.percentile(0.99), slow_p99 = slow.percentile(0.99);
  report.line("one of four turned 10 x slower: throughput over three healthy", ">= 0.90",
              text(slow.rate() / (3 * one), ""), slow.rate() >= 0.9 * 3 * one);
  report.line("one of four turned 10 x slower: p99 over healthy p99", "<= 2",
              text(slow_p99 / p99, "") + " (" + text(slow_p99, " ms") + ")", slow_p99 <= 2 * p99);
}

constexpr char kQuickPool[] =
    "attempt_timeout = \"500ms\"\nbreaker = { failures = 5, open_min = \"200ms\", open_max = \"1s\" }\n"
    "probe = { interval = \"200ms\", timeout = \"500ms\", hung = \"1s\" }\n";

std::string state_of(const PrivateProxyd& proxyd, const std::string& name) {
  const auto member = member_status(proxyd, name);
  return member.is_object() ? member.value("state", "") : "";
}

double ms_until(const std::function<bool()>& condition) {
  const auto begin = Load::Clock::now();
  return eventually(condition) ? std::chrono::duration<double, std::milli>(Load::Clock::now() - begin).count() : -1;
}

// Does something to the first member under 16 threads, waits until it is out, ends it, waits until it is back.
void measure_fault(Report& report, const std::string& what, bool must_eject,
                   const std::function<void(PoolMembers&, const PrivateProxyd&)>& harm,
                   const std::function<void(PoolMembers&)>& mend, milliseconds between) {
  PoolMembers members(3);
  for (std::size_t i = 0; i < 3; ++i) members.rules(i).set(kFaultHsm);
  PrivateProxyd proxyd(members.config(kQuickPool, "lanes = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, 16, 1);
  const auto up = [&] { return state_of(proxyd, "hsm0") == "up"; };
  eventually([&] { return up() && member_worker(proxyd, "hsm0") > 0; });
  load.measure(milliseconds(500));
  harm(members, proxyd);
  if (must_eject) {
    const double eject = ms_until([&] { return !up(); });
    report.line(what + ": time until it gets nothing more", "<= 1000 ms", text(eject, " ms"),
                eject >= 0 && eject <= 1000);
  }
  std::this_thread::sleep_for(between);
  mend(members);
  const double back = ms_until(up);
  if (must_eject)
    report.line(what + ": time until it is back", "<= 5000 ms", text(back, " ms"), back >= 0 && back <= 5000);
  std::this_thread::sleep_for(milliseconds(300));
  const Load::Result result = load.take();
  load.stop();
  report.safe(what, result);
}

void measure_faults(Report& report) {
  const auto signal_worker = [](int number) {
    return [number](PoolMembers&, const PrivateProxyd& proxyd) {
      const pid_t worker = member_worker(proxyd, "hsm0");
      if (worker > 0) ::kill(worker, number);
    };
  };
  const auto answers = [](const char* rule) {
    return [rule](PoolMembers& members, const PrivateProxyd&) { members.rules(0).set(std::string(kFaultHsm) + rule); };
  };
  const auto nothing = [](PoolMembers&) {};
  const auto mend = [](PoolMembers& members) { members.rules(0).set(kFaultHsm); };
  measure_fault(report, "worker killed", true, signal_worker(SIGKILL), nothing, milliseconds(0));
  measure_fault(report, "worker stopped", true, signal_worker(SIGSTOP), nothing, milliseconds(0));
  measure_fault(report, "CKR_DEVICE_ERROR for 10 %", false, answers("C_Sign rv=CKR_DEVICE_ERROR probability=0.1"), mend,
                milliseconds(1500));
  measure_fault(report, "CKR_DEVICE_ERROR for all", true, answers("C_Sign rv=CKR_DEVICE_ERROR"), mend,
                milliseconds(1000));
}

// Every member answers CKR_DEVICE_ERROR to one signature of ten.
double error_share(const char* options, milliseconds duration) {
  PoolMembers members(3);
  for (std::size_t i = 0; i < 3; ++i)
    members.rules(i).set(std::string(kFaultHsm) + "C_Sign rv=CKR_DEVICE_ERROR probability=0.1");
  PrivateProxyd proxyd(members.config(options, "lanes = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, 16, 0);
  load.measure(milliseconds(300));
  const Load::Result result = load.measure(duration);
  load.stop();
  if (std::getenv("P11BENCH_DEBUG") != nullptr)
    std::fprintf(stderr, "first error 0x%lx, then mostly 0x%lx\n", result.first_error, result.last_error);
  return static_cast<double>(result.failed) /
         static_cast<double>(std::max<std::uint64_t>(1, result.failed + result.good));
}

// One of three stalls for 100 ms in two of a hundred signatures.
double stalled_p99(const std::string& options, milliseconds duration) {
  PoolMembers members(3);
  for (std::size_t i = 0; i < 3; ++i) members.rules(i).set(kFaultHsm);
  PrivateProxyd proxyd(members.config(kPatient + options, "lanes = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, 6, 16);
  load.measure(milliseconds(700));  // until it is known what is usual
  members.rules(0).set(std::string(kFaultHsm) + "C_Sign latency=100ms probability=0.02");
  const Load::Result result = load.measure(duration);
  load.stop();
  return result.percentile(0.99);
}

void measure_hedging(Report& report, milliseconds duration) {
  const std::string turns = "strategy = \"round-robin\"\n";  // which does not avoid the one that stalls
  const double without = stalled_p99(turns + "hedge = \"off\"\n", duration);
  const double with = stalled_p99(turns + "hedge = \"p95\"\n", duration);
  report.line("one of three stalls for 2 %: p99 without hedging", "-", text(without, " ms"), {});
  report.line("one of three stalls for 2 %: p99 with hedging", "-", text(with, " ms"), {});
}

// How often the first rule was asked about, over all processes.
std::uint64_t calls_of(PoolMembers& members, std::size_t member) {
  std::ifstream state(members.rules(member).path().string() + ".state", std::ios::binary);
  std::uint64_t count = 0;
  state.read(reinterpret_cast<char*>(&count), sizeof count);
  return state ? count : 0;
}

void measure_retries(Report& report, milliseconds duration) {
  const double without = error_share("max_attempts = 1\nbreaker = { failures = 1000, percent = 100 }\n", duration);
  const double with = error_share("breaker = { failures = 1000, percent = 100 }\n", duration);
  report.line("10 % faults everywhere: visible errors, no retries", "-", text(100 * without, " %"), {});
  report.line("10 % faults everywhere: visible errors cut by", ">= 0.90",
              text(1 - with / without, "") + " (" + text(100 * with, " %") + ")", with <= without / 10);

  // A total outage that no breaker stops: each answer is a fault.
  PoolMembers members(3);
  PrivateProxyd proxyd(
      members.config("breaker = { failures = 10000, percent = 100, least_calls = 1000000 }\n", "lanes = 8"));
  proxyd.start();
  TestApplication application(proxyd);
  Load load(application, kOutageThreads, 0);
  for (std::size_t i = 0; i < 3; ++i) members.rules(i).set("C_Sign latency=2ms rv=CKR_DEVICE_ERROR");
  load.measure(kSavedRetries);  // what the time before allowed is used up
  const auto reached_by_now = [&] {
    double calls = 0;
    for (std::size_t i = 0; i < 3; ++i) calls += static_cast<double>(calls_of(members, i));
    return calls;
  };
  const double before = reached_by_now();
  const Load::Result outage = load.measure(duration);
  const double reached = reached_by_now() - before;
  load.stop();
  const double offered = static_cast<double>(outage.failed + outage.good);
  // Of a call that is under way at either end only its other half is counted.
  const double most = 1.2 * offered + 10 * outage.seconds + 2 * kOutageThreads;
  report.line("total outage: calls that reach the members", "<= 1.2 x + 10/s",
              text(reached / offered, " x offered (") + text(most / offered, " are allowed)"),
              offered > 0 && reached <= most);
}

// 10,000 random creations, uses and destructions with members that fail and return and a proxyd that is killed.
void measure_chaos(Report& report) {
  std::cerr << "bench-pools: 10,000 operations under faults; this takes a while" << std::endl;
  const std::string program = "P11_CHAOS_OPERATIONS=10000 P11_CHAOS_SEED=7 " + build_dir() + "/tests/pool_chaos";
  FILE* pipe = ::popen(program.c_str(), "r");  // its progress goes to stderr
  if (pipe == nullptr) throw std::runtime_error("cannot start " + program);
  std::string result;
  char line[1024];
  while (std::fgets(line, sizeof line, pipe) != nullptr)
    if (std::string(line).starts_with("chaos: ")) result = line;
  const bool good = ::pclose(pipe) == 0;
  const auto end = result.find("; ");
  std::string figure = end == std::string::npos ? "no result" : result.substr(end + 2, result.rfind(',') - end - 2);
  if (!good && end != std::string::npos) figure += ", members differ";
  report.line("10,000 operations, members fail, proxyd is killed", "none lost, none back", figure, good);
}

int run(bool quick, const std::string& only) {
  if (!PoolMembers::installed()) {
    std::cerr << "bench-pools: softhsm2 is not installed\n";
    return 77;
  }
  const milliseconds duration(quick ? 500 : 3000);
  Report report;
  const auto chosen = [&](const char* part) { return only.empty() || only == part; };
  if (chosen("scaling")) measure_scaling(report, duration);
  if (chosen("faults")) measure_faults(report);
  if (chosen("retries")) measure_retries(report, duration);
  if (chosen("hedging")) measure_hedging(report, duration);
  if (chosen("chaos") && (!quick || !only.empty())) measure_chaos(report);
  if (!chosen("mixed")) return report.end();
  if (const auto mixed = measure_mixed(milliseconds(quick ? 500 : 1500))) {
    report.line("SoftHSM and NSS, one key: the member with fewer signatures", ">= 0.10",
                text(mixed->least_share, " of all"), mixed->least_share >= 0.10);
    report.safe("SoftHSM and NSS, one key: either one killed", mixed->load);
  } else {
    report.line("SoftHSM and NSS, one key", "-", "NSS is not installed", {});
  }
  return report.end();
}

}  // namespace
}  // namespace p11shim

int main(int argc, char** argv) {
  CLI::App app{"p11shim-bench-pools: pools of several members under load and under faults"};
  bool quick = false;
  app.add_flag("--quick", quick, "short: is everything right? says nothing about speed");
  std::string only;
  app.add_option("--only", only, "one part")
      ->check(CLI::IsMember({"scaling", "faults", "retries", "hedging", "chaos", "mixed"}));
  CLI11_PARSE(app, argc, argv);
  testing::InitGoogleTest();
  try {
    return p11shim::run(quick, only);
  } catch (const std::exception& error) {
    std::cerr << "bench-pools: " << error.what() << '\n';
    return 1;
  }
}

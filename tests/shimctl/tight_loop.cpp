// An independent opinion on what the bench measures: C_SignInit and C_Sign in a loop of their own, in turns with
// the bench's on the same key, in one process. Both run in a new thread each time and on one CPU, so that the
// scheduler and the caches treat them alike. Prints one line of JSON per test.
//
//   p11shim-tight-loop MODULE TOKEN TEST...      the PIN is in $PIN
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "tools/shimctl/bench/load.h"
#include "tools/shimctl/bench/statistics.h"

namespace {

using namespace p11shim;
using Clock = std::chrono::steady_clock;

constexpr int kPairs = 150;
constexpr std::chrono::milliseconds kBlock{50};

void stay_on_this_cpu() {
  const int cpu = ::sched_getcpu();
  cpu_set_t only;
  CPU_ZERO(&only);
  if (cpu < 0) return;
  CPU_SET(static_cast<unsigned>(cpu), &only);
  ::sched_setaffinity(0, sizeof only, &only);
}

CK_SLOT_ID slot_of(Module& module, const std::string& label) {
  for (const auto slot : module.slots(true)) {
    if (padded_text(module.token_info(slot).label) == label) return slot;
  }
  std::fprintf(stderr, "no token %s\n", label.c_str());
  std::exit(2);
}

// Operations per second; nothing but the calls and a look at the clock.
double loop(CK_FUNCTION_LIST* functions, CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key) {
  static const unsigned char info[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                       0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
  unsigned char data[sizeof info + 32] = {};
  std::memcpy(data, info, sizeof info);
  unsigned char* begin_of_data = type == CKM_RSA_PKCS ? data : data + sizeof info;
  const CK_ULONG length_of_data = type == CKM_RSA_PKCS ? sizeof data : 32;
  unsigned char signature[1024];
  CK_MECHANISM mechanism{type, nullptr, 0};
  const auto begin = Clock::now();
  auto now = begin;
  long count = 0;
  while (now - begin < kBlock) {
    CK_ULONG length = sizeof signature;
    ++data[sizeof info];
    if (functions->C_SignInit(session, &mechanism, key) != CKR_OK ||
        functions->C_Sign(session, begin_of_data, length_of_data, signature, &length) != CKR_OK) {
      std::fprintf(stderr, "the loop's C_Sign fails\n");
      std::exit(2);
    }
    ++count;
    now = Clock::now();
  }
  return static_cast<double>(count) / std::chrono::duration<double>(now - begin).count();
}

double loop_in_a_thread(CK_FUNCTION_LIST* functions, CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type,
                        CK_OBJECT_HANDLE key) {
  double rate = 0;
  std::thread thread([&] { rate = loop(functions, session, type, key); });
  thread.join();
  return rate;
}

double bench(const std::vector<std::vector<std::unique_ptr<Operation>>>& operations) {
  const LoadPlan plan{.duration = kBlock, .slices = 2, .warmup = std::chrono::nanoseconds(0)};
  const auto result = run_load(plan, operations, [] { return false; });
  LaneRecord all;
  for (const auto& slice : result.slices) all.merge(slice.lanes[0]);
  return 1e9 * static_cast<double>(all.service.count()) / static_cast<double>(all.busy_ns);
}

void compare(Module& module, CK_SLOT_ID slot, const BenchTest& test) {
  Session session(module, slot, Session::Access::kReadWrite);
  Session own(module, slot, Session::Access::kReadWrite);
  const BenchKey key(session, test, {});
  std::vector<std::vector<std::unique_ptr<Operation>>> operations(1);
  operations[0].push_back(make_operation({.session = session, .test = test, .key = key, .data_size = 32}));
  CK_FUNCTION_LIST* functions = module.operator->();
  std::vector<double> of_bench;
  std::vector<double> of_loop;
  std::vector<double> ratios;
  for (int i = 0; i < kPairs; ++i) {
    if (i % 2 == 0) of_bench.push_back(bench(operations));
    of_loop.push_back(loop_in_a_thread(functions, own.handle(), test.mechanism, key.key()));
    if (i % 2 == 1) of_bench.push_back(bench(operations));
    ratios.push_back(of_bench.back() / of_loop.back());
  }
  std::printf("{\"test\":\"%s\",\"bench\":%.1f,\"loop\":%.1f,\"difference_percent\":%.2f}\n",
              std::string(test.name).c_str(), median_of(of_bench), median_of(of_loop), 100 * (median_of(ratios) - 1));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  stay_on_this_cpu();
  Module module(argv[1]);
  const CK_SLOT_ID slot = slot_of(module, argv[2]);
  Session session(module, slot, Session::Access::kReadWrite);
  const char* pin = std::getenv("PIN");
  session.login(CKU_USER, pin == nullptr ? "" : pin);
  for (int i = 3; i < argc; ++i) compare(module, slot, *find_bench_test(argv[i]));
}

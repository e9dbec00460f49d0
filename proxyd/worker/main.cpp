// proxyd-worker: holds one vendor module for one login domain, and nothing else. proxyd starts it with a socket
// for areas as file descriptor 3, two pipes per lane from 4 on, and memory for rings and a bell behind them; it takes orders from nobody else and leaves when proxyd closes them. What it is told, secrets
// included, arrives over them; argv holds the number of lanes, how long they may look
// for a request before they sleep, and whether they interrupt those who wake them.
#include <fcntl.h>
#include <linux/close_range.h>
#include <malloc.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "proxyd/worker/lane.h"

namespace {

using namespace p11shim;

constexpr int kAreaSocket = 3;
constexpr int kFirstPipe = 4;
constexpr int kBehindPipes = 3;  // memory for rings, a bell, the state directory's lock
constexpr int kMostLanes = 1024;
constexpr int kLongestSpin = 1000;  // microseconds
constexpr int kKeptMemory = 8 << 20;
constexpr unsigned kLastCallSeconds = 5;   // for calls that run when proxyd dies
constexpr unsigned kFinalizeSeconds = 10;  // a module that hangs in C_Finalize does not keep the worker alive

// -1: it is none, or beyond `most`.
int number(std::string_view text, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= most ? value : -1;
}

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

bool is_pipe(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

// What proxyd gave, up to `end`, is not for the programs that a module may execute: PINs pass there, and the state directory's
// lock. Nor is what proxyd itself was started with.
void keep_descriptors(int end) {
  if (::close_range(kAreaSocket, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int fd = kAreaSocket; fd < end; ++fd) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// proxyd is no more. Its pipes are closed: lanes leave when their calls have returned, since modules that are killed while they
// write may lose the whole token. Those that do not return end here.
// Lanes that doze in front of a ring are told, too.
LaneWaiting* waiting_lanes = nullptr;
const Rings* waiting_rings = nullptr;

void proxyd_died(int) {
  ::alarm(kLastCallSeconds);
  if (waiting_lanes != nullptr) waiting_lanes->leave(*waiting_rings);
}

// No core dump and no debugger may show what passes through; die with proxyd; leave Ctrl-C in a terminal to proxyd.
void confine() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#ifndef P11SHIM_SANITIZED
  ::prctl(PR_SET_DUMPABLE, 0);
#endif
  struct sigaction died {};
  died.sa_handler = &proxyd_died;
  died.sa_flags = SA_RESTART;
  ::sigaction(SIGUSR2, &died, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGUSR2);
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGPIPE, SIG_IGN);
  // Large arguments reuse memory instead of having it mapped and cleared anew for each call.
  ::mallopt(M_MMAP_THRESHOLD, kKeptMemory);
  ::mallopt(M_TRIM_THRESHOLD, kKeptMemory);
}

// Lanes need not interrupt those who wake them. A policy that somebody chose stays.
void be_courteous() {
  const sched_param none{};
  if (::sched_getscheduler(0) == SCHED_OTHER) ::sched_setscheduler(0, SCHED_BATCH, &none);
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc == 4 ? number(argv[1], kMostLanes) : -1;
  const int spin_us = argc == 4 ? number(argv[2], kLongestSpin) : -1;
  const int is_courteous = argc == 4 ? number(argv[3], 1) : -1;
  if (count < 1 || spin_us < 0 || is_courteous < 0 || !is_pipe(kFirstPipe)) {
    std::fputs("proxyd-worker is started by proxyd; there is nothing to run by hand.\n", stderr);
    return 2;
  }
  const int ring_memory = kFirstPipe + 2 * count;
  keep_descriptors(ring_memory + kBehindPipes);
  confine();
  if (is_courteous == 1) be_courteous();
  auto module = std::make_unique<Module>();
  Describer describer(*module);
  Areas areas;
  LaneWaiting waiting{std::chrono::microseconds(spin_us)};
  Rings rings;  // behind the pipes, if proxyd gave any, and its bell behind them
  if (rings.map(ring_memory, static_cast<std::size_t>(count)) && is_open(ring_memory + 1))
    rings.ring_for_replies(ring_memory + 1);
  waiting_rings = &rings;
  waiting_lanes = &waiting;
  // Its end is proxyd's, or our own shutdown below. PR_SET_PDEATHSIG does not tell of a proxyd that died before it was set.
  std::thread area_listener([&] {
    areas.follow(kAreaSocket);
    waiting.leave(rings);
  });
  {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        const int in = kFirstPipe + 2 * i;
        Lane(in, in + 1, rings.pair(static_cast<std::size_t>(i)), *module, describer, areas, waiting).run();
        ::close(in + 1);  // proxyd notices even if this side left first
      });
    for (std::thread& thread : threads) thread.join();
  }
  ::shutdown(kAreaSocket, SHUT_RDWR);
  area_listener.join();
  ::alarm(kFinalizeSeconds);
  module.reset();
  std::fflush(nullptr);
  ::_exit(0);  // modules that crash in their destructors at exit have nothing left to destroy
}

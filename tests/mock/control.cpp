#include "control.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <thread>

namespace p11shim {
namespace {

using std::chrono::nanoseconds;

constexpr off_t kPlacesBegin = 1 << 20;  // lock bytes, far behind the counters; no data is ever there
constexpr off_t kPlacesPerRule = 4096;

std::string environment(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::string() : std::string(value);
}

std::string state_file(const std::string& path) { return path + ".state"; }

int open_state(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) std::abort();
  return fd;
}

std::mt19937_64& dice() {
  thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine;
}

nanoseconds drawn(const Latency& latency) {
  const double first = static_cast<double>(latency.first.count());
  const double second = static_cast<double>(latency.second.count());
  double value = 0;
  switch (latency.shape) {
    case Latency::Shape::kNone: return {};
    case Latency::Shape::kFixed: return latency.first;
    case Latency::Shape::kUniform: value = std::uniform_real_distribution(first, second)(dice()); break;
    case Latency::Shape::kNormal: value = std::normal_distribution(first, second)(dice()); break;
    case Latency::Shape::kExponential: value = std::exponential_distribution(1 / first)(dice()); break;
  }
  return nanoseconds(value > 0 ? static_cast<std::int64_t>(value) : 0);
}

void wait_for(const std::string& file) {
  while (::access(file.c_str(), F_OK) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
}

void die(Crash crash) {
  switch (crash) {
    case Crash::kNone: return;
    case Crash::kSegv:
      std::signal(SIGSEGV, SIG_DFL);
      std::raise(SIGSEGV);
      break;
    case Crash::kAbort: std::abort();
    case Crash::kExit: ::_exit(3);
    case Crash::kKill: std::raise(SIGKILL);
  }
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

Place::Place(const std::string& state, std::size_t rule, unsigned places) : fd_(open_state(state)) {
  const off_t begin = kPlacesBegin + static_cast<off_t>(rule) * kPlacesPerRule;
  const auto lock = [&](unsigned place, int command) {
    struct flock byte {};
    byte.l_type = F_WRLCK;
    byte.l_whence = SEEK_SET;
    byte.l_start = begin + place;
    byte.l_len = 1;
    return ::fcntl(fd_, command, &byte) == 0;
  };
  for (unsigned place = 0; place < places; ++place) {
    if (lock(place, F_OFD_SETLK)) return;
  }
  const auto mine = std::hash<std::thread::id>{}(std::this_thread::get_id()) % places;
  while (!lock(static_cast<unsigned>(mine), F_OFD_SETLKW)) {
  }
}

Place::~Place() {
  if (fd_ >= 0) ::close(fd_);
}

Control::Control(const char* variable) : path_(environment(variable)), rules_(std::make_shared<const Rules>()) {}

Control::~Control() = default;

std::shared_ptr<const Rules> Control::rules() {
  if (path_.empty()) return rules_;
  const std::lock_guard lock(mutex_);
  reload();
  return rules_;
}

void Control::reload() {
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0 || same_file(now, seen_)) return;
  std::ifstream stream(path_);
  rules_ = std::make_shared<const Rules>(parse_rules(std::string(std::istreambuf_iterator<char>(stream), {})));
  is_older_ = seen_.st_ino != 0;
  seen_ = now;

  const int fd = open_state(state_file(path_));
  if (::ftruncate(fd, sizeof(Counters)) != 0) std::abort();
  void* memory = ::mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (memory == MAP_FAILED) std::abort();
  counters_ = {static_cast<Counters*>(memory), [](Counters* counters) { ::munmap(counters, sizeof(Counters)); }};
}

bool Control::hits(const Rule& rule, std::size_t index, Counters& counters) const {
  if (index >= kCounters) std::abort();
  const std::uint64_t earlier = counters[index].fetch_add(1);
  if (earlier < rule.after || earlier - rule.after >= rule.times) return false;
  return rule.probability >= 1 || std::uniform_real_distribution(0.0, 1.0)(dice()) < rule.probability;
}

Verdict Control::judge(Function function) {
  Verdict verdict;
  verdict.rules = rules();
  std::shared_ptr<Counters> counters;
  {
    const std::lock_guard lock(mutex_);
    counters = counters_;
    verdict.is_older = is_older_;
  }
  for (std::size_t i = 0; i < verdict.rules->calls.size(); ++i) {
    const Rule& rule = verdict.rules->calls[i];
    if (!rule.functions.test(static_cast<std::size_t>(function)) || !hits(rule, i, *counters)) continue;
    if (rule.concurrency > 0) verdict.places.emplace_back(state_file(path_), i, rule.concurrency);
    if (rule.latency.shape != Latency::Shape::kNone) std::this_thread::sleep_for(drawn(rule.latency));
    if (!rule.hang.empty()) wait_for(rule.hang);
    if (!rule.run.empty() && std::system(rule.run.c_str()) != 0) std::abort();
    die(rule.crash);
    if (!verdict.rv) verdict.rv = rule.rv;
    verdict.fill |= rule.fill;
    if (rule.length) verdict.length = rule.length;
    if (rule.report) verdict.report = rule.report;
  }
  return verdict;
}

}  // namespace p11shim

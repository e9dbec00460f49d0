// One target's client process: the benchmark proper sends it commands, a line each, and it answers "ok …" or
// "error …". A process of its own per target, because modules must not share one.
//
//   p11shim-bench-client module PATH         a PKCS#11 module
//   p11shim-bench-client echo SOCKET         the raw socket; its servers: echo-server SOCKET, echo-loop-server SOCKET
//
//   prepare N                   initialise a token, put the keys into it and so many others
//   open THREADS                initialise, log in, a session per thread
//   check                       run every workload once and prove its result -> those that the module refuses
//   run WORKLOAD THREADS MS     -> operations, nanoseconds, median and 99th percentile of one operation
//   repeat WORKLOAD TIMES       on one thread
//   first WORKLOAD              -> nanoseconds of one operation
//   start N                     -> median nanoseconds from C_Initialize to an open session
//   usage                       -> processor time in nanoseconds and context switches of this process
//   sessions N                  open so many more sessions; `sessions-call`: make a call in each of them
//   crowd N                     start so many applications; `crowd-call`: let each make a call; `crowd-end`
#include <array>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "crowd.h"
#include "echo.h"
#include "module.h"
#include "result_check.h"
#include "timing.h"
#include "token.h"
#include "usage.h"
#include "workload.h"

namespace p11shim {
namespace {

using std::chrono::milliseconds;

std::string to_text(const Timing& timing) {
  std::ostringstream text;
  text << timing.operations << ' ' << timing.elapsed.count() << ' ' << timing.median.count() << ' '
       << timing.p99.count();
  return text.str();
}

// Answers one command; throws what goes wrong.
class Client {
 public:
  virtual ~Client() = default;
  virtual std::string obey(const std::string& verb, std::istream& arguments) = 0;
};

class EchoBench : public Client {
 public:
  explicit EchoBench(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  std::string obey(const std::string& verb, std::istream& arguments) override {
    unsigned count = 0;
    if (verb == "open" && arguments >> count) {
      for (unsigned i = 0; i < count; ++i) clients_.emplace_back(socket_path_);
      return "";
    }
    std::string workload;
    unsigned duration = 0;
    if (verb == "run" && arguments >> workload >> count >> duration) {
      return to_text(time_threads(count, milliseconds(duration), [this](unsigned i) { clients_[i].round_trip(); }));
    }
    throw std::runtime_error("unknown command " + verb);
  }

 private:
  const std::string socket_path_;
  std::vector<EchoClient> clients_;
};

class ModuleBench : public Client {
 public:
  explicit ModuleBench(const std::string& path) : module_(load_module(path)) {}

  std::string obey(const std::string& verb, std::istream& arguments) override {
    unsigned count = 0;
    if (verb == "check") return check();
    if (verb == "run") return run(arguments);
    if (verb == "repeat") return repeat(arguments);
    if (verb == "first") return first(arguments);
    if (verb == "sessions-call") return call_in_sessions();
    if (verb == "crowd-call") return crowd_->call(), "";
    if (verb == "crowd-end") return crowd_.reset(), "";
    if (!(arguments >> count)) throw std::runtime_error("incomplete command " + verb);
    if (verb == "prepare") return prepare(count);
    if (verb == "open") return open(count);
    if (verb == "start") return start(count);
    if (verb == "sessions") return open_sessions(count);
    if (verb == "crowd") return start_crowd(count);
    throw std::runtime_error("unknown command " + verb);
  }

 private:
  std::string prepare(unsigned other_keys) {
    require("C_Initialize", module_.C_Initialize(nullptr));
    prepare_token(module_, other_keys);
    require("C_Finalize", module_.C_Finalize(nullptr));
    return "";
  }

  void initialize() {
    CK_C_INITIALIZE_ARGS arguments{};
    arguments.flags = CKF_OS_LOCKING_OK;
    require("C_Initialize", module_.C_Initialize(&arguments));
  }

  std::string open(unsigned threads) {
    initialize();
    slot_ = find_bench_slot(module_);
    const CK_SESSION_HANDLE session = open_bench_session(module_, slot_);
    log_in(module_, session);
    const BenchKeys keys = find_bench_keys(module_, session);
    for (unsigned i = 0; i < threads; ++i) callers_.push_back(std::make_unique<Caller>(module_, slot_, keys));
    return "";
  }

  std::string check() {
    std::string refused;
    for (const std::string_view name : check_results(module_, slot_)) refused += ' ' + std::string(name);
    return refused;
  }

  std::string run(std::istream& arguments) {
    std::string name;
    unsigned threads = 0;
    unsigned duration = 0;
    arguments >> name >> threads >> duration;
    const Workload& workload = workload_called(name);
    return to_text(time_threads(threads, milliseconds(duration), [&](unsigned thread) {
      require(name.c_str(), (*callers_.at(thread).*workload.run)());
    }));
  }

  std::string repeat(std::istream& arguments) {
    std::string name;
    unsigned times = 0;
    arguments >> name >> times;
    const Workload& workload = workload_called(name);
    for (unsigned i = 0; i < times; ++i) require(name.c_str(), (*callers_.at(0).*workload.run)());
    return "";
  }

  std::string first(std::istream& arguments) {
    std::string name;
    arguments >> name;
    const Workload& workload = workload_called(name);
    const auto begin = std::chrono::steady_clock::now();
    require(name.c_str(), (*callers_.at(0).*workload.run)());
    return std::to_string(std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin).count());
  }

  static const Workload& workload_called(const std::string& name) {
    for (const Workload& workload : kWorkloads)
      if (workload.name == name) return workload;
    throw std::runtime_error("unknown workload " + name);
  }

  std::string start(unsigned times) {
    initialize();
    const CK_SLOT_ID slot = find_bench_slot(module_);
    require("C_Finalize", module_.C_Finalize(nullptr));
    std::vector<std::chrono::nanoseconds> samples;
    for (unsigned i = 0; i < times; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      initialize();
      CK_ULONG count = 0;
      require("C_GetSlotList", module_.C_GetSlotList(CK_TRUE, nullptr, &count));
      open_bench_session(module_, slot);
      samples.push_back(std::chrono::steady_clock::now() - begin);
      require("C_Finalize", module_.C_Finalize(nullptr));
    }
    return std::to_string(quantile(samples, 0.5).count());
  }

  std::string open_sessions(unsigned count) {
    if (callers_.empty()) open(1);
    for (unsigned i = 0; i < count; ++i) sessions_.push_back(open_bench_session(module_, slot_));
    return "";
  }

  std::string call_in_sessions() {
    std::array<CK_BYTE, 32> random{};
    for (const CK_SESSION_HANDLE session : sessions_)
      require("C_GenerateRandom", module_.C_GenerateRandom(session, random.data(), random.size()));
    return "";
  }

  std::string start_crowd(unsigned count) {
    initialize();
    const CK_SLOT_ID slot = find_bench_slot(module_);
    require("C_Finalize", module_.C_Finalize(nullptr));
    crowd_.emplace(module_, slot, count);
    return "";
  }

  CK_FUNCTION_LIST& module_;
  CK_SLOT_ID slot_ = 0;
  std::vector<std::unique_ptr<Caller>> callers_;
  std::vector<CK_SESSION_HANDLE> sessions_;
  std::optional<Crowd> crowd_;
};

void obey_until_end(Client& client) {
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    try {
      const std::string answer = verb == "usage" ? own_usage() : client.obey(verb, words);
      std::cout << "ok " << answer << std::endl;
    } catch (const std::exception& failure) {
      std::cout << "error " << verb << ": " << failure.what() << std::endl;
    }
  }
}

int run(const std::string& kind, const std::string& where) {
  if (kind == "echo-server") serve_echo(where);
  if (kind == "echo-loop-server") serve_echo_in_one_loop(where);
  if (kind == "echo") {
    EchoBench client(where);
    obey_until_end(client);
    return 0;
  }
  ModuleBench client(where);
  obey_until_end(client);
  return 0;
}

}  // namespace
}  // namespace p11shim

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: p11shim-bench-client module|echo|echo-server|echo-loop-server PATH\n", stderr);
    return 2;
  }
  try {
    return p11shim::run(argv[1], argv[2]);
  } catch (const std::exception& failure) {
    std::cout << "error " << failure.what() << std::endl;
    return 1;
  }
}

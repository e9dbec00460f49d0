#include "target.h"

#include <poll.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace p11shim {
namespace {

constexpr char kP11KitClient[] = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
constexpr char kP11Kit[] = "/usr/bin/p11-kit";

// Each target has sockets of its own: one may be started twice, for speed and for memory.
std::string fresh_socket(const BenchPaths& paths, const std::string& name) {
  static int number = 0;
  return (paths.folder / (name + std::to_string(++number))).string();
}

void wait_for_socket(const std::string& path) {
  for (int waited = 0; waited < 5'000; waited += 5) {
    if (std::filesystem::exists(path)) return;
    ::poll(nullptr, 0, 5);
  }
  throw std::runtime_error("nobody listens on " + path);
}

}  // namespace

void Target::set_client(const BenchPaths& paths, const std::string& kind, const std::string& where,
                        const Environment& environment) {
  start_client_ = [command = std::vector<std::string>{paths.programs / "p11shim-bench-client", kind, where},
                   environment] { return std::make_unique<Process>(command, environment); };
  client_ = start_client_();
}

void Target::open(unsigned threads) {
  client_->ask("open " + std::to_string(threads));
  if (name_ == "echo") return;
  std::istringstream refused(client_->ask("check"));
  for (std::string workload; refused >> workload;) refused_.insert(workload);
  // Only a peer may know less than the module does.
  if (name_ != "p11-kit" && !refused_.empty()) throw std::runtime_error(name_ + " refuses " + *refused_.begin());
}

Process& Target::add_client() { return *more_clients_.emplace_back(start_client_()); }

Target Target::direct(const BenchPaths& paths) {
  Target target("direct");
  target.set_client(paths, "module", paths.module);
  return target;
}

// A private proxyd for as long as its command runs; that prints the endpoint, then waits for the end of our
// pipe.
Target Target::shim(const BenchPaths& paths) {
  Target target("shim");
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{paths.programs / "shimctl", "run", "--module", paths.module, "--", "/bin/sh", "-c",
                               "echo \"$P11SHIM_ENDPOINT\"; echo \"$P11_MODULE\"; exec cat"},
      Environment{});
  const std::string endpoint = target.server_->read_line();
  const std::string module = target.server_->read_line();
  target.set_client(paths, "module", module, {{"P11SHIM_ENDPOINT", endpoint}});
  return target;
}

Target Target::p11_kit(const BenchPaths& paths) {
  Target target("p11-kit");
  const std::string socket = fresh_socket(paths, "p11-kit");
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{kP11Kit, "server", "-f", "-n", socket, "-p", paths.module, "pkcs11:token=bench"},
      Environment{});
  wait_for_socket(socket);
  target.set_client(paths, "module", kP11KitClient, {{"P11_KIT_SERVER_ADDRESS", "unix:path=" + socket}});
  return target;
}

Target Target::echo(const BenchPaths& paths) {
  Target target("echo");
  const std::string socket = fresh_socket(paths, "echo");
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{paths.programs / "p11shim-bench-client", "echo-server", socket}, Environment{});
  target.server_->read_line();
  target.set_client(paths, "echo", socket);
  return target;
}

bool Target::p11_kit_is_installed() {
  return std::filesystem::exists(kP11Kit) && std::filesystem::exists(kP11KitClient);
}

void Target::place(Placement placement) {
  place_client(client_->pid(), placement);
  if (server_) place_server(server_->pid(), placement);
}

Timing Target::run(std::string_view workload, unsigned threads, std::chrono::milliseconds duration) {
  std::ostringstream command;
  command << "run " << workload << ' ' << threads << ' ' << duration.count();
  std::istringstream reply(client_->ask(command.str()));
  long elapsed = 0;
  long median = 0;
  long p99 = 0;
  Timing timing;
  if (!(reply >> timing.operations >> elapsed >> median >> p99)) throw std::runtime_error(name_ + ": no timing");
  timing.elapsed = std::chrono::nanoseconds(elapsed);
  timing.median = std::chrono::nanoseconds(median);
  timing.p99 = std::chrono::nanoseconds(p99);
  return timing;
}

DataPath Target::data_path(std::string_view workload, std::chrono::milliseconds duration) {
  const auto servers = server_ ? process_tree(server_->pid()) : std::vector<pid_t>();
  const Usage client = parse_usage(client_->ask("usage"));
  const Usage serving = usage_of(servers);
  const double operations = static_cast<double>(std::max<std::uint64_t>(run(workload, 1, duration).operations, 1));
  const auto per_operation = [&](const Usage& before, const Usage& after) {
    return Usage{(after.cpu_ns - before.cpu_ns) / operations, (after.switches - before.switches) / operations};
  };
  const Usage served = usage_of(servers);
  return {std::string(workload), name_, per_operation(client, parse_usage(client_->ask("usage"))),
          per_operation(serving, served)};
}

pid_t Target::proxyd() const {
  for (const pid_t process : process_tree(server_->pid())) {
    if (program_of(process) == "proxyd") return process;
  }
  throw std::runtime_error("no proxyd below shimctl");
}

}  // namespace p11shim

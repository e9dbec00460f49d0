#include "target.h"

#include <poll.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "measures.h"

namespace p11shim {
namespace {

constexpr char kP11KitClient[] = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so";
constexpr char kP11Kit[] = "/usr/bin/p11-kit";
constexpr char kCamlCrushClient[] = "/usr/lib/x86_64-linux-gnu/caml-crush/libp11clientunix.so";
constexpr char kCamlCrush[] = "/usr/bin/pkcs11proxyd";
constexpr unsigned kSpin = 250;

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
  if (name_.starts_with("echo")) return;
  std::istringstream refused(client_->ask("check"));
  for (std::string workload; refused >> workload;) refused_.insert(workload);
  // Only a peer may know less than the module does.
  if (!is_peer() && !refused_.empty()) throw std::runtime_error(name_ + " refuses " + *refused_.begin());
}

Process& Target::add_client() { return *more_clients_.emplace_back(start_client_()); }

Target Target::direct(const BenchPaths& paths) {
  Target target("direct");
  target.set_client(paths, "module", paths.module);
  return target;
}

// A private proxyd for as long as its command runs; that prints the endpoint, then waits for the end of our
// pipe.
Target Target::shim_called(const BenchPaths& paths, std::string name, unsigned spin, Way way) {
  Target target(std::move(name));
  const auto config = paths.folder / (target.name_ + "-proxyd.toml");
  std::ofstream(config)
      << "listen.max_connections_per_user = 30000\nlimits.max_applications = "
         "20000\nlimits.max_applications_per_user = 20000\nlimits.max_sessions_per_application = 200000\nlimits.spin = "
      << spin << "\n[[module]]\nname = \"module\"\ntokens = \"*\"\nadmin = true\npath = \"" << paths.module.string()
      << "\"\n";
  const auto shim_config = paths.folder / (target.name_ + "-shim.toml");
  std::ofstream(shim_config) << "spin = " << spin
                             << (way == Way::socket ? "\nrings = false\nshared_memory = false\n" : "\n");
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{paths.programs / "shimctl", "run", "--config", config, "--", "/bin/sh", "-c",
                               "echo \"$P11SHIM_ENDPOINT\"; echo \"$P11_MODULE\"; exec cat"},
      Environment{});
  std::string endpoint = target.server_->read_line();
  const std::string module = target.server_->read_line();
  if (way == Way::network) {
    target.relay_ = std::make_unique<Relay>(endpoint, Weather{});
    endpoint = target.relay_->endpoint();
  }
  target.set_client(paths, "module", module, {{"P11SHIM_ENDPOINT", endpoint}, {"P11SHIM_CONF", shim_config}});
  return target;
}

Target Target::shim(const BenchPaths& paths) { return shim_called(paths, "shim", 0, Way::memory); }
Target Target::spinning_shim(const BenchPaths& paths) { return shim_called(paths, "shim-spin", kSpin, Way::memory); }
Target Target::socket_shim(const BenchPaths& paths) { return shim_called(paths, "shim-socket", 0, Way::socket); }
Target Target::remote_shim(const BenchPaths& paths) { return shim_called(paths, "shim-tcp", 0, Way::network); }

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

// One process for each connection, one connection for each client process. Its filter wants a key of its own wrapping
// format, which nobody uses here.
Target Target::caml_crush(const BenchPaths& paths) {
  Target target("caml-crush");
  const std::string socket = fresh_socket(paths, "caml-crush");
  const auto filter = paths.folder / "caml-crush-filter.conf";
  std::ofstream(filter) << "debug = 0\nmodules = [(\"bench\", \"" << paths.module.string()
                        << "\")]\nlog_subchannel = filter\n"
                           "wrapping_format_key = \"00112233445566778899aabbccddeeff\"\n";
  const auto state = paths.folder / "netplex";
  std::filesystem::create_directories(state);
  const auto config = paths.folder / "caml-crush.conf";
  std::ofstream(config) << "netplex { controller { max_level = \"emerg\"; socket_directory = \"" << state.string()
                        << "\"; logging { type = \"stderr\"; }; };\n"
                           "service { name = \"bench\"; conn_limit = 1;\n"
                           "protocol { name = \"rpc_pkcs11\"; address { type = \"local\"; path = \""
                        << socket << "\"; }; };\nprocessor { type = \"rpc_pkcs11\"; filter_config = \""
                        << filter.string()
                        << "\"; };\nworkload_manager { type = \"dynamic\"; max_jobs_per_thread = 1;"
                           " min_free_jobs_capacity = 1; max_free_jobs_capacity = 1; max_threads = 100; }; } }\n";
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{"/bin/sh", "-c", "exec " + std::string(kCamlCrush) + " -fg -conf \"$0\" 2>/dev/null",
                               config},
      Environment{});
  wait_for_socket(socket);
  target.set_client(paths, "module", kCamlCrushClient,
                    {{"PKCS11PROXY_SOCKET_PATH", socket}, {"PKCS11PROXY_LIBNAME", "bench"}});
  return target;
}

Target Target::echo_called(const BenchPaths& paths, std::string name, const char* server, bool remote) {
  Target target(std::move(name));
  std::string socket = fresh_socket(paths, target.name_);
  target.server_ = std::make_unique<Process>(
      std::vector<std::string>{paths.programs / "p11shim-bench-client", server, socket}, Environment{});
  target.server_->read_line();
  if (remote) {
    target.relay_ = std::make_unique<Relay>("unix:" + socket, Weather{});
    socket = target.relay_->endpoint();
  }
  target.set_client(paths, "echo", socket);
  return target;
}

Target Target::echo(const BenchPaths& paths) { return echo_called(paths, "echo", "echo-server", false); }
Target Target::echo_loop(const BenchPaths& paths) { return echo_called(paths, "echo-loop", "echo-loop-server", false); }
Target Target::remote_echo(const BenchPaths& paths) { return echo_called(paths, "echo-tcp", "echo-server", true); }

std::optional<std::string> Target::why_not(const std::string& peer) {
  const auto missing = [](const char* program, const char* client) {
    return !std::filesystem::exists(program) || !std::filesystem::exists(client);
  };
  if (peer == "p11-kit" && missing(kP11Kit, kP11KitClient)) return "p11-kit and p11-kit-modules are not installed";
  if (peer == "caml-crush" && missing(kCamlCrush, kCamlCrushClient))
    return "caml-crush-server and caml-crush-clients are not installed";
  return std::nullopt;
}

bool Target::takes_part(const Cell& cell) const {
  if (!offers(cell.workload)) return false;
  if (name_ == "echo") return is_round_trip(cell);
  if (name_ == "echo-loop") return is_round_trip(cell) && cell.placement == Placement::kFree && cell.threads == 8;
  if (name_ == "shim-spin") return cell.placement == Placement::kTwoCores && cell.threads == 1 && decides(cell);
  if (name_ == "shim-socket")
    return cell.placement == Placement::kFree && cell.threads >= 8 &&
           (cell.workload == "rsa-2048" || cell.workload == "ecdsa-p256");
  // One lock for everything: more threads and places show nothing more.
  if (name_ == "caml-crush")
    return cell.threads == 1 ? cell.placement != Placement::kTwoCores
                             : cell.threads == 8 && cell.placement == Placement::kFree;
  return true;
}

std::vector<pid_t> Target::servers() const { return server_ ? process_tree(server_->pid()) : std::vector<pid_t>(); }

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
  const auto servers = this->servers();
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
  for (const pid_t process : servers()) {
    if (program_of(process) == "proxyd") return process;
  }
  throw std::runtime_error("no proxyd below shimctl");
}

}  // namespace p11shim

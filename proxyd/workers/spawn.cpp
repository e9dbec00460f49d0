#include "proxyd/workers/spawn.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string_view>

extern char** environ;  // NOLINT: POSIX

namespace p11shim {
namespace {

// Variables that are proxyd's own business.
bool is_private(std::string_view entry) {
  return entry.starts_with("NOTIFY_SOCKET=") || entry.starts_with("WATCHDOG_") || entry.starts_with("LISTEN_") ||
         entry.starts_with("CREDENTIALS_DIRECTORY=") || entry.starts_with("P11SHIM_");
}

std::vector<std::string> child_environment(const Environment& added) {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string name(text.substr(0, text.find('=')));
    if (!is_private(text) && !added.contains(name)) entries.emplace_back(text);
  }
  for (const auto& [name, value] : added) entries.push_back(name + "=" + value);
  return entries;
}

void on_exit(uv_process_t* process, std::int64_t status, int signal) {
  auto* exited = static_cast<WorkerExited*>(process->data);
  process->data = nullptr;
  if (exited != nullptr) {
    (*exited)(status, signal);
    delete exited;
  } else {
    // It was left before; nobody but us holds the handle.
    uv_close(reinterpret_cast<uv_handle_t*>(process),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_process_t*>(handle); });
  }
}

// Large messages pass with few wake-ups; where the user's share of pipe memory is used up, the default does.
constexpr std::size_t kAreaSocket = 3;  // in the worker
constexpr std::size_t kFirstPipe = 4;
constexpr int kPipeSize = 1 << 20;  // bytes: what the system allows without privilege

// A pipe whose end for proxyd does not block.
bool make_pipe(int& reading, int& writing, bool proxyd_reads) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  ::fcntl(ends[0], F_SETPIPE_SZ, kPipeSize);
  ::fcntl(proxyd_reads ? ends[0] : ends[1], F_SETFL, O_NONBLOCK | (proxyd_reads ? O_RDONLY : O_WRONLY));
  reading = ends[0];
  writing = ends[1];
  return true;
}

void close_all(const std::vector<Stream>& streams) {
  for (const Stream& stream : streams)
    for (const int fd : {stream.in, stream.out})
      if (fd >= 0) ::close(fd);
}

}  // namespace

HandlePtr<uv_process_t> spawn_worker(Runtime& runtime, const Environment& environment, std::size_t lanes,
                                     std::vector<Stream>& streams, SharedRings rings, int& areas, std::string& error,
                                     WorkerExited exited) {
  std::vector<Stream> theirs;
  std::vector<uv_stdio_container_t> descriptors(kFirstPipe + 2 * lanes + 3);
  for (uv_stdio_container_t& descriptor : descriptors) descriptor.flags = UV_IGNORE;
  for (int fd : {1, 2}) {
    descriptors[fd].flags = UV_INHERIT_FD;
    descriptors[fd].data.fd = 2;  // what a module prints goes to the log's stream, never to a client's
  }
  int area_ends[2] = {-1, -1};
  bool ok = ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, area_ends) == 0;
  descriptors[kAreaSocket].flags = UV_INHERIT_FD;
  descriptors[kAreaSocket].data.fd = area_ends[1];
  for (std::size_t i = 0; i < lanes && ok; ++i) {
    Stream& ours = streams.emplace_back();
    Stream& worker = theirs.emplace_back();
    ok = make_pipe(worker.in, ours.out, false) && make_pipe(ours.in, worker.out, true);
    uv_stdio_container_t* pipes = &descriptors[kFirstPipe + 2 * i];
    pipes[0].flags = pipes[1].flags = UV_INHERIT_FD;
    pipes[0].data.fd = worker.in;
    pipes[1].data.fd = worker.out;
  }
  const int last[] = {rings.memory, rings.bell, runtime.state_lock};
  for (std::size_t i = 0; i < std::size(last); ++i) {
    if (last[i] < 0) continue;
    descriptors[kFirstPipe + 2 * lanes + i].flags = UV_INHERIT_FD;
    descriptors[kFirstPipe + 2 * lanes + i].data.fd = last[i];
  }

  std::vector<std::string> entries = child_environment(environment);
  std::vector<char*> env;
  for (std::string& entry : entries) env.push_back(entry.data());
  env.push_back(nullptr);
  std::string path = runtime.worker_path;
  std::string count = std::to_string(lanes);
  std::string spin = std::to_string(runtime.spin_us);
  std::string courteous = runtime.courteous ? "1" : "0";
  char* argv[] = {path.data(), count.data(), spin.data(), courteous.data(), nullptr};

  uv_process_options_t options{};
  options.file = path.c_str();
  options.args = argv;
  options.env = env.data();
  options.stdio = descriptors.data();
  options.stdio_count = static_cast<int>(descriptors.size());
  options.exit_cb = &on_exit;

  HandlePtr<uv_process_t> process(new uv_process_t);
  std::memset(process.get(), 0, sizeof(uv_process_t));
  const int result = ok ? uv_spawn(&runtime.loop, process.get(), &options) : -errno;
  close_all(theirs);
  if (area_ends[1] >= 0) ::close(area_ends[1]);
  areas = area_ends[0];
  if (result == 0) {
    process->data = new WorkerExited(std::move(exited));
    return process;
  }
  error = "cannot start " + path + ": " + uv_strerror(result);
  close_all(streams);
  streams.clear();
  if (areas >= 0) ::close(areas);
  areas = -1;
  if (!ok) delete process.release();  // uv_spawn never saw it
  return nullptr;
}

void leave_worker(HandlePtr<uv_process_t> process, bool politely) {
  auto* exited = static_cast<WorkerExited*>(process->data);
  if (exited == nullptr) return;  // it has exited already; the handle closes itself
  process->data = nullptr;
  delete exited;
  if (!politely) uv_process_kill(process.get(), SIGKILL);
  process.release();  // on_exit closes it; the loop does not end before
}

}  // namespace p11shim

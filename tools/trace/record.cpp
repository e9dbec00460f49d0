#include "tools/trace/record.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace p11shim {

namespace {

std::int64_t now(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

// Kept open: an application may change its directory, its root or its user. -1: nothing is recorded.
int file() {
  static const int descriptor = [] {
    const char* path = ::secure_getenv("P11SHIM_TRACE_FILE");
    return path == nullptr ? -1 : ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  }();
  return descriptor;
}

void append(const char* line, int length, std::size_t room) {
  if (length <= 0) return;
  const int saved = errno;  // the application's
  if (::write(file(), line, std::min(static_cast<std::size_t>(length), room - 1)) < 0) errno = saved;
}

// As JSON has it; what it does not take is left out.
void printable(char* out, std::size_t room, const char* text) {
  std::size_t used = 0;
  for (; *text != '\0' && used + 1 < room; ++text)
    if (*text >= ' ' && *text <= '~' && *text != '"' && *text != '\\') out[used++] = *text;
  out[used] = '\0';
}

}  // namespace

std::int64_t wall_ns() noexcept { return now(CLOCK_REALTIME); }

std::int64_t steady_ns() noexcept { return now(CLOCK_MONOTONIC); }

void record_process(const char* module) noexcept {
  if (file() < 0) return;
  char path[256], program[64], line[512];
  printable(path, sizeof path, module);
  printable(program, sizeof program, program_invocation_short_name);
  const int length =
      ::snprintf(line, sizeof line,
                 "{\"schema\":\"p11shim.trace/1\",\"pid\":%d,\"program\":\"%s\",\"module\":\"%s\",\"t\":%lld}\n",
                 ::getpid(), program, path, static_cast<long long>(wall_ns()));
  append(line, length, sizeof line);
}

void record_call(const TracedCall& call) noexcept {
  if (file() < 0) return;
  char mechanism[48] = "", line[320];
  if (call.mechanism != nullptr) ::snprintf(mechanism, sizeof mechanism, ",\"mechanism\":%lu", *call.mechanism);
  const int length =
      ::snprintf(line, sizeof line, "{\"pid\":%d,\"tid\":%ld,\"t\":%lld,\"ns\":%lld,\"call\":\"%s\",\"rv\":%lu%s}\n",
                 ::getpid(), ::syscall(SYS_gettid), static_cast<long long>(call.began_ns),
                 static_cast<long long>(call.took_ns), call.name, call.rv, mechanism);
  append(line, length, sizeof line);
}

}  // namespace p11shim

#include "tools/shimctl/token/pin_source.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>

#include "config/problem.h"
#include "tools/shimctl/failure.h"

namespace p11shim {

namespace {

constexpr std::size_t kLongestPin = 64 << 10;

[[noreturn]] void cannot_read(const std::string& source, const std::string& why) {
  throw Failure(ExitCode::kPermission, {.what = "cannot read a PIN from " + printable(source),
                                        .why = why,
                                        .fix = "sources are env:NAME, file:PATH, fd:N and prompt"});
}

// ^C, which ends the line while a PIN is typed: a signal would leave the terminal silent.
constexpr char kInterrupt = 3;

// The first line.
Secret read_line(int descriptor, const std::string& source, char interrupt = '\n') {
  Secret pin;
  pin.reserve(kLongestPin);
  for (char byte = 0;;) {
    const ssize_t length = ::read(descriptor, &byte, 1);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) cannot_read(source, std::generic_category().message(errno));
    if (length == 0 || byte == '\n' || byte == '\r') break;
    if (byte == interrupt) throw Failure(ExitCode::kPermission, "no PIN was typed", "");
    if (pin.size() == kLongestPin) cannot_read(source, "it is longer than any PIN");
    pin.append(byte);
  }
  return pin;
}

class OpenFile {
 public:
  OpenFile(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

class TerminalAsItWas {
 public:
  TerminalAsItWas(int descriptor, const termios& before) : descriptor_(descriptor), before_(before) {}
  ~TerminalAsItWas() { ::tcsetattr(descriptor_, TCSAFLUSH, &before_); }
  TerminalAsItWas(const TerminalAsItWas&) = delete;
  TerminalAsItWas& operator=(const TerminalAsItWas&) = delete;

 private:
  int descriptor_;
  termios before_;
};

Secret ask(const std::string& source, const std::string& whose) {
  const OpenFile terminal("/dev/tty", O_RDWR);
  termios before{};
  if (terminal.descriptor() < 0 || ::tcgetattr(terminal.descriptor(), &before) != 0) {
    cannot_read(source, "there is no terminal to ask on");
  }
  termios silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO | ISIG);
  silent.c_cc[VEOL] = kInterrupt;
  const std::string question = whose + ": ";
  ::tcsetattr(terminal.descriptor(), TCSAFLUSH, &silent);
  bool written = ::write(terminal.descriptor(), question.data(), question.size()) >= 0;
  const TerminalAsItWas restore(terminal.descriptor(), before);
  Secret pin = read_line(terminal.descriptor(), source, kInterrupt);
  written = ::write(terminal.descriptor(), "\n", 1) >= 0 && written;
  if (!written) cannot_read(source, "the terminal went away");
  return pin;
}

Secret from_environment(const std::string& source, const std::string& name) {
  const char* value = name.empty() ? nullptr : std::getenv(name.c_str());
  if (value == nullptr) cannot_read(source, "there is no such variable");
  return Secret(value);
}

Secret from_descriptor(const std::string& source, const std::string& number) {
  int descriptor = -1;
  const auto parsed = std::from_chars(number.data(), number.data() + number.size(), descriptor);
  if (parsed.ec != std::errc() || parsed.ptr != number.data() + number.size() || descriptor < 0) {
    cannot_read(source, "that is no descriptor");
  }
  return read_line(descriptor, source);
}

Secret from_file(const std::string& source, const std::string& path) {
  const OpenFile file(path, O_RDONLY);
  if (file.descriptor() < 0) cannot_read(source, std::generic_category().message(errno));
  return read_line(file.descriptor(), source);
}

}  // namespace

Secret read_pin(const std::string& source, const std::string& option, const std::string& whose) {
  const auto rest = [&](const char* prefix) { return source.substr(std::string_view(prefix).size()); };
  Secret pin;
  if (source.starts_with("env:")) {
    pin = from_environment(source, rest("env:"));
  } else if (source.starts_with("file:")) {
    pin = from_file(source, rest("file:"));
  } else if (source.starts_with("fd:")) {
    pin = from_descriptor(source, rest("fd:"));
  } else if (source == "prompt") {
    pin = ask(source, whose);
  } else {
    // What was given may be the PIN itself: it is not repeated.
    throw Failure(ExitCode::kUsage, option + " takes env:NAME, file:PATH, fd:N or prompt, never a PIN itself",
                  option + " prompt");
  }
  if (pin.size() == 0) cannot_read(source, "it is empty");
  return pin;
}

Secret read_new_pin(const std::string& source, const std::string& option, const std::string& whose) {
  Secret pin = read_pin(source, option, whose);
  if (source != "prompt") return pin;
  const Secret again = read_pin(source, option, whose + ", once more");
  if (pin.reveal() != again.reveal()) throw Failure(ExitCode::kUsage, "the two PINs differ; nothing was changed", "");
  return pin;
}

}  // namespace p11shim

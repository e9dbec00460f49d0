#include "proxyd/audit/file_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

namespace p11shim {

namespace {

// The mode holds whatever the umask is, but only for a file that we make: an existing one is the operator's.
int open_log(const char* path, mode_t mode) {
  // Not following a symbolic link, and not waiting for the reader of a FIFO.
  constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  const int made = ::open(path, kFlags | O_CREAT | O_EXCL, mode);
  if (made < 0) return errno == EEXIST ? ::open(path, kFlags) : -1;
  ::fchmod(made, mode);
  return made;
}

}  // namespace

FileSink::FileSink(FileSinkOptions options) : options_(std::move(options)) { open(); }

FileSink::~FileSink() { close(); }

void FileSink::write(std::string_view lines) {
  if (file_ < 0) open();
  append(lines);
  if (options_.max_size != 0 && size_ >= options_.max_size) rotate();
}

void FileSink::reopen() { close(); }

void FileSink::open() {
  file_ = open_log(options_.path.c_str(), options_.mode);
  if (file_ < 0) fail("open", errno);
  try {
    struct stat status {};
    if (::fstat(file_, &status) != 0) fail("inspect", errno);
    if (!S_ISREG(status.st_mode)) throw AuditSinkError(options_.path + " is not a regular file");
    size_ = static_cast<std::uint64_t>(status.st_size);
    end_half_line();
  } catch (const AuditSinkError&) {
    close();
    throw;
  }
}

void FileSink::close() {
  if (file_ >= 0) ::close(std::exchange(file_, -1));
}

void FileSink::end_half_line() {
  char last = '\n';
  if (size_ == 0 || ::pread(file_, &last, 1, static_cast<off_t>(size_ - 1)) != 1 || last == '\n') return;
  append("\n");
}

void FileSink::append(std::string_view lines) {
  std::string_view rest = lines;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      // If even this fails, the next write begins with a half line: open() will end it.
      if (::ftruncate(file_, static_cast<off_t>(size_)) != 0) close();
      fail("write", error);
    }
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  size_ += lines.size();
}

void FileSink::rotate() {
  const auto numbered = [this](std::uint32_t number) { return options_.path + "." + std::to_string(number); };
  if (options_.keep == 0) {
    if (::unlink(options_.path.c_str()) != 0) fail("remove", errno, false);
    return close();
  }
  for (std::uint32_t number = options_.keep; number > 1; --number) {
    const bool moved = std::rename(numbered(number - 1).c_str(), numbered(number).c_str()) == 0;
    if (!moved && errno != ENOENT) fail("rotate", errno, false);
  }
  if (std::rename(options_.path.c_str(), numbered(1).c_str()) != 0) fail("rotate", errno, false);
  close();
}

void FileSink::fail(const char* what, int error, bool lost) const {
  throw AuditSinkError(
      std::string("cannot ") + what + " " + options_.path + ": " + std::generic_category().message(error), lost);
}

}  // namespace p11shim
